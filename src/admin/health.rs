//! `GET /health`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::status::{ARCHITECTURE, SERVICE, Status};
use super::{Operators, json};

#[derive(Serialize)]
struct Health {
    /// `healthy`, `degraded`, `initializing`, `fenced` or `error`.
    status: &'static str,
    /// As in `"1/2"`.
    healthy_instances: String,
    service: &'static str,
    architecture: &'static str,
    pending_writes: usize,
    oldest_pending_age_ms: Option<u64>,
}

/// 200 with at least one healthy instance, else 503, and while fenced.
pub(super) async fn health(State(operators): State<Operators>) -> Response {
    let status = Status::of(&operators).await;
    let (healthy, total) = (status.healthy_instances, status.total_instances);
    let fenced = status.fenced.is_some();
    let word =
        word(fenced, healthy, total, status.instances.iter().any(|instance| instance.state == "checking"));
    let body = Health {
        status: word,
        healthy_instances: format!("{healthy}/{total}"),
        service: SERVICE,
        architecture: ARCHITECTURE,
        pending_writes: status.unified_wal.pending_writes,
        oldest_pending_age_ms: status.unified_wal.oldest_pending_age_ms,
    };
    json(if healthy > 0 && !fenced { 200 } else { 503 }, &body)
}

fn word(fenced: bool, healthy: usize, total: usize, checking: bool) -> &'static str {
    match healthy {
        _ if fenced => "fenced",
        0 if checking => "initializing",
        0 => "error",
        all if all == total => "healthy",
        _ => "degraded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_tells_how_many_are_healthy() {
        assert_eq!(word(false, 2, 2, false), "healthy");
        assert_eq!(word(false, 1, 2, true), "degraded");
        assert_eq!(word(false, 0, 2, true), "initializing");
        assert_eq!(word(false, 0, 2, false), "error");
        assert_eq!(word(true, 1, 2, true), "fenced");
    }
}
