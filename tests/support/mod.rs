//! What the integration tests and the benchmarks share: real servers, faults, load and the comparer.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot be prepared fails, shows why, and may block its own thread"
)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers for display")]

pub mod api;
pub mod campaign;
pub mod chroma;
pub mod clock;
pub mod compare;
pub mod guardian;
pub mod history;
pub mod http;
pub mod isochrome;
pub mod load;
pub mod patience;
pub mod places;
pub mod process;
pub mod proxy;
pub mod scripts;
