//! `GET /transactions/{id}?wait_ms=N`: what became of a write.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{json, time};
use crate::chroma::error::{ApiError, NOT_FOUND};
use crate::gateway::{AppState, Code, Refusal, wait_for};
use crate::replication::view::StateThere;
use crate::wal::record::{Answer, Lsn};
use crate::wal::{LogError, StoredTransaction, TransactionState};

/// Longest wait for an open outcome, in milliseconds.
const MAX_WAIT_MS: u64 = 60_000;

#[derive(Deserialize)]
pub(super) struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

#[derive(Serialize)]
struct Transaction {
    transaction_id: String,
    lsn: Lsn,
    /// `logged`, `committed`, `rejected`, `cancelled` or `poisoned`.
    state: &'static str,
    method: String,
    path: String,
    /// ISO 8601.
    accepted_at: String,
    decided_at: Option<String>,
    /// By the instances' names.
    instances: BTreeMap<String, StateThere>,
    /// What its sender was told, or would have been.
    result: Option<TransactionResult>,
}

#[derive(Serialize)]
struct TransactionResult {
    status: u16,
    body: Value,
}

pub(super) async fn transaction(
    State(app): State<AppState>,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Response {
    let Query(wait) = match wait {
        Ok(wait) => wait,
        Err(rejection) => return Refusal::from(ApiError::invalid(rejection.body_text())).into_response(),
    };
    let wait = Duration::from_millis(wait.wait_ms.min(MAX_WAIT_MS));
    match wait_for(&app.replication, &id, wait).await {
        Ok(Some(stored)) => shown(&app, stored).await,
        Ok(None) => unknown(&id).into_response(),
        Err(error) => unreadable(&error).into_response(),
    }
}

/// The page of a transaction.
pub(super) async fn shown(app: &AppState, stored: StoredTransaction) -> Response {
    json(200, &show(app, stored).await)
}

/// There is no such transaction.
pub(super) fn unknown(id: &str) -> Refusal {
    let error = ApiError::new(404, NOT_FOUND, format!("Transaction [{id}] not found"));
    Refusal::own(Code::UnknownTransaction, error)
}

/// Nobody can say whether there is such a transaction.
pub(super) fn unreadable(error: &LogError) -> Refusal {
    Refusal::unavailable(Code::LogUnavailable, format!("The log can't be read: {error}"))
}

async fn show(app: &AppState, stored: StoredTransaction) -> Transaction {
    let there = app.replication.entry_view(stored.lane.clone(), stored.lsn).await;
    let instances = app.replication.instances().iter();
    let instances = instances.map(|instance| {
        let known = there.iter().flatten().find(|(id, _)| *id == instance.id);
        (instance.name.clone(), known.map_or_else(|| finished(stored.state), |(_, state)| *state))
    });
    Transaction {
        instances: instances.collect(),
        state: word(stored.state),
        transaction_id: stored.id,
        lsn: stored.lsn,
        method: stored.method,
        path: stored.path,
        accepted_at: time::iso_ms(stored.accepted_ms),
        decided_at: stored.decided_ms.map(time::iso_ms),
        result: stored.answer.map(TransactionResult::of),
    }
}

pub(super) fn word(state: TransactionState) -> &'static str {
    match state {
        TransactionState::Logged => "logged",
        TransactionState::Committed => "committed",
        TransactionState::Rejected => "rejected",
        TransactionState::Cancelled => "cancelled",
        TransactionState::Poisoned => "poisoned",
    }
}

/// Where a write stands that the core does not know any more, or, if just logged, not yet.
fn finished(state: TransactionState) -> StateThere {
    match state {
        TransactionState::Logged => StateThere::Pending,
        TransactionState::Committed => StateThere::Applied,
        TransactionState::Rejected | TransactionState::Cancelled | TransactionState::Poisoned => {
            StateThere::Void
        }
    }
}

impl TransactionResult {
    #[expect(clippy::needless_pass_by_value, reason = "fits `map`, and the answer ends here")]
    fn of(answer: Answer) -> Self {
        let text = || Value::String(String::from_utf8_lossy(&answer.body).into_owned());
        let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| text());
        Self { status: answer.status, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_write_is_applied_or_void_everywhere() {
        assert_eq!(finished(TransactionState::Committed), StateThere::Applied);
        assert_eq!(finished(TransactionState::Rejected), StateThere::Void);
        assert_eq!(finished(TransactionState::Cancelled), StateThere::Void);
        assert_eq!(finished(TransactionState::Poisoned), StateThere::Void);
        assert_eq!(finished(TransactionState::Logged), StateThere::Pending);
    }

    #[test]
    fn a_result_is_json_or_the_text_as_it_is() {
        let result = |body: &str| TransactionResult::of(Answer { status: 200, body: body.into() }).body;
        assert_eq!(result(r#"{"deleted":2}"#), serde_json::json!({"deleted": 2}));
        assert_eq!(result("Payload too large"), Value::from("Payload too large"));
    }
}
