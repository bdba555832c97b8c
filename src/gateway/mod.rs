//! What clients talk to: Chroma's HTTP API, answered as one server would.
//!
//! ```text
//! entry ──▶ admission, body ──▶ route ──▶ write: screen → resolve → log → verdict
//!                                   └───▶ read: permit → choose → forward → hold or relay
//! ```
//!
//! Everything that is Chroma's goes through one fallback handler, because Chroma's routes are matched by
//! [`crate::chroma::route`], byte by byte as Chroma does it.

mod admission;
mod answer;
mod body;
mod compress;
pub mod counters;
mod decode;
mod entry;
mod headers;
pub mod listener;
mod measure;
mod read;
mod resolve;
mod state;
mod transaction;
mod write;

use axum::Router;
use http::{HeaderValue, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

pub(crate) use answer::json;
pub use answer::{Code, Refusal};
pub use state::{AppState, Gateway, LastReload, LimitsView};
pub use transaction::outcome::wait_for;

/// Chroma's API. The operators' routes are merged in by the caller; this router is the fallback for all else.
///
/// Pages of these origins may call it from a browser, as those of Chroma's `cors_allow_origins` may call Chroma.
pub fn router(state: AppState, origins: &[String]) -> Router {
    let router = Router::new().fallback(entry::serve).with_state(state);
    if origins.is_empty() {
        return router;
    }
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    // In Chroma's version of the layer that is the default.
    let vary =
        [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS];
    router.layer(CorsLayer::new().allow_origin(origin).allow_methods(Any).allow_headers(Any).vary(vary))
}
