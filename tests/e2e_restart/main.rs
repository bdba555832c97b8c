//! Isochrome itself is killed, stopped and started again, alone and together with servers: what was acknowledged is on
//! every instance, and whoever was not answered can ask.
//!
//! Every test runs the real binary in front of real Chroma servers, and ends with the comparer.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is the test's verdict")]
#![allow(clippy::print_stderr, reason = "a test tells what it measured, and its seed")]

mod adopt;
mod disk;
mod epochs;
mod kills;
mod ledger;
mod managed;
mod space;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;
mod versions;
