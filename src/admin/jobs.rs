//! `/admin/jobs`: long work of operators.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Operators, asked, json, time};
use crate::chroma::error::{ApiError, CHROMA, NOT_FOUND};
use crate::gateway::{Code, Refusal};
use crate::repair::jobs::{Job, JobId, NotCancelled, NotStarted, ProgressView};
use crate::repair::verify::Request;

#[derive(Serialize)]
struct Jobs<'a> {
    jobs: Vec<JobPage<'a>>,
}

/// A job with times as people read them.
#[derive(Serialize)]
pub(super) struct JobPage<'a> {
    id: JobId,
    /// What it does, such as `verify`.
    kind: &'a str,
    request: &'a serde_json::Value,
    /// `queued`, `running`, `interrupted`, `done`, `failed` or `cancelled`.
    state: &'static str,
    /// How often the process ended under it.
    interruptions: u64,
    /// ISO 8601.
    created_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    progress: Option<&'a ProgressView>,
    /// What came out, in a line; why it failed.
    summary: Option<&'a str>,
    /// What came out; null in lists, and until it is done.
    result: &'a serde_json::Value,
}

impl<'a> From<&'a Job> for JobPage<'a> {
    fn from(job: &'a Job) -> Self {
        Self {
            id: job.id,
            kind: &job.kind,
            request: &job.request,
            state: job.state.word(),
            interruptions: job.interruptions,
            created_at: time::iso_ms(job.created_ms),
            started_at: job.started_ms.map(time::iso_ms),
            ended_at: job.ended_ms.map(time::iso_ms),
            progress: job.progress.as_ref(),
            summary: job.summary.as_deref(),
            result: &job.result,
        }
    }
}

/// All jobs that are remembered, the newest first.
pub(super) async fn list(State(operators): State<Operators>) -> Response {
    match operators.repair.jobs.list().await {
        Ok(jobs) => json(200, &Jobs { jobs: jobs.iter().map(JobPage::from).collect() }),
        Err(error) => unavailable(&error).into_response(),
    }
}

/// One job with its result.
pub(super) async fn show(
    State(operators): State<Operators>,
    id: Result<Path<JobId>, PathRejection>,
) -> Response {
    let Ok(Path(id)) = id else { return unknown().into_response() };
    match operators.repair.jobs.get(id).await {
        Ok(Some(job)) => json(200, &JobPage::from(&job)),
        Ok(None) => unknown().into_response(),
        Err(error) => unavailable(&error).into_response(),
    }
}

/// Ends a job that is not over.
pub(super) async fn cancel(
    State(operators): State<Operators>,
    id: Result<Path<JobId>, PathRejection>,
) -> Response {
    let Ok(Path(id)) = id else { return unknown().into_response() };
    match operators.repair.jobs.cancel(id).await {
        Ok(job) => json(200, &JobPage::from(&job)),
        Err(NotCancelled::Unknown) => unknown().into_response(),
        Err(NotCancelled::Store(error)) => unavailable(&error).into_response(),
        Err(over @ NotCancelled::Over) => {
            let words = format!("Job [{}] can't be cancelled: {over}", id.0);
            Refusal::own(Code::NotCancelled, ApiError::new(409, CHROMA, words)).into_response()
        }
    }
}

/// Begins a comparison; 202 with its job.
pub(super) async fn verify(
    State(operators): State<Operators>,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<Response, Refusal> {
    let request = asked::body(request)?;
    if !operators.repair.verify.knows(&request) {
        return Err(ApiError::collection_not_found(request.collection.unwrap_or_default()).into());
    }
    if let Some(from) = &request.from {
        asked::in_body(&operators.app.replication, from)?;
    }
    let job = operators.repair.start_verify(&request).await.map_err(not_started)?;
    Ok(json(202, &JobPage::from(&job)))
}

/// Why there is no job.
pub(super) fn not_started(why: NotStarted) -> Refusal {
    match why {
        NotStarted::TooMany => Refusal::passing(Code::Overloaded, 429, why.to_string()),
        NotStarted::Store(error) => unavailable(&error),
    }
}

fn unknown() -> Refusal {
    ApiError::new(404, NOT_FOUND, "There is no such job; `isochrome jobs` lists them").into()
}

fn unavailable(error: &impl std::fmt::Display) -> Refusal {
    Refusal::unavailable(Code::LogUnavailable, format!("The jobs can't be read: {error}"))
}
