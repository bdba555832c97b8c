//! Collections, databases and tenants: their names, public ids, and real ids on each instance.
//! Pure; the same type serves the core, the gateway's view and the store's checkpoint.

pub mod change;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use change::CatalogChange;

use crate::chroma::ids::{CollectionId, InstanceId};

/// Chroma's own default tenant; every server has it.
pub const DEFAULT_TENANT: &str = "default_tenant";
/// Chroma's own default database; its id is all zeros on every server.
pub const DEFAULT_DATABASE: &str = "default_database";
/// Tenant and database that we keep for ourselves on each instance. Clients never see them.
pub const SYSTEM: &str = "isochrome_system";

/// What the catalog knows of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    pub id: CollectionId,
    pub tenant: String,
    pub database: String,
    pub name: String,
    /// Real id by instance, for the instances where its create is applied.
    pub real_ids: BTreeMap<InstanceId, u128>,
    pub dimension: Option<u32>,
    /// Dropped by verdict, though perhaps not yet on every instance.
    pub dropped: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Database {
    id: u128,
    names: BTreeMap<String, CollectionId>,
}

/// All living collections, databases and tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// Tenants that were made. A database may be in one that was not: Chroma lets that be.
    made: BTreeSet<String>,
    tenants: BTreeMap<String, BTreeMap<String, Database>>,
    collections: HashMap<CollectionId, Collection>,
}

impl Default for Catalog {
    /// What a fresh Chroma server holds.
    fn default() -> Self {
        let databases = BTreeMap::from([(DEFAULT_DATABASE.to_owned(), Database::default())]);
        Self {
            made: BTreeSet::from([DEFAULT_TENANT.to_owned()]),
            tenants: BTreeMap::from([(DEFAULT_TENANT.to_owned(), databases)]),
            collections: HashMap::new(),
        }
    }
}

impl Catalog {
    /// Applies one change; changes that are already in have no effect.
    pub fn apply(&mut self, change: &CatalogChange) {
        match change {
            CatalogChange::TenantCreated { tenant } => {
                self.made.insert(tenant.clone());
                self.tenants.entry(tenant.clone()).or_default();
            }
            CatalogChange::TenantDropped { tenant } => {
                self.made.remove(tenant);
                self.tenants.remove(tenant);
            }
            CatalogChange::DatabaseCreated { tenant, database, id } => {
                let databases = self.tenants.entry(tenant.clone()).or_default();
                databases.entry(database.clone()).or_default().id = *id;
            }
            CatalogChange::DatabaseDropped { tenant, database } => {
                if let Some(databases) = self.tenants.get_mut(tenant) {
                    databases.remove(database);
                    if databases.is_empty() && !self.made.contains(tenant) {
                        self.tenants.remove(tenant);
                    }
                }
            }
            CatalogChange::CollectionCreated { id, tenant, database, name } => {
                self.create(*id, tenant, database, name);
            }
            CatalogChange::CollectionRenamed { id, name } => self.rename(*id, name),
            CatalogChange::CollectionDropped { id } => self.drop_collection(*id),
            CatalogChange::CollectionForgotten { id } => {
                self.drop_collection(*id);
                self.collections.remove(id);
            }
            CatalogChange::RealId { id, instance, real_id } => {
                if let Some(collection) = self.collections.get_mut(id) {
                    collection.real_ids.insert(*instance, *real_id);
                }
            }
            CatalogChange::Dimension { id, dimension } => {
                if let Some(collection) = self.collections.get_mut(id) {
                    collection.dimension = Some(*dimension);
                }
            }
        }
    }

    fn create(&mut self, id: CollectionId, tenant: &str, database: &str, name: &str) {
        let databases = self.tenants.entry(tenant.to_owned()).or_default();
        databases.entry(database.to_owned()).or_default().names.insert(name.to_owned(), id);
        self.collections.entry(id).or_insert_with(|| Collection {
            id,
            tenant: tenant.to_owned(),
            database: database.to_owned(),
            name: name.to_owned(),
            real_ids: BTreeMap::new(),
            dimension: None,
            dropped: false,
        });
    }

    fn names_mut(&mut self, tenant: &str, database: &str) -> Option<&mut BTreeMap<String, CollectionId>> {
        Some(&mut self.tenants.get_mut(tenant)?.get_mut(database)?.names)
    }

    fn rename(&mut self, id: CollectionId, name: &str) {
        let living = self.collections.get_mut(&id).filter(|collection| !collection.dropped);
        let Some(collection) = living else { return };
        let (tenant, database) = (collection.tenant.clone(), collection.database.clone());
        let old = std::mem::replace(&mut collection.name, name.to_owned());
        if let Some(names) = self.names_mut(&tenant, &database) {
            names.remove(&old);
            names.insert(name.to_owned(), id);
        }
    }

    fn drop_collection(&mut self, id: CollectionId) {
        let Some(collection) = self.collections.get_mut(&id) else {
            return;
        };
        collection.dropped = true;
        let (tenant, database) = (collection.tenant.clone(), collection.database.clone());
        let name = collection.name.clone();
        if let Some(names) = self.names_mut(&tenant, &database)
            && names.get(&name) == Some(&id)
        {
            names.remove(&name);
        }
    }

    /// The collection with this public id, also one that is dropped and not yet forgotten.
    #[must_use]
    pub fn known(&self, id: CollectionId) -> Option<&Collection> {
        self.collections.get(&id)
    }

    /// The living collection with this public id.
    #[must_use]
    pub fn living(&self, id: CollectionId) -> Option<&Collection> {
        self.collections.get(&id).filter(|collection| !collection.dropped)
    }

    /// The living collection of this name.
    #[must_use]
    pub fn by_name(&self, tenant: &str, database: &str, name: &str) -> Option<&Collection> {
        let id = self.tenants.get(tenant)?.get(database)?.names.get(name)?;
        self.collections.get(id)
    }

    /// The real id of a known collection on an instance, once its create is applied there.
    #[must_use]
    pub fn real_id(&self, id: CollectionId, instance: InstanceId) -> Option<u128> {
        self.collections.get(&id)?.real_ids.get(&instance).copied()
    }

    /// True where the tenant was made.
    #[must_use]
    pub fn has_tenant(&self, tenant: &str) -> bool {
        self.made.contains(tenant)
    }

    /// The public id of a database, where it exists.
    #[must_use]
    pub fn database_id(&self, tenant: &str, database: &str) -> Option<u128> {
        Some(self.tenants.get(tenant)?.get(database)?.id)
    }

    /// The collection that has this real id on an instance, also one that is dropped and not yet forgotten.
    #[must_use]
    pub fn owner_of(&self, instance: InstanceId, real_id: u128) -> Option<&Collection> {
        let mut all = self.collections.values();
        all.find(|collection| collection.real_ids.get(&instance) == Some(&real_id))
    }

    /// The tenants that were made or have a database, by name.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.keys().map(String::as_str)
    }

    /// Names and public ids of a tenant's databases, by name.
    pub fn databases(&self, tenant: &str) -> impl Iterator<Item = (&str, u128)> {
        let databases = self.tenants.get(tenant).into_iter().flatten();
        databases.map(|(name, database)| (name.as_str(), database.id))
    }

    /// Names and public ids of a database's living collections, by name.
    pub fn collections(&self, tenant: &str, database: &str) -> impl Iterator<Item = (&str, CollectionId)> {
        let database = self.tenants.get(tenant).and_then(|databases| databases.get(database));
        database.into_iter().flat_map(|database| database.names.iter().map(|(name, id)| (name.as_str(), *id)))
    }

    /// Every collection, also those that are dropped and not yet forgotten.
    pub fn all_known(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values()
    }

    /// Every living collection, in the order of the public ids.
    #[must_use]
    pub fn all_living(&self) -> Vec<&Collection> {
        let mut all: Vec<_> = self.collections.values().filter(|collection| !collection.dropped).collect();
        all.sort_by_key(|collection| collection.id);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_may_be_in_a_tenant_that_nobody_made() {
        let (tenant, database) = ("t".to_owned(), "d".to_owned());
        let created =
            CatalogChange::DatabaseCreated { tenant: tenant.clone(), database: database.clone(), id: 1 };
        let mut catalog = Catalog::default();
        catalog.apply(&created);
        assert!(!catalog.has_tenant("t") && catalog.database_id("t", "d") == Some(1));
        let dropped = CatalogChange::DatabaseDropped { tenant: tenant.clone(), database };
        catalog.apply(&dropped);
        assert_eq!(catalog, Catalog::default());
        catalog.apply(&CatalogChange::TenantCreated { tenant });
        catalog.apply(&created);
        catalog.apply(&dropped);
        assert!(catalog.has_tenant("t"));
    }
}
