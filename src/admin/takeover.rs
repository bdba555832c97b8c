//! `POST /admin/take-over`: an operator chooses this log, where another Isochrome may have written.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Operators, asked, json};
use crate::chroma::error::{ApiError, CHROMA};
use crate::gateway::Refusal;
use crate::repair::takeover::Survey;

/// Whether it is done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// Only looked at where this is false.
    confirm: bool,
}

#[derive(Serialize)]
struct Answer {
    /// This log was chosen just now.
    taken: bool,
    #[serde(flatten)]
    survey: Survey,
}

/// 200 with what the instances show; 409 where this log can't be chosen.
pub(super) async fn take_over(
    State(operators): State<Operators>,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Request { confirm } = asked::body(request)?;
    let replication = &operators.app.replication;
    let survey = Survey::of(replication).await;
    if confirm && let Err(why) = survey.take_over(replication) {
        return Err(ApiError::new(409, CHROMA, why.to_string()).into());
    }
    Ok(json(200, &Answer { taken: confirm, survey }))
}
