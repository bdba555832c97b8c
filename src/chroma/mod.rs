//! All that we know of Chroma's HTTP API. Pure: bytes in, facts out.

pub mod error;
pub mod ids;
pub mod rewrite;
