//! The read path: choose an instance that may answer, forward, and hold or relay the answer.

mod attempt;
pub(super) mod budget;
mod catalog;
mod choose;
mod forward;
pub(super) mod kept;
mod level;
mod list;
mod nowhere;
mod query;
mod relay;

use axum::response::Response;
use http::header;

use super::answer::Refusal;
use super::entry::Received;
use super::resolve::{Place, Target};
use super::state::AppState;
use super::transaction::outcome::Told;
use crate::chroma::ids::parse_uuid;
use crate::chroma::route::{RecordOp, Route};
use crate::replication::event::{Level, ReadScope};
use crate::wal::record::Answer;
use forward::{Alike, Expected, Forward, Where, forward};
pub(super) use nowhere::{judge_create, judge_missing};

/// Answers a read.
pub(super) async fn answer(app: &AppState, route: Route, request: Received) -> Result<Response, Refusal> {
    let level = level::of(&request.headers)?;
    match route {
        Route::GetTenant { tenant } => catalog::tenant(app, &tenant),
        Route::ListDatabases { tenant } => catalog::databases(app, &tenant, &request),
        Route::GetDatabase { tenant, database } => catalog::database(app, &tenant, &database),
        Route::CountCollections { tenant, database } => catalog::count(app, &tenant, &database),
        Route::ListCollections { tenant, database } => {
            list::list(app, tenant, database, level, request).await
        }
        Route::GetCollection { tenant, database, collection } => {
            let place = Place { tenant: &tenant, database: &database, collection: &collection };
            let target = app.replication.with_catalog(|catalog| place.name_or_id(catalog))?;
            respond(app, describe(&request, target), level, request).await
        }
        Route::GetCollectionById { tenant, database, id } => {
            let place = Place { tenant: &tenant, database: &database, collection: &id };
            let target = app.replication.with_catalog(|catalog| place.id_only(catalog))?;
            respond(app, describe(&request, target), level, request).await
        }
        Route::Records { tenant, database, collection, op } => {
            let place = Place { tenant: &tenant, database: &database, collection: &collection };
            match app.replication.with_catalog(|catalog| place.id_or_name(catalog)) {
                Ok(target) => {
                    let id = target.id;
                    let what = Forward { level, ..of_records(&request, target, op) };
                    kept::answer(app, what, (id, op), request).await
                }
                Err(missing) => nowhere::respond(app, place, op.segment(), missing, request).await,
            }
        }
        Route::Unavailable { tenant, database, collection, rest } => {
            let place = Place { tenant: &tenant, database: &database, collection: &collection };
            let target = match app.replication.with_catalog(|catalog| place.id_or_name(catalog)) {
                Ok(target) => target,
                // It can't mean any collection there either, and each of these has words of its own for that.
                Err(_) if parse_uuid(&collection).is_none() => {
                    return respond(app, Forward { patience: 0, ..as_sent(&request) }, level, request).await;
                }
                Err(missing) => return nowhere::respond(app, place, &rest, missing, request).await,
            };
            let scope = ReadScope::Collection { id: target.id, ids: None };
            let place = Where::Collection { target, rest };
            // It is an error in any case.
            respond(app, Forward { place, scope, patience: 0, ..as_sent(&request) }, level, request).await
        }
        _ => respond(app, as_sent(&request), level, request).await,
    }
}

/// Sends a request that changes nothing to any instance, and gives the whole answer.
pub(super) async fn pass(app: &AppState, request: &Received) -> Result<Told, Refusal> {
    whole(app, as_sent(request), request).await
}

/// The description of a collection, in place of a create that would only find it.
pub(super) async fn describe_existing(
    app: &AppState,
    request: &Received,
    target: Target,
) -> Result<Told, Refusal> {
    let description = Forward { method: http::Method::GET, ..describe(request, target) };
    whole(app, description, request).await
}

async fn whole(app: &AppState, what: Forward, request: &Received) -> Result<Told, Refusal> {
    let what = Forward { hold_bytes: usize::MAX, ..what };
    let answered = forward(app, &what, request).await?;
    let (status, body) = answered.into_whole()?;
    Ok(Told::Answer(Answer { status, body: body.to_vec() }))
}

async fn respond(
    app: &AppState,
    what: Forward,
    level: Level,
    request: Received,
) -> Result<Response, Refusal> {
    let answered = forward(app, &Forward { level, ..what }, &request).await?;
    Ok(answered.into_response(app, request.place))
}

fn as_sent(request: &Received) -> Forward {
    Forward {
        method: request.method.clone(),
        place: Where::AsSent,
        query: request.uri.query().map(str::to_owned),
        headers: super::headers::of_request(&request.headers),
        body: request.body.clone(),
        scope: ReadScope::Constant,
        level: Level::Strong,
        alike: Alike::Requests,
        expected: Expected::Anything,
        hold_bytes: forward::HOLD_BYTES,
        patience: forward::PATIENCE,
    }
}

/// Chroma gives a description by name; by id it is the same, and we know the id.
fn describe(request: &Received, target: Target) -> Forward {
    let mut what = as_sent(request);
    // We look into the answer, so it must come plain.
    what.headers.remove(header::ACCEPT_ENCODING);
    what.headers.remove(header::CONTENT_TYPE);
    Forward {
        scope: ReadScope::Collection { id: target.id, ids: None },
        alike: Alike::Scope,
        place: Where::Description { target },
        query: None,
        body: bytes::Bytes::new(),
        expected: Expected::Description,
        hold_bytes: usize::MAX,
        ..what
    }
}

fn of_records(request: &Received, target: Target, op: RecordOp) -> Forward {
    let what = as_sent(request);
    let get = if op == RecordOp::Get { query::read_get(&request.body) } else { query::Get::default() };
    // Pages of one collection come from one instance, whatever part of it they show.
    let alike = if get.is_page { Alike::Scope } else { Alike::Questions(op) };
    Forward {
        scope: ReadScope::Collection { id: target.id, ids: get.ids },
        place: Where::Collection { target, rest: op.segment().to_owned() },
        alike,
        ..what
    }
}
