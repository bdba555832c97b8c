//! From what a path says to the collection that it means.

use crate::catalog::{Catalog, Collection};
use crate::chroma::error::ApiError;
use crate::chroma::ids::{CollectionId, parse_uuid};

/// A living collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: CollectionId,
    pub(super) tenant: String,
    pub(super) database: String,
    pub(super) name: String,
}

impl From<&Collection> for Target {
    fn from(collection: &Collection) -> Self {
        Self {
            id: collection.id,
            tenant: collection.tenant.clone(),
            database: collection.database.clone(),
            name: collection.name.clone(),
        }
    }
}

/// Where a request looks for a collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) tenant: &'a str,
    pub(super) database: &'a str,
    /// What stands in the collection's place.
    pub(super) collection: &'a str,
}

/// Chroma's rule for a database in a path.
pub(super) fn check_database(database: &str) -> Result<(), ApiError> {
    if database.chars().count() < 3 { Err(ApiError::database_name_short()) } else { Ok(()) }
}

impl Place<'_> {
    /// Where Chroma wants an id: a uuid in any spelling is one, all else is a name.
    pub(super) fn id_or_name(self, catalog: &Catalog) -> Result<Target, ApiError> {
        check_database(self.database)?;
        let found = match parse_uuid(self.collection) {
            Some(id) => self.owned(catalog, id.into()).ok_or_else(|| ApiError::collection_id_not_found(id)),
            None => self.named(catalog).ok_or_else(|| ApiError::collection_not_found(self.collection)),
        };
        found.map(Target::from)
    }

    /// Where Chroma wants a name: the id of a living collection is one, all else is a name.
    pub(super) fn name_or_id(self, catalog: &Catalog) -> Result<Target, ApiError> {
        check_database(self.database)?;
        let by_id = parse_uuid(self.collection).and_then(|id| self.owned(catalog, id.into()));
        let found = by_id.or_else(|| self.named(catalog));
        found.map(Target::from).ok_or_else(|| ApiError::collection_not_found(self.collection))
    }

    /// `collections/by-id/`: an id only.
    pub(super) fn id_only(self, catalog: &Catalog) -> Result<Target, ApiError> {
        check_database(self.database)?;
        let id = parse_uuid(self.collection).ok_or_else(ApiError::malformed_by_id)?;
        let found = self.owned(catalog, id.into());
        found.map(Target::from).ok_or_else(|| ApiError::collection_not_found(id))
    }

    /// A collection belongs to one tenant and database, whatever path it is looked for in.
    fn owned(self, catalog: &Catalog, id: CollectionId) -> Option<&Collection> {
        catalog
            .living(id)
            .filter(|collection| collection.tenant == self.tenant && collection.database == self.database)
    }

    fn named(self, catalog: &Catalog) -> Option<&Collection> {
        catalog.by_name(self.tenant, self.database, self.collection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::change::CatalogChange;
    use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};

    const ID: &str = "46149fb2-8508-40ed-8523-e11e86ac9345";

    fn id(text: &str) -> CollectionId {
        text.parse::<uuid::Uuid>().unwrap().into()
    }

    fn create(catalog: &mut Catalog, id: CollectionId, database: &str, name: &str) {
        catalog.apply(&CatalogChange::CollectionCreated {
            id,
            tenant: DEFAULT_TENANT.to_owned(),
            database: database.to_owned(),
            name: name.to_owned(),
        });
    }

    fn place(collection: &str) -> Place<'_> {
        Place { tenant: DEFAULT_TENANT, database: DEFAULT_DATABASE, collection }
    }

    #[test]
    fn every_spelling_of_an_id_and_the_name_find_the_collection() {
        let mut catalog = Catalog::default();
        create(&mut catalog, id(ID), DEFAULT_DATABASE, "docs");
        for spelling in [ID, &ID.to_uppercase(), &ID.replace('-', ""), &format!("urn:uuid:{ID}"), "docs"] {
            assert_eq!(place(spelling).id_or_name(&catalog).unwrap().id, id(ID), "{spelling}");
            assert_eq!(place(spelling).name_or_id(&catalog).unwrap().id, id(ID), "{spelling}");
        }
    }

    #[test]
    fn another_database_does_not_lend_its_collections() {
        let mut catalog = Catalog::default();
        create(&mut catalog, id(ID), "other", "docs");
        for found in
            [place(ID).id_or_name(&catalog), place(ID).name_or_id(&catalog), place(ID).id_only(&catalog)]
        {
            assert_eq!(found.unwrap_err().status, 404);
        }
    }

    #[test]
    fn a_name_that_looks_like_an_id_is_found_where_names_are_expected() {
        let mut catalog = Catalog::default();
        create(&mut catalog, CollectionId(7), DEFAULT_DATABASE, ID);
        assert_eq!(place(ID).name_or_id(&catalog).unwrap().id, CollectionId(7));
        assert_eq!(place(ID).id_or_name(&catalog).unwrap_err().status, 404);
        create(&mut catalog, id(ID), DEFAULT_DATABASE, "docs");
        assert_eq!(place(ID).name_or_id(&catalog).unwrap().id, id(ID), "a living id comes first");
    }

    #[test]
    fn the_words_are_chromas() {
        let catalog = Catalog::default();
        let words = |error: ApiError| error.message;
        assert_eq!(words(place("x").name_or_id(&catalog).unwrap_err()), "Collection [x] does not exist");
        let unknown = format!("Collection [{ID}] does not exist.");
        assert_eq!(words(place(&ID.to_uppercase()).id_or_name(&catalog).unwrap_err()), unknown);
        let short = Place { database: "de", ..place("x") };
        assert_eq!(short.id_or_name(&catalog).unwrap_err().status, 400);
    }
}
