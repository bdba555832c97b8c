//! The Chroma servers: connections to them, what is known of their health, and those of our own.

pub mod breaker;
pub mod claims;
pub mod client;
pub mod epoch;
pub mod fence;
pub mod health;
mod heartbeat;
pub mod kept;
pub mod load;
pub mod managed;
pub mod marker;
pub mod processes;
pub mod proof;
pub mod reason;
pub mod restore;
mod system;
pub mod turn;
pub mod wires;
