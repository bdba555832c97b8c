//! `POST /admin/upgrade-chroma`: an operator wants another version of Chroma on the managed servers.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;

use super::jobs::{JobPage, not_started};
use super::{Operators, asked, json};
use crate::chroma::error::{ApiError, CHROMA};
use crate::gateway::Refusal;
use crate::repair::upgrade::{NotUpgraded, Request};

/// Begins an upgrade; 202 with its job.
pub(super) async fn upgrade(
    State(operators): State<Operators>,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<Response, Refusal> {
    let request = asked::body(request)?;
    let job = operators.repair.start_upgrade(&request).await.map_err(|why| match why {
        NotUpgraded::Wrong(words) => ApiError::invalid(words).into(),
        NotUpgraded::NotNow(words) => ApiError::new(409, CHROMA, words).into(),
        NotUpgraded::NotStarted(why) => not_started(why),
    })?;
    Ok(json(202, &JobPage::from(&job)))
}
