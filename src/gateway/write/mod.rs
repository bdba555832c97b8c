//! The write path: screen, resolve, log, and tell the verdict.
//!
//! Whatever comes after the body has arrived runs in a task of its own: the client's connection may break, the write
//! goes on.

mod records;
mod reset;
mod schema;
mod submission;

use std::future::Future;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use super::entry::Received;
use super::headers::TRACE_PARENT;
use super::state::AppState;
use super::transaction::id::{TransactionId, fingerprint};
use super::transaction::outcome::{self, Told};
use crate::chroma::route::Route;
use crate::delivery::handle::Until;
use submission::Sender;

/// Bodies over this are looked through on a thread that may block.
const LARGE_BYTES: usize = 256 * 1024;

/// Answers a write.
pub(super) async fn answer(app: &AppState, route: Route, request: Received) -> Response {
    let transaction = match TransactionId::of(&request.headers) {
        Ok(transaction) => transaction,
        Err(refusal) => return refusal.into_response(),
    };
    let request = Arc::new(request);
    let fingerprint = match fingerprint_of(&request).await {
        Ok(fingerprint) => fingerprint,
        Err(refusal) => return refusal.into_response(),
    };
    let id = transaction.id;
    let sender = Sender::new(id.clone(), fingerprint, &request);
    let until = sender.until;
    // The log sends what many wrote as one request, which can't carry the trace of each.
    let trace = request.headers.get(TRACE_PARENT).cloned();
    let work = Box::pin(execute(Arc::clone(app), route, request, sender, transaction.given));
    let (told, again) = if transaction.given {
        once(app, &id, fingerprint, until, work).await
    } else {
        (tokio::spawn(work).await.unwrap_or_else(|_| Told::Refused(outcome::undecided(&id))), false)
    };
    if again {
        app.counters.repeated();
    }
    if let Some(trace) = trace {
        tracing::debug!(transaction = id, traceparent = ?trace, "a traced write was answered");
    }
    told.into_response(&id)
}

/// Executes a write under an id that its sender gave, or waits for somebody else's execution of it, as long as this
/// sender wants to wait.
async fn once(
    app: &AppState,
    id: &str,
    fingerprint: u128,
    until: Until,
    work: impl Future<Output = Told> + Send + 'static,
) -> (Told, bool) {
    let executed = app.under_way.once(id, fingerprint, work);
    if until == Until::Logged {
        return tokio::select! {
            // Comes first, so that the execution begins in any case.
            biased;
            executed = executed => executed,
            logged = outcome::logged(&app.replication, id, fingerprint) => (logged, false),
        };
    }
    match executed.await {
        // It was somebody else's, who did not wait.
        (Told::Accepted { .. }, again) => {
            let wait = app.settings().write_wait;
            let told = outcome::repeat(&app.replication, id, fingerprint, until, wait).await;
            (told.unwrap_or_else(|| Told::Refused(outcome::undecided(id))), again)
        }
        executed => executed,
    }
}

async fn fingerprint_of(request: &Arc<Received>) -> Result<u128, Refusal> {
    let request = Arc::clone(request);
    let bytes = request.body.len();
    off_thread(bytes, move || fingerprint(request.method.as_str(), request.path_and_query(), &request.body))
        .await
}

/// Executes a write that nobody else executes at the same time under its id.
async fn execute(
    app: AppState,
    route: Route,
    request: Arc<Received>,
    sender: Sender,
    may_come_again: bool,
) -> Told {
    if may_come_again {
        let wait = app.settings().write_wait;
        let known =
            outcome::repeat(&app.replication, &sender.id, sender.fingerprint, sender.until, wait).await;
        if let Some(told) = known {
            app.counters.repeated();
            return if route == Route::Reset { reset::told(told) } else { told };
        }
    }
    perform(&app, route, &request, sender).await.unwrap_or_else(Told::Refused)
}

async fn perform(
    app: &AppState,
    route: Route,
    request: &Arc<Received>,
    sender: Sender,
) -> Result<Told, Refusal> {
    match route {
        Route::Records { tenant, database, collection, op } => {
            let place =
                super::resolve::Place { tenant: &tenant, database: &database, collection: &collection };
            records::write(app, request, place, op, sender).await
        }
        Route::Reset => reset::reset(app, request, sender).await,
        schema => schema::write(app, schema, request, sender).await,
    }
}

/// Runs what takes long for large bodies where it holds nobody up.
async fn off_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    if bytes <= LARGE_BYTES {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Refusal::unavailable(super::answer::Code::Stopping, "Isochrome is stopping; nothing was applied")
    })
}
