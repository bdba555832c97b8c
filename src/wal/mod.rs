//! The durable log.

pub mod record;
