//! Lists of collections: fetched whole from one instance, shown with our ids in our order.

use std::collections::HashMap;

use axum::response::Response;
use bytes::Bytes;
use http::{Method, header};

use super::attempt::Attempt;
use super::forward::{Answered, Content, Expected, Forward, Where, forward};
use super::{as_sent, key};
use crate::catalog::Catalog;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::chroma::page::{self, Page};
use crate::chroma::path;
use crate::chroma::rewrite::{collection_name_and_dimension, collection_with_id, join_list, list_items};
use crate::gateway::answer::{Code, Refusal};
use crate::gateway::entry::Received;
use crate::gateway::resolve::check_database;
use crate::gateway::state::AppState;
use crate::replication::event::ReadScope;

/// What a list must show.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// What the catalog held when the list was asked for, by id.
    names: HashMap<CollectionId, String>,
}

/// Answers a list of a database's collections.
pub(super) async fn list(
    app: &AppState,
    tenant: String,
    database: String,
    request: Received,
) -> Result<Response, Refusal> {
    check_database(&database)?;
    let page = page::parse(request.uri.query().unwrap_or(""))?;
    let what = ask_for(app, &tenant, &database, &request);
    let answered = forward(app, &what, &request).await?;
    if answered.is_error() {
        return Ok(answered.into_response(app, request.place));
    }
    let shown = show(app, &tenant, &database, page, answered)?;
    Ok(shown.into_response(app, request.place))
}

fn ask_for(app: &AppState, tenant: &str, database: &str, request: &Received) -> Forward {
    let mut what = as_sent(request);
    // We look into the answer, so it must come plain.
    what.headers.remove(header::ACCEPT_ENCODING);
    let names = app.replication.with_catalog(|catalog| {
        catalog.collections(tenant, database).map(|(name, id)| (id, name.to_owned())).collect()
    });
    Forward {
        method: Method::GET,
        place: Where::List { path: path::collections(tenant, database) },
        query: None,
        body: Bytes::new(),
        key: key(&[tenant.as_bytes(), database.as_bytes()]),
        scope: ReadScope::Database { tenant: tenant.to_owned(), database: database.to_owned() },
        expected: Expected::List(Listed { names }),
        hold_bytes: usize::MAX,
        ..what
    }
}

fn show(
    app: &AppState,
    tenant: &str,
    database: &str,
    page: Page,
    answered: Answered,
) -> Result<Answered, Refusal> {
    let ours =
        app.replication.with_catalog(|catalog| by_real_id(catalog, tenant, database, answered.instance));
    let Content::Whole(body) = &answered.content else {
        return Err(no_list());
    };
    let list = assemble(body, &ours, page).ok_or_else(no_list)?;
    Ok(answered.with_body(list))
}

fn no_list() -> Refusal {
    Refusal::unavailable(Code::NoAnswer, "The instance's answer is no list of collections")
}

/// The collections that the catalog holds, by the ids that the instance gave them.
fn by_real_id(
    catalog: &Catalog,
    tenant: &str,
    database: &str,
    instance: InstanceId,
) -> HashMap<u128, CollectionId> {
    catalog
        .collections(tenant, database)
        .filter_map(|(_, id)| Some((catalog.real_id(id, instance)?, id)))
        .collect()
}

/// A list counts as an answer when it shows every collection that the catalog held all the time, under a name that
/// it had. While a drop or a rename is under way an instance may be ahead of the verdicts; that is over in a moment.
pub(super) async fn check(app: &AppState, answered: Answered, body: &Bytes, listed: &Listed) -> Attempt {
    let instance = answered.instance;
    let wrong = app.replication.with_catalog(|catalog| unconfirmed(catalog, listed, instance, body));
    match wrong {
        None => Attempt::Failed("the answer is no list of collections".to_owned()),
        Some(Unconfirmed::Nothing) => Attempt::Answered(answered),
        Some(Unconfirmed::Name(name)) => Attempt::Failed(format!("{name} is being renamed or dropped")),
        Some(Unconfirmed::Missing(id)) => {
            let detail = format!("its list of collections lacks {id}");
            app.replication.report_lost_state(instance, id, detail.clone()).await;
            Attempt::Failed(detail)
        }
    }
}

/// What in a list no verdict has confirmed.
#[derive(Debug, PartialEq, Eq)]
enum Unconfirmed {
    Nothing,
    Name(String),
    Missing(CollectionId),
}

fn unconfirmed(catalog: &Catalog, listed: &Listed, instance: InstanceId, body: &[u8]) -> Option<Unconfirmed> {
    let shown: HashMap<u128, &[u8]> =
        list_items(body)?.into_iter().map(|item| (item.real_id.as_u128(), item.json)).collect();
    for (id, before) in &listed.names {
        let Some(living) = catalog.living(*id) else { continue };
        let Some(real_id) = living.real_ids.get(&instance) else { continue };
        let Some(json) = shown.get(real_id) else {
            return Some(Unconfirmed::Missing(*id));
        };
        let (name, _) = collection_name_and_dimension(json)?;
        if name != *before && name != living.name {
            return Some(Unconfirmed::Name(name));
        }
    }
    Some(Unconfirmed::Nothing)
}

/// The page of an instance's list: only what the catalog holds, under and ordered by our ids.
fn assemble(answer: &[u8], ours: &HashMap<u128, CollectionId>, page: Page) -> Option<Vec<u8>> {
    let mut items: Vec<(CollectionId, &[u8])> = list_items(answer)?
        .into_iter()
        .filter_map(|item| Some((*ours.get(&item.real_id.as_u128())?, item.json)))
        .collect();
    items.sort_by_key(|(id, _)| *id);
    let shown: Option<Vec<Vec<u8>>> =
        page.of(&items).iter().map(|(id, json)| collection_with_id(json, *id)).collect();
    Some(join_list(shown?.iter().map(Vec::as_slice)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::change::CatalogChange;
    use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};

    fn item(id: u128, name: &str) -> String {
        format!(r#"{{"id":"{}","name":"{name}"}}"#, uuid::Uuid::from_u128(id))
    }

    fn catalog(names: &[(u128, u128, &str)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (id, real_id, name) in names {
            let id = CollectionId(*id);
            let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
            let name = (*name).to_owned();
            catalog.apply(&CatalogChange::CollectionCreated { id, tenant, database, name });
            catalog.apply(&CatalogChange::RealId { id, instance: InstanceId(0), real_id: *real_id });
        }
        catalog
    }

    #[test]
    fn a_list_that_contradicts_the_catalog_is_no_answer() {
        let now = catalog(&[(20, 1, "b"), (10, 3, "new"), (30, 4, "created meanwhile")]);
        let listed = Listed {
            names: [(20, "b"), (10, "old"), (40, "dropped meanwhile")]
                .map(|(id, name)| (CollectionId(id), name.to_owned()))
                .into(),
        };
        let judge = |items: &[String]| {
            unconfirmed(&now, &listed, InstanceId(0), format!("[{}]", items.join(",")).as_bytes())
        };
        for name in ["old", "new"] {
            assert_eq!(judge(&[item(1, "b"), item(3, name)]), Some(Unconfirmed::Nothing));
        }
        let other = Unconfirmed::Name("other".to_owned());
        assert_eq!(judge(&[item(1, "b"), item(3, "other")]), Some(other));
        assert_eq!(judge(&[item(3, "new")]), Some(Unconfirmed::Missing(CollectionId(20))));
        assert_eq!(judge(&["5".to_owned()]), None);
    }

    #[test]
    fn a_list_shows_what_the_catalog_holds_in_the_order_of_our_ids() {
        let answer = format!("[{},{},{}]", item(1, "b"), item(2, "ghost"), item(3, "a"));
        let ours = HashMap::from([(1, CollectionId(20)), (3, CollectionId(10))]);
        let list = |page| String::from_utf8(assemble(answer.as_bytes(), &ours, page).unwrap()).unwrap();
        assert_eq!(list(Page::default()), format!("[{},{}]", item(10, "a"), item(20, "b")));
        assert_eq!(list(Page { limit: Some(1), offset: 1 }), format!("[{}]", item(20, "b")));
        assert_eq!(list(Page { limit: Some(0), offset: 0 }), "[]");
        assert_eq!(assemble(b"{}", &ours, Page::default()), None);
    }
}
