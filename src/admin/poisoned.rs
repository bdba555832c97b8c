//! `/admin/poisoned`: writes that were withdrawn because instances did not survive them, and what becomes of them.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::json;
use super::time;
use crate::chroma::error::{ApiError, INTERNAL, NOT_FOUND};
use crate::delivery::poisoned::{Forced, Poisoned};
use crate::gateway::{AppState, Code, Refusal};
use crate::wal::record::Lsn;

/// A withdrawn write that is kept.
#[derive(Serialize)]
struct Shown {
    lsn: Lsn,
    transaction_id: Option<String>,
    /// As its sender sent it.
    method: Option<String>,
    path: Option<String>,
    /// ISO 8601.
    accepted_at: Option<String>,
    body_bytes: u64,
    /// The last instance that died, or stopped writing, under the write itself.
    instance: String,
    /// The collection is out of use until it is dropped or the write discarded: that instance is the last one that has it.
    blocks: bool,
}

/// What became of one.
#[derive(Serialize)]
struct Done {
    lsn: Lsn,
    /// The id under which it was sent again.
    forced_as: Option<String>,
}

impl Shown {
    fn of(app: &AppState, poisoned: Poisoned) -> Self {
        let instances = app.replication.instances();
        let instance = instances.get(poisoned.instance.index()).map(|instance| instance.name.clone());
        let (lsn, blocks, body_bytes) = (poisoned.lsn, poisoned.blocks, poisoned.head.body_bytes);
        let sender = poisoned.head.transaction;
        Self {
            lsn,
            accepted_at: sender.as_ref().map(|sender| time::iso_ms(sender.accepted_ms)),
            method: sender.as_ref().map(|sender| sender.method.clone()),
            path: sender.as_ref().map(|sender| sender.path.clone()),
            transaction_id: sender.map(|sender| sender.id),
            body_bytes,
            instance: instance.unwrap_or_default(),
            blocks,
        }
    }
}

pub(super) async fn list(State(app): State<AppState>) -> Response {
    let poisoned = app.replication.poisoned().await;
    let shown: Vec<Shown> = poisoned.into_iter().map(|one| Shown::of(&app, one)).collect();
    json(200, &shown)
}

/// Gives one up, by its transaction's id or its place in the log.
pub(super) async fn discard(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    let Some(poisoned) = find(&app, &id).await else { return unknown(&id) };
    let lsn = poisoned.lsn;
    if app.replication.discard(lsn).await { json(200, &Done { lsn, forced_as: None }) } else { later(&id) }
}

/// Sends one again in spite of what happened, as a new write; the old one is given up.
pub(super) async fn force(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    let Some(poisoned) = find(&app, &id).await else { return unknown(&id) };
    let lsn = poisoned.lsn;
    match app.replication.force(poisoned).await {
        Ok(Forced { id }) => json(200, &Done { lsn, forced_as: Some(id) }),
        Err(reason) => {
            let words = format!("[{id}] was not sent again: {reason}");
            Refusal::from(ApiError::new(503, INTERNAL, words)).into_response()
        }
    }
}

async fn find(app: &AppState, id: &str) -> Option<Poisoned> {
    let named = |one: &Poisoned| {
        one.lsn.to_string() == id || one.head.transaction.as_ref().is_some_and(|sender| sender.id == id)
    };
    app.replication.poisoned().await.into_iter().find(named)
}

fn unknown(id: &str) -> Response {
    let words = format!("There is no poisoned write [{id}]; see isochrome poisoned");
    Refusal::own(Code::UnknownTransaction, ApiError::new(404, NOT_FOUND, words)).into_response()
}

fn later(id: &str) -> Response {
    let words = format!("[{id}] is not discarded yet: the log can't be written; try again");
    Refusal::unavailable(Code::LogUnavailable, words).into_response()
}
