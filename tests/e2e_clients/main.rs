//! What clients and operators see, through the real binary in front of two real Chroma servers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed expectation is the test's verdict, and a test may block its own thread"
)]

mod cluster;
mod identity;
mod official;
#[path = "../support/mod.rs"]
mod support;
mod use_cases;
