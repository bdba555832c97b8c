//! All that we know of Chroma's HTTP API. Pure: bytes in, facts out.
//!
//! - [`route`]: which operation a request is; [`page`]: the query string of lists;
//!   [`path`]: the paths that we send ourselves
//! - [`scan`]: what a record write or delete contains, and whether it is dangerous
//! - [`splice`]: several record writes as one request
//! - [`requests`]: bodies that we make ourselves
//! - [`copies`]: what is asked for when a collection is copied to another server
//! - [`collections`]: bodies of create and modify
//! - [`answers`]: what an instance's answer means; [`rewrite`]: real ids replaced in it
//! - [`error`]: Chroma's error shape and words

pub mod answers;
pub mod collections;
pub mod copies;
pub mod error;
pub mod ids;
mod json;
pub mod page;
pub mod path;
pub mod requests;
pub mod rewrite;
pub mod route;
pub mod scan;
pub mod splice;
