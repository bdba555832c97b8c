//! Where every request of Chroma's API arrives.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};

use super::admission::Place;
use super::answer::{self, Refusal};
use super::body::{self, NoBody};
use super::compress::Wish;
use super::decode;
use super::measure::Class;
use super::state::AppState;
use super::{read, write};
use crate::chroma::error::{ApiError, PAYLOAD_TOO_LARGE};
use crate::chroma::route::{self, RecordOp, Route};

/// A request with its whole body.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Kept until the request is done with.
    pub(super) place: Place,
}

impl Received {
    /// Path and query as they were sent.
    pub(super) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

/// The same as [`answer`], for a router.
pub(super) async fn serve(State(app): State<AppState>, request: Request) -> Response {
    answer(&app, request).await
}

/// Answers one request.
pub(super) async fn answer(app: &AppState, request: Request) -> Response {
    let (active, began) = (app.counters.begin(), Instant::now());
    let wish = Wish::of(request.method(), request.headers(), app.settings().compress_min_bytes);
    let route = route::parse(request.method().as_str(), request.uri().path());
    let class = Class::of(&route);
    let response = handle(app, route, request).await.unwrap_or_else(Refusal::into_response);
    app.counters.answered(response.status().as_u16());
    app.measures.answered(class, response.status(), response.headers(), began.elapsed());
    drop(active);
    match wish {
        Some(wish) => wish.fulfil(response).await,
        None => response,
    }
}

async fn handle(app: &AppState, route: Route, request: Request) -> Result<Response, Refusal> {
    let (mut parts, body) = request.into_parts();
    if let Some(answer) = answer_at_once(&route) {
        body::drain(&parts.headers, body);
        return answer;
    }
    if let Some(fenced) = app.replication.fenced() {
        body::drain(&parts.headers, body);
        return Err(Refusal::fenced(&fenced));
    }
    if let Err(error) = check_content_type(&route, &parts.headers) {
        body::drain(&parts.headers, body);
        return Err(error.into());
    }
    let encoding = match decode::encoding(&parts.headers) {
        Ok(encoding) => encoding,
        Err(refusal) => {
            body::drain(&parts.headers, body);
            return Err(refusal);
        }
    };
    let (place, body) = match take_body(app, &mut parts.headers, encoding, body).await {
        Ok(taken) => taken,
        Err(NoBody::TooLarge) if says_too_large_in_text(&route) => {
            return Ok(answer::text(413, PAYLOAD_TOO_LARGE));
        }
        Err(no_body) => return Err(no_body.refusal()),
    };
    let request = Received { method: parts.method, uri: parts.uri, headers: parts.headers, body, place };
    if route.is_write() {
        app.counters.write();
        // Boxed, for it is large, and the more common reads carry its room around.
        Ok(Box::pin(write::answer(app, route, request)).await)
    } else {
        app.counters.read();
        read::answer(app, route, request).await
    }
}

async fn take_body(
    app: &AppState,
    headers: &mut HeaderMap,
    encoding: Option<&'static str>,
    body: Body,
) -> Result<(Place, Bytes), NoBody> {
    let mut place = match app.admission.enter().await {
        Ok(place) => place,
        Err(refusal) => {
            body::drain(headers, body);
            return Err(NoBody::Refused(refusal));
        }
    };
    let limits = {
        let settings = app.settings();
        body::Limits { max_bytes: settings.max_body_bytes, late: settings.body_late }
    };
    let body = body::not_too_large(headers, body, limits.max_bytes)?;
    let body = match encoding {
        Some(encoding) => decode::decode(encoding, headers, body).await,
        None => body,
    };
    let body = body::collect(&app.admission, &mut place, headers, body, limits).await?;
    Ok((place, body))
}

/// What needs neither a body nor an instance.
fn answer_at_once(route: &Route) -> Option<Result<Response, Refusal>> {
    Some(match route {
        Route::NotFound => Ok(answer::empty(404)),
        Route::MethodNotAllowed { allow } => Ok(answer::method_not_allowed(allow)),
        Route::V1 => Err(ApiError::v1_gone().into()),
        Route::Crn { crn } => Err(ApiError::crn(crn).into()),
        Route::Malformed(error) => Err(error.clone().into()),
        _ => return None,
    })
}

/// Operations that take a body take JSON only.
fn check_content_type(route: &Route, headers: &HeaderMap) -> Result<(), ApiError> {
    let takes_body = match route {
        Route::CreateTenant
        | Route::ModifyTenant { .. }
        | Route::CreateDatabase { .. }
        | Route::CreateCollection { .. }
        | Route::ModifyCollection { .. } => true,
        Route::Records { op, .. } => *op != RecordOp::Count,
        _ => false,
    };
    if !takes_body {
        return Ok(());
    }
    let value = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    ApiError::check_content_type(value)
}

/// Some operations check the length themselves, and say so in plain text.
fn says_too_large_in_text(route: &Route) -> bool {
    match route {
        Route::Records { op, .. } => {
            matches!(op, RecordOp::Add | RecordOp::Upsert | RecordOp::Update | RecordOp::Query)
        }
        Route::Unavailable { .. } => true,
        _ => false,
    }
}
