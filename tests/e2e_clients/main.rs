//! What clients and operators see, through the real binary in front of two real Chroma servers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed expectation is the test's verdict, and a test may block its own thread"
)]

mod bodies;
mod cluster;
mod commands;
mod faults;
mod freshness;
mod generations;
mod identity;
mod kept;
mod later;
mod metrics;
mod official;
mod operations;
mod operators;
mod pages;
mod passing;
mod poison;
mod reload;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod swallowed;
mod takeback;
mod transactions;
mod use_cases;
mod verify;
mod withdrawn;
