//! The same request to one Chroma server and to Isochrome: status, headers and parsed body must be the same, but
//! for what `docs/compatibility.md` lists with its reason.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a failed expectation is the test's verdict, a random test prints its seed, and a test may block"
)]

mod allowed;
mod body;
mod documented;
mod generate;
mod identities;
mod openapi;
mod operations;
mod pair;
mod play;
mod random;
mod request;
mod stories;
#[path = "../support/mod.rs"]
mod support;
