//! Isochrome keeps several Chroma servers identical and puts one address in front of them.
//!
//! The arrows between the modules point one way:
//! `gateway, admin -> delivery -> replication -> wal, catalog, instances -> chroma, config`.
//! `chroma`, `catalog`, `replication` and `wal::record` are pure: no I/O, no clock, no randomness.

#![forbid(unsafe_code)]

pub mod admin;
pub mod catalog;
pub mod chroma;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod gateway;
pub mod instances;
pub mod metrics;
pub mod repair;
pub mod replication;
pub mod resources;
pub mod wal;
