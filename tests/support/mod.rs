//! What the integration tests and the benchmarks share: real servers, faults, load and the comparer.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod api;
pub mod chroma;
pub mod compare;
pub mod guardian;
pub mod http;
pub mod isochrome;
pub mod load;
pub mod places;
pub mod process;
pub mod proxy;
pub mod scripts;
