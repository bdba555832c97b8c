//! Lists of collections: fetched whole from one instance, shown with our ids in our order.

use std::collections::{BTreeMap, HashMap};

use axum::response::Response;
use bytes::Bytes;
use http::{Method, header};

use super::as_sent;
use super::attempt::Attempt;
use super::forward::{Alike, Answered, Expected, Forward, Where, forward};
use crate::catalog::Catalog;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::chroma::page::{self, Page};
use crate::chroma::path;
use crate::chroma::requests::is_passing_name;
use crate::chroma::rewrite::{collection_name_and_dimension, collection_with_id, join_list, list_items};
use crate::gateway::answer::Refusal;
use crate::gateway::entry::Received;
use crate::gateway::resolve::check_database;
use crate::gateway::state::AppState;
use crate::replication::event::{Level, ReadScope};

/// What a list must show.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    tenant: String,
    database: String,
    page: Page,
    /// What the catalog held when the list was asked for, by id.
    names: HashMap<CollectionId, String>,
}

/// Answers a list of a database's collections.
pub(super) async fn list(
    app: &AppState,
    tenant: String,
    database: String,
    level: Level,
    request: Received,
) -> Result<Response, Refusal> {
    check_database(&database)?;
    let page = page::parse(request.uri.query().unwrap_or(""))?;
    let mut what = as_sent(&request);
    // We look into the answer, so it must come plain.
    what.headers.remove(header::ACCEPT_ENCODING);
    let names = app.replication.with_catalog(|catalog| {
        catalog.collections(&tenant, &database).map(|(name, id)| (id, name.to_owned())).collect()
    });
    let what = Forward {
        method: Method::GET,
        place: Where::List { path: path::collections(&tenant, &database) },
        query: None,
        body: Bytes::new(),
        alike: Alike::Scope,
        scope: ReadScope::Database { tenant: tenant.clone(), database: database.clone() },
        expected: Expected::List(Listed { tenant, database, page, names }),
        hold_bytes: usize::MAX,
        level,
        ..what
    };
    let answered = forward(app, &what, &request).await?;
    Ok(answered.into_response(app, request.place))
}

/// Turns an instance's list into ours. It counts as an answer when it shows every collection that the catalog held
/// all the time, and each under a name that a verdict gave it. While a drop or a rename is under way an instance may
/// be ahead of the verdicts; that is over in a moment. A weaker read takes any name but one that only we gave.
pub(super) async fn check(
    app: &AppState,
    answered: Answered,
    body: &Bytes,
    listed: &Listed,
    level: Level,
) -> Attempt {
    let instance = answered.instance;
    let shown = app.replication.with_catalog(|catalog| show(catalog, listed, instance, body, level));
    match shown {
        Ok(list) => Attempt::Answered(answered.with_body(list)),
        Err(Unfit::NoList) => Attempt::Failed("the answer is no list of collections".to_owned()),
        Err(Unfit::Unconfirmed(name)) => Attempt::Failed(format!("{name} is being renamed or dropped")),
        Err(Unfit::NoCopyYet(id)) => Attempt::Failed(format!("{id} has no copy there yet")),
        Err(Unfit::Lacks(id)) => {
            let detail = format!("its list of collections lacks {id}");
            app.replication.report_lost_state(instance, id, detail.clone()).await;
            Attempt::Failed(detail)
        }
    }
}

/// Why a list is no answer.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    NoList,
    /// It shows a name that no verdict gave.
    Unconfirmed(String),
    Lacks(CollectionId),
    /// The catalog has not heard yet what the instance calls it.
    NoCopyYet(CollectionId),
}

/// The page of an instance's list that was asked for: what the catalog holds, under and ordered by our ids.
fn show(
    catalog: &Catalog,
    listed: &Listed,
    instance: InstanceId,
    body: &[u8],
    level: Level,
) -> Result<Vec<u8>, Unfit> {
    let mut ours: HashMap<u128, CollectionId> = HashMap::new();
    for (_, id) in catalog.collections(&listed.tenant, &listed.database) {
        match catalog.real_id(id, instance) {
            Some(real_id) => _ = ours.insert(real_id, id),
            None if listed.names.contains_key(&id) => return Err(Unfit::NoCopyYet(id)),
            None => {}
        }
    }
    let mut shown: BTreeMap<CollectionId, &[u8]> = BTreeMap::new();
    for item in list_items(body).ok_or(Unfit::NoList)? {
        let Some(id) = ours.get(&item.real_id.as_u128()) else { continue };
        let (name, _) = collection_name_and_dimension(item.json).ok_or(Unfit::NoList)?;
        let now = catalog.living(*id).map(|collection| &collection.name);
        let may_differ = level != Level::Strong && !is_passing_name(&name);
        if now != Some(&name) && listed.names.get(id) != Some(&name) && !may_differ {
            return Err(Unfit::Unconfirmed(name));
        }
        shown.insert(*id, item.json);
    }
    if let Some(id) = ours.values().find(|id| listed.names.contains_key(id) && !shown.contains_key(id)) {
        return Err(Unfit::Lacks(*id));
    }
    let shown: Vec<_> = shown.into_iter().collect();
    let items: Option<Vec<Vec<u8>>> =
        listed.page.of(&shown).iter().map(|(id, json)| collection_with_id(json, *id)).collect();
    Ok(join_list(items.ok_or(Unfit::NoList)?.iter().map(Vec::as_slice)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::change::CatalogChange;
    use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};

    fn item(id: u128, name: &str) -> String {
        format!(r#"{{"id":"{}","name":"{name}"}}"#, uuid::Uuid::from_u128(id))
    }

    /// A catalog of collections with id, real id on instance 0, and name.
    fn catalog(collections: &[(u128, u128, &str)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (id, real_id, name) in collections {
            let id = CollectionId(*id);
            let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
            let name = (*name).to_owned();
            catalog.apply(&CatalogChange::CollectionCreated { id, tenant, database, name });
            catalog.apply(&CatalogChange::RealId { id, instance: InstanceId(0), real_id: *real_id });
        }
        catalog
    }

    fn shown(now: &Catalog, before: &[(u128, &str)], page: Page, items: &[String]) -> Result<String, Unfit> {
        let listed = Listed {
            tenant: DEFAULT_TENANT.to_owned(),
            database: DEFAULT_DATABASE.to_owned(),
            page,
            names: before.iter().map(|(id, name)| (CollectionId(*id), (*name).to_owned())).collect(),
        };
        let answer = format!("[{}]", items.join(","));
        let list = show(now, &listed, InstanceId(0), answer.as_bytes(), Level::Strong);
        list.map(|list| String::from_utf8(list).unwrap())
    }

    #[test]
    fn a_list_shows_what_the_catalog_holds_in_the_order_of_our_ids() {
        let now = catalog(&[(20, 1, "b"), (10, 3, "a")]);
        let answer = [item(1, "b"), item(2, "ghost"), item(3, "a")];
        let list = |page| shown(&now, &[(10, "a")], page, &answer).unwrap();
        assert_eq!(list(Page::default()), format!("[{},{}]", item(10, "a"), item(20, "b")));
        assert_eq!(list(Page { limit: Some(1), offset: 1 }), format!("[{}]", item(20, "b")));
        assert_eq!(list(Page { limit: Some(0), offset: 0 }), "[]");
    }

    #[test]
    fn a_list_that_contradicts_the_catalog_is_no_answer() {
        let now = catalog(&[(20, 1, "b"), (10, 3, "new"), (30, 4, "created meanwhile")]);
        let before = [(20, "b"), (10, "old"), (40, "dropped meanwhile")];
        let judge = |items: &[String]| shown(&now, &before, Page::default(), items);
        for name in ["old", "new"] {
            assert!(judge(&[item(1, "b"), item(3, name)]).is_ok());
        }
        for (real_id, name) in [(3, "renamed ahead"), (4, "dropped ahead")] {
            let unconfirmed = Unfit::Unconfirmed(name.to_owned());
            assert_eq!(judge(&[item(1, "b"), item(real_id, name)]), Err(unconfirmed));
        }
        assert_eq!(judge(&[item(3, "new")]), Err(Unfit::Lacks(CollectionId(20))));
        assert_eq!(judge(&["5".to_owned()]), Err(Unfit::NoList));
        let mut now = now.clone();
        let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
        let id = CollectionId(40);
        now.apply(&CatalogChange::CollectionCreated { id, tenant, database, name: "elsewhere".to_owned() });
        let elsewhere = shown(&now, &before, Page::default(), &[item(1, "b"), item(3, "new")]);
        assert_eq!(elsewhere, Err(Unfit::NoCopyYet(id)), "a collection is not left out of a list in silence");
    }
}
