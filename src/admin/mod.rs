//! What operators talk to: health, status, mappings, and the fate of writes.

mod cancel;
mod health;
mod legacy;
mod mappings;
mod metrics;
mod reload;
pub mod status;
mod time;
mod transactions;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use crate::gateway::{self, AppState};
use status::Status;

/// The operators' routes: merged with the gateway's for clients, alone on the socket of the command line.
pub fn router(state: AppState) -> Router {
    let metered = (state.clone(), Arc::new(metrics::CpuMeter::new()));
    Router::new()
        .route("/health", get(health::health))
        .route("/status", get(show_status))
        .route("/wal/status", get(show_wal_status))
        .route("/collection/mappings", get(mappings::mappings))
        .route("/transactions/{id}", get(transactions::transaction).delete(cancel::cancel))
        .with_state(state)
        .merge(Router::new().route("/metrics", get(metrics::metrics)).with_state(metered))
}

async fn show_status(State(app): State<AppState>) -> Response {
    json(200, &Status::of(&app).await)
}

async fn show_wal_status(State(app): State<AppState>) -> Response {
    json(200, &legacy::WalStatus::of(&Status::of(&app).await))
}

fn json<T: Serialize>(status: u16, value: &T) -> Response {
    gateway::json(status, serde_json::to_vec(value).unwrap_or_default())
}
