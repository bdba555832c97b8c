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
pub mod workers;
mod write;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method, header};
use tower::Service;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

pub(crate) use answer::json;
pub use answer::{Code, Refusal};
pub use state::{AppState, Gateway, LastReload, LimitsView};
pub use transaction::outcome::wait_for;

/// Where Chroma's API lies.
const CHROMAS: &str = "/api/";

/// Everything that is served on the port for clients: Chroma's API, and the operators' routes.
#[derive(Clone)]
pub struct Front {
    app: AppState,
    all: Router,
    /// Requests of Chroma's API need nothing of what the router does.
    is_direct: bool,
}

impl Front {
    /// `operators` are the routes that are not Chroma's; none of them lies under [`CHROMAS`].
    ///
    /// Pages of these origins may call Chroma's API from a browser, as those of Chroma's `cors_allow_origins` may call
    /// Chroma.
    pub fn new(app: AppState, origins: &[String], operators: Router) -> Self {
        let all = router(app.clone(), origins).merge(operators);
        Self { app, all, is_direct: origins.is_empty() }
    }

    /// Answers a request.
    async fn answer(&self, request: Request) -> Response {
        // The router takes the body from the answer to a HEAD.
        if self.is_direct && request.uri().path().starts_with(CHROMAS) && request.method() != Method::HEAD {
            return entry::answer(&self.app, request).await;
        }
        let mut all = self.all.clone();
        let Ok(answer) = Box::pin(all.call(request)).await;
        answer
    }
}

/// Chroma's API. The operators' routes are merged in; this router is the fallback for all else.
fn router(state: AppState, origins: &[String]) -> Router {
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
