//! An instance that lost its data is filled again from another one while clients read and write, whoever dies meanwhile.
//!
//! Every test runs the real binary in front of real Chroma servers, and ends with the comparer.

#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is the test's verdict")]
#![allow(clippy::print_stderr, reason = "a test tells what it measured, and its seed")]

mod asked;
mod disk;
mod index;
mod interrupted;
mod limits;
mod roster;
#[path = "../support/mod.rs"]
mod support;
mod world;
