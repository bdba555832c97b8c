//! Asking where nothing is.
//!
//! Chroma judges a request's form before it looks for what the request is about. Where the catalog says that there is
//! no such thing, or that it is there already, an instance is still asked for that judgement, at a place where the
//! request can't do anything.

use axum::response::Response;
use uuid::Uuid;

use super::forward::{Answered, Content, Expected, Forward, Where, forward};
use super::{Answer, Place, ReadScope, Refusal, Told, as_sent};
use crate::catalog::SYSTEM;
use crate::chroma::answers::{Asked, Meaning, classify};
use crate::chroma::error::ApiError;
use crate::chroma::path;
use crate::gateway::entry::Received;
use crate::gateway::state::AppState;

/// A database of ours that is nowhere made, in a tenant where clients make none.
const NO_DATABASE: &str = "nowhere";

/// Answers a read under a collection that is not there: with what is wrong with the request, else with `missing`.
pub(super) async fn respond(
    app: &AppState,
    place: Place<'_>,
    rest: &str,
    missing: ApiError,
    request: Received,
) -> Result<Response, Refusal> {
    let what = at_no_collection(&request, place, rest);
    match forward(app, &what, &request).await {
        Ok(answered) if answered.is_error() && !says_missing(&answered) => {
            Ok(answered.into_response(app, request.place))
        }
        _ => Err(missing.into()),
    }
}

/// The same for a write; `rest` is the operation's path under the collection, empty for a modification of itself.
pub(in crate::gateway) async fn judge_missing(
    app: &AppState,
    place: Place<'_>,
    rest: &str,
    missing: ApiError,
    request: &Received,
) -> Result<Told, Refusal> {
    let what = at_no_collection(request, place, rest);
    refused(app, &what, request).await.ok_or_else(|| missing.into())
}

/// What is wrong with the form of a create whose name is taken or whose database is missing; `None` where nothing is, or nobody could be asked.
pub(in crate::gateway) async fn judge_create(app: &AppState, request: &Received) -> Option<Told> {
    let path = path::collections(SYSTEM, NO_DATABASE);
    let what = Forward { place: Where::Nowhere { path }, query: None, ..whole(request) };
    refused(app, &what, request).await
}

fn at_no_collection(request: &Received, place: Place<'_>, rest: &str) -> Forward {
    let mut path = path::collection(place.tenant, place.database, Uuid::nil());
    if !rest.is_empty() {
        path = format!("{path}/{rest}");
    }
    Forward { place: Where::Nowhere { path }, ..whole(request) }
}

fn whole(request: &Received) -> Forward {
    let scope = ReadScope::Constant;
    Forward { scope, expected: Expected::Anything, hold_bytes: usize::MAX, patience: 0, ..as_sent(request) }
}

/// The refusal that an instance gave, but that what was asked for is missing.
async fn refused(app: &AppState, what: &Forward, request: &Received) -> Option<Told> {
    let answered = forward(app, what, request).await.ok()?;
    if !answered.is_error() || says_missing(&answered) {
        return None;
    }
    let (status, body) = answered.into_whole().ok()?;
    Some(Told::Answer(Answer { status, body: body.to_vec() }))
}

/// True for the missing collection or database, which is no news; anything indefinite counts as that too.
fn says_missing(answered: &Answered) -> bool {
    let Content::Whole(body) = &answered.content else { return true };
    let status = answered.status.as_u16();
    classify(Asked::Read, status, body) != Meaning::Rejected
        || classify(Asked::CreateCollection, status, body) == Meaning::StateLost
}
