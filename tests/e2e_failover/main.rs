//! Servers die, hang, refuse and answer late; clients notice nothing, and afterwards the instances are the same.
//!
//! Every test runs the real binary in front of real Chroma servers, and ends with the comparer.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is the test's verdict")]
#![allow(clippy::print_stderr, reason = "a test tells what it measured")]

mod acknowledge;
mod answers;
mod backlog;
mod clock;
mod duty;
mod histories;
mod linearizable;
mod load;
mod outage;
mod probes;
mod reads;
mod spread;
#[path = "../support/mod.rs"]
mod support;
mod use_cases;
mod voids;
mod world;
