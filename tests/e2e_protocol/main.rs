//! What goes over the wire between clients, Isochrome and its instances: both versions of HTTP, encodings, limits.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed expectation is the test's verdict, and a test may block its own thread"
)]

mod browsers;
mod connections;
mod encodings;
mod expectations;
mod http2;
mod large;
mod passing;
mod recorder;
#[path = "../support/mod.rs"]
mod support;
mod wire;
mod world;
