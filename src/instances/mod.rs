//! The Chroma servers: connections to them, and what is known of their health.

pub mod client;
pub mod health;
pub mod marker;
pub mod reason;
