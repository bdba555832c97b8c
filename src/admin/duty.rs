//! `POST /admin/instances/NAME/ACT`: an operator drains an instance, leaves it alone, has it serve again, has it decide
//! first, or lets it fall behind.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{asked, json};
use crate::chroma::error::{ApiError, CHROMA};
use crate::delivery::duty::Left;
use crate::gateway::{AppState, Code, Refusal};
use crate::wal::record::duty::{Duty, DutyChange};

/// How long an instance may take until it is drained.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
pub(super) struct Options {
    /// Also where no other instance serves.
    #[serde(default)]
    force: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Act {
    Drain,
    Maintenance,
    Resume,
    Promote,
    Release,
}

/// What became of it.
#[derive(Serialize)]
struct Done {
    instance: String,
    duty: Duty,
    /// Nothing that clients wait for is under way there.
    drained: bool,
    /// Lanes with something pending that it decides.
    leads: usize,
    /// Requests that carry writes.
    writes: usize,
    /// Reads of clients.
    reads: u32,
}

/// Answers when it holds; where something is drained, when that is done or takes too long.
pub(super) async fn act(
    State(app): State<AppState>,
    Path((name, act)): Path<(String, Act)>,
    Query(Options { force }): Query<Options>,
) -> Result<Response, Refusal> {
    let replication = &app.replication;
    let there = asked::in_path(replication, &name)?;
    let spares = matches!(act, Act::Drain | Act::Maintenance);
    if spares && !force && !replication.has_other_server(there.id).await {
        let words = format!(
            "No other instance serves now, so that clients would depend on {name} or get errors: bring another one back \
             first, or repeat this with --force"
        );
        return Err(ApiError::new(409, CHROMA, words).into());
    }
    let holds = match act {
        Act::Promote => replication.want(DutyChange::Preferred(Some(there.id))).await,
        Act::Resume => replication.want(DutyChange::Duty(there.id, Duty::Serve)).await,
        Act::Drain | Act::Maintenance => replication.want(DutyChange::Duty(there.id, Duty::Drain)).await,
        Act::Release => {
            replication.let_lag(there.id);
            true
        }
    };
    if !holds {
        return Err(later(&name));
    }
    let left = if spares { replication.drained(there.id, PATIENCE).await } else { None };
    if act == Act::Maintenance && !replication.want(DutyChange::Duty(there.id, Duty::Maintenance)).await {
        return Err(later(&name));
    }
    let duty = replication.duties().await.of(there.id);
    let Left { leads, writes, reads } = left.unwrap_or_default();
    Ok(json(200, &Done { instance: name, duty, drained: left.is_none(), leads, writes, reads }))
}

/// What is wanted is on its way to the log.
fn later(name: &str) -> Refusal {
    let words =
        format!("What you want of {name} is not on disk yet: the log can't be written; see isochrome status");
    Refusal::unavailable(Code::LogUnavailable, words)
}
