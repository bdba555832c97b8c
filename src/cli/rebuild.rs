//! `isochrome rebuild`: collections of an instance are copied to it again.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Exit, RebuildArgs, socket, tell};

/// Asks for it, and prints what was begun.
pub async fn rebuild(data_dir: &Path, args: &RebuildArgs) -> Exit {
    let RebuildArgs { instance, collection, .. } = args;
    let body = Bytes::from(json!({ "instance": instance, "collection": collection }).to_string());
    let begun = socket::answer::<Value>(data_dir, Method::POST, "/admin/rebuild", body).await;
    tell(begun.map(|begun| {
        let collections = begun["collections"].as_array().map_or(0, Vec::len);
        format!(
            "{collections} collections are copied to {instance} again; isochrome status shows how far that is"
        )
    }))
}
