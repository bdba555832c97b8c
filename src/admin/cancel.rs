//! `DELETE /transactions/{id}`: a sender takes its write back.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use tokio::time::sleep;

use super::transactions::{shown, unknown, unreadable, word};
use crate::chroma::error::{ApiError, CHROMA};
use crate::gateway::{AppState, Code, Refusal};
use crate::replication::event::NotCancelled;
use crate::wal::{StoredTransaction, TransactionState};

/// Looks at a write that the log knows and the core does not: it is on its way to the core, or just finished.
const LOOKS: u32 = 200;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(5);

/// Takes a write back where none of it was sent to an instance. A repetition gives the same page.
pub(super) async fn cancel(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    match take_back(&app, &id).await {
        Ok(cancelled) => shown(&app, cancelled).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn take_back(app: &AppState, id: &str) -> Result<StoredTransaction, Refusal> {
    for _ in 0..LOOKS {
        let stored = app.replication.transaction(id).await.map_err(|error| unreadable(&error))?;
        let stored = stored.ok_or_else(|| unknown(id))?;
        match stored.state {
            TransactionState::Cancelled => return Ok(stored),
            TransactionState::Logged => {}
            decided => return Err(refuse(id, &format!("it is {}", word(decided)))),
        }
        match app.replication.cancel(stored.lane, stored.lsn).await {
            // The log tells of it in the next look.
            Ok(()) => {}
            // As it does of a verdict.
            Err(NotCancelled::Unknown) => sleep(PAUSE).await,
            Err(why) => return Err(refuse(id, &words(app, why))),
        }
    }
    Err(Refusal::unavailable(Code::NotCancelled, format!("Transaction [{id}] is on its way; try again")))
}

fn words(app: &AppState, why: NotCancelled) -> String {
    match why {
        NotCancelled::Unknown | NotCancelled::Decided => "it is decided".to_owned(),
        NotCancelled::BeforeStart => {
            "it was accepted before the last start, so that it may have been sent".to_owned()
        }
        NotCancelled::Sent { instance } => {
            let name = app.replication.instances().get(instance.index()).map(|instance| &instance.name);
            format!("it was sent to the instance {}", name.map_or("", String::as_str))
        }
        NotCancelled::ReliedUpon => "another write was decided in view of it".to_owned(),
    }
}

fn refuse(id: &str, why: &str) -> Refusal {
    let error = ApiError::new(409, CHROMA, format!("Transaction [{id}] can't be cancelled: {why}"));
    Refusal::own(Code::NotCancelled, error)
}
