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
pub mod counters;
mod entry;
mod headers;
mod measure;
mod read;
mod resolve;
mod state;
mod transaction;
mod write;

use axum::Router;

pub(crate) use answer::json;
pub use answer::{Code, Refusal};
pub use state::{AppState, Gateway, LastReload, LimitsView};
pub use transaction::outcome::wait_for;

/// Chroma's API. The operators' routes are merged in by the caller; this router is the fallback for all else.
pub fn router(state: AppState) -> Router {
    Router::new().fallback(entry::serve).with_state(state)
}
