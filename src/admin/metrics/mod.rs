//! `GET /metrics`: figures for Prometheus, or the predecessor's few in JSON.
//!
//! | room | job |
//! | --- | --- |
//! | `accept` | which form the client wants |
//! | `page` | writes families of samples; `prometheus-client` spells them |
//! | `plain` | the older text format, from the newer one |
//! | `requests`, `instances`, `log`, `verify`, `process` | the families, by what they are about |
//! | `legacy` | the predecessor's JSON |
//!
//! Labels have few values: classes of requests, statuses, names of instances. Never a collection or an id.

mod accept;
mod instances;
mod legacy;
mod log;
mod page;
mod plain;
mod process;
mod requests;
mod verify;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Operators;
use super::status::Status;
use crate::gateway::AppState;
use crate::wal::WalStats;
use accept::Form;
pub(super) use legacy::CpuMeter;
use page::Page;

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// All that the page is made from.
struct Snapshot {
    app: AppState,
    status: Status,
}

impl Snapshot {
    fn log(&self) -> Option<&WalStats> {
        self.status.log.as_ref()
    }
}

/// The figures now, in the form that the client prefers.
pub(super) async fn metrics(
    State((operators, cpu)): State<(Operators, Arc<CpuMeter>)>,
    headers: HeaderMap,
) -> Response {
    let wanted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let form = accept::preferred(wanted);
    if form == Form::Json {
        return super::json(200, &legacy::figures(&operators.app, &cpu));
    }
    let snapshot = Snapshot { status: Status::of(&operators).await, app: operators.app };
    let Ok(text) = page::write(move |page| families(page, &snapshot)) else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, String::new());
    };
    match form {
        Form::Plain => answer(StatusCode::OK, PLAIN, plain::from_openmetrics(&text)),
        _ => answer(StatusCode::OK, OPENMETRICS, text),
    }
}

fn families(page: &mut Page<'_>, snapshot: &Snapshot) -> std::fmt::Result {
    requests::write(page, snapshot)?;
    instances::write(page, snapshot)?;
    log::write(page, snapshot)?;
    verify::write(page, snapshot)?;
    process::write(page)
}

fn answer(status: StatusCode, form: HeaderValue, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, form);
    response
}
