//! What operators ask with: the body of a request, and the instance that it names.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;

use crate::chroma::error::{ApiError, NOT_FOUND};
use crate::delivery::handle::Replication;
use crate::gateway::Refusal;
use crate::instances::client::Instance;

/// The body, or 400 with what is wrong in it.
pub(super) fn body<T>(request: Result<Json<T>, JsonRejection>) -> Result<T, Refusal> {
    let Json(request) = request.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    Ok(request)
}

/// The instance that a path names, or 404.
pub(super) fn in_path<'a>(replication: &'a Replication, name: &str) -> Result<&'a Arc<Instance>, Refusal> {
    let unknown = || ApiError::new(404, NOT_FOUND, words(name)).into();
    replication.instance_named(name).ok_or_else(unknown)
}

/// The instance that a body names, or 400.
pub(super) fn in_body<'a>(replication: &'a Replication, name: &str) -> Result<&'a Arc<Instance>, Refusal> {
    replication.instance_named(name).ok_or_else(|| ApiError::invalid(words(name)).into())
}

fn words(name: &str) -> String {
    format!("There is no instance {name}")
}
