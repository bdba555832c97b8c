//! What became of a write, as its sender is told.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::once::mismatch;
use super::prefer::RESPOND_ASYNC;
use crate::chroma::path;
use crate::delivery::handle::{Replication, Until, Written};
use crate::gateway::answer::{self, Code, Refusal};
use crate::gateway::headers;
use crate::replication::event::Reply;
use crate::wal::record::{Answer, Lsn};
use crate::wal::{LogError, StoredTransaction, TransactionState};

/// Pause between two looks at a transaction that is waited for.
pub const DECISION_POLL: Duration = Duration::from_millis(25);
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Seconds after which it makes sense to ask for an open outcome.
const ASK_AFTER_S: u32 = 2;

/// What the sender of a write is told. Cheap enough to be told to several.
#[derive(Clone, Debug)]
pub(in crate::gateway) enum Told {
    /// The verdict, or what a read gave in its place.
    Answer(Answer),
    /// Logged, and its sender does not wait for the verdict.
    Accepted {
        lsn: Lsn,
    },
    /// Taken back by its sender.
    Cancelled(Answer),
    /// Withdrawn: instances did not survive it.
    Poisoned(Answer),
    Refused(Refusal),
}

impl Told {
    /// What an attempt to log came to.
    pub(in crate::gateway) fn of(written: Written, id: &str) -> Self {
        match written {
            Written::Logged { reply: Reply::Verdict(answer), .. } => Self::Answer(answer),
            Written::Logged { reply: Reply::Cancelled(answer), .. } => Self::Cancelled(answer),
            Written::Logged { reply: Reply::Poisoned(answer), .. } => Self::Poisoned(answer),
            Written::Logged { reply: Reply::Unknown, .. } => Self::Refused(undecided(id)),
            Written::Accepted { lsn } => Self::Accepted { lsn },
            Written::NotLogged { reason } => Self::Refused(not_logged(&reason)),
            Written::Overloaded => Self::Refused(Refusal::unavailable(
                Code::Overloaded,
                "Too many writes wait; this one was not logged, and nothing of it was applied",
            )),
            Written::Stopping => Self::Refused(Refusal::unavailable(
                Code::Stopping,
                format!(
                    "Isochrome is stopping; ask GET /transactions/{id} afterwards whether this was logged"
                ),
            )),
        }
    }

    /// The response, with the transaction's id.
    pub(in crate::gateway) fn into_response(self, id: &str) -> Response {
        let mut response = match self {
            Self::Answer(answer) => answer::from_log(&answer),
            Self::Accepted { lsn } => accepted(id, lsn),
            Self::Cancelled(answer) => coded(&answer, Code::Cancelled),
            Self::Poisoned(answer) => coded(&answer, Code::Poisoned),
            Self::Refused(refusal) => refusal.into_response(),
        };
        if let Ok(id) = HeaderValue::from_str(id) {
            response.headers_mut().insert(headers::TRANSACTION_ID, id);
        }
        response
    }
}

/// An answer that the log keeps, of an error that is ours.
fn coded(answer: &Answer, code: Code) -> Response {
    let code = HeaderValue::from_static(code.word());
    answer::with_header(answer::from_log(answer), headers::ERROR_CODE, code)
}

/// 202: logged, and where to ask for the outcome.
fn accepted(id: &str, lsn: Lsn) -> Response {
    #[derive(Serialize)]
    struct Shown<'a> {
        transaction_id: &'a str,
        lsn: Lsn,
        state: &'static str,
    }
    let body = serde_json::to_vec(&Shown { transaction_id: id, lsn, state: "logged" }).unwrap_or_default();
    let mut response = answer::json(202, body);
    if let Ok(location) = HeaderValue::from_str(&format!("/transactions/{}", path::segment(id))) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
    response
}

/// What is told to one who repeats a transaction; `None` where the log does not know it. Waits up to `wait` for an
/// outcome that is open, unless its sender does not want to wait.
pub(in crate::gateway) async fn repeat(
    replication: &Replication,
    id: &str,
    fingerprint: u128,
    until: Until,
    wait: Duration,
) -> Option<Told> {
    let wait = if until == Until::Logged { Duration::ZERO } else { wait };
    let stored = match wait_for(replication, id, wait).await {
        Ok(stored) => stored?,
        Err(error) => return Some(Told::Refused(not_logged(&error.to_string()))),
    };
    if stored.fingerprint != fingerprint {
        return Some(Told::Refused(mismatch(id)));
    }
    Some(match (stored.state, stored.answer) {
        (TransactionState::Committed | TransactionState::Rejected, Some(answer)) => Told::Answer(answer),
        (TransactionState::Cancelled, Some(answer)) => Told::Cancelled(answer),
        (TransactionState::Poisoned, Some(answer)) => Told::Poisoned(answer),
        _ if until == Until::Logged => Told::Accepted { lsn: stored.lsn },
        _ => Told::Refused(undecided(id)),
    })
}

/// Waits until the log knows a transaction whose outcome is open.
pub(in crate::gateway) async fn logged(replication: &Replication, id: &str, fingerprint: u128) -> Told {
    loop {
        sleep(DECISION_POLL).await;
        if let Ok(Some(stored)) = replication.transaction(id).await
            && is_open(&stored)
        {
            if stored.fingerprint != fingerprint {
                return Told::Refused(mismatch(id));
            }
            return Told::Accepted { lsn: stored.lsn };
        }
    }
}

/// Looks a transaction up, and waits up to `wait` while its outcome is open.
///
/// # Errors
/// The log can't be read.
pub async fn wait_for(
    replication: &Replication,
    id: &str,
    wait: Duration,
) -> Result<Option<StoredTransaction>, LogError> {
    let until = Instant::now() + wait;
    loop {
        let stored = replication.transaction(id).await?;
        if !stored.as_ref().is_some_and(is_open) || Instant::now() >= until {
            return Ok(stored);
        }
        sleep(DECISION_POLL).await;
    }
}

/// True while nobody can say what becomes of it.
#[must_use]
pub fn is_open(transaction: &StoredTransaction) -> bool {
    transaction.state == TransactionState::Logged
}

/// 503: logged, and open.
pub(in crate::gateway) fn undecided(id: &str) -> Refusal {
    let message = format!(
        "The write is logged and will be applied, but its outcome is not known yet; ask GET /transactions/{id}"
    );
    let mut refusal = Refusal::unavailable(Code::Undecided, message);
    refusal.retry_after_s = Some(ASK_AFTER_S);
    refusal
}

fn not_logged(reason: &str) -> Refusal {
    let message = format!("The write could not be logged, and nothing of it was applied: {reason}");
    Refusal::passing(Code::LogUnavailable, 507, message)
}
