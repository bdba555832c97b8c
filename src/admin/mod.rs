//! What operators talk to: health, status, mappings, and the fate of writes.
//!
//! All of it is served on the socket of the command line, which only the owner of the data directory can open. Where
//! clients come in everything can be seen, and under `/admin/` nothing changed: nobody there has to say who he is.

mod asked;
mod cancel;
mod duty;
mod health;
mod jobs;
mod legacy;
mod mappings;
mod metrics;
mod poisoned;
mod rebuild;
mod reload;
pub mod socket;
pub mod status;
mod takeover;
mod time;
mod transactions;
mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::Method;
use serde::Serialize;

use crate::chroma::error::{ApiError, FORBIDDEN, NOT_FOUND};
use crate::gateway::{self, AppState, Code, Refusal};
use crate::repair::Repair;
use status::Status;

/// What the operators' handlers get. Cheap to clone.
#[derive(Clone)]
pub struct Operators {
    pub app: AppState,
    pub repair: Arc<Repair>,
}

impl FromRef<Operators> for AppState {
    fn from_ref(operators: &Operators) -> Self {
        Self::clone(&operators.app)
    }
}

/// The operators' routes, for the socket of the command line.
pub fn router(state: Operators) -> Router {
    let metered = (state.clone(), Arc::new(metrics::CpuMeter::new()));
    Router::new()
        .route("/health", get(health::health))
        .route("/status", get(show_status))
        .route("/wal/status", get(show_wal_status))
        .route("/collection/mappings", get(mappings::mappings))
        .route("/transactions/{id}", get(transactions::transaction).delete(cancel::cancel))
        .route("/admin/jobs", get(jobs::list))
        .route("/admin/jobs/{id}", get(jobs::show).delete(jobs::cancel))
        .route("/admin/verify", post(jobs::verify))
        .route("/admin/rebuild", post(rebuild::rebuild))
        .route("/admin/upgrade-chroma", post(upgrade::upgrade))
        .route("/admin/instances/{name}/{act}", post(duty::act))
        .route("/admin/poisoned", get(poisoned::list))
        .route("/admin/poisoned/{id}/discard", post(poisoned::discard))
        .route("/admin/poisoned/{id}/force", post(poisoned::force))
        .route("/admin/take-over", post(takeover::take_over))
        .route("/admin/{*path}", any(unknown_path))
        .with_state(state)
        .merge(Router::new().route("/metrics", get(metrics::metrics)).with_state(metered))
}

/// The same for where clients come in: what would change something under `/admin/` is refused.
pub fn public_router(state: Operators) -> Router {
    router(state).route_layer(middleware::from_fn(refuse_changes))
}

async fn refuse_changes(request: Request, next: Next) -> Response {
    let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if changes && request.uri().path().starts_with("/admin/") {
        let words = "This is taken on the socket of the command line only, admin.sock in the data directory: use the \
                     command isochrome on the machine itself, or curl --unix-socket";
        return Refusal::own(Code::SocketOnly, ApiError::new(403, FORBIDDEN, words)).into_response();
    }
    next.run(request).await
}

async fn unknown_path(request: Request) -> Response {
    let path = request.uri().path();
    Refusal::from(ApiError::new(404, NOT_FOUND, format!("There is no {path}"))).into_response()
}

async fn show_status(State(operators): State<Operators>) -> Response {
    json(200, &Status::of(&operators).await)
}

async fn show_wal_status(State(operators): State<Operators>) -> Response {
    json(200, &legacy::WalStatus::of(&Status::of(&operators).await))
}

fn json<T: Serialize>(status: u16, value: &T) -> Response {
    gateway::json(status, serde_json::to_vec(value).unwrap_or_default())
}
