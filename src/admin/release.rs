//! `POST /admin/release`: an operator lets an instance fall behind, so that nobody waits for it.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{Operators, json};
use crate::chroma::error::ApiError;
use crate::gateway::Refusal;

/// Who is to be waited for no longer.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The instance's name.
    instance: String,
}

/// Releases it until it has caught up; 202 with its name.
pub(super) async fn release(
    State(operators): State<Operators>,
    request: Result<Json<Request>, JsonRejection>,
) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => return Refusal::from(ApiError::invalid(rejection.body_text())).into_response(),
    };
    let replication = &operators.app.replication;
    let Some(there) = replication.instances().iter().find(|there| there.name == request.instance) else {
        let words = format!("There is no instance {}", request.instance);
        return Refusal::from(ApiError::invalid(words)).into_response();
    };
    replication.let_lag(there.id);
    json(202, &request)
}
