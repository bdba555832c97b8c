//! All that we know of Chroma's HTTP API. Pure: bytes in, facts out.

pub mod ids;
