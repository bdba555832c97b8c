//! `isochrome rebuild`: collections of an instance are copied to it again.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Exit, RebuildArgs, socket};

/// Asks for it, and prints what was begun.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the answer to the person who started the command"
)]
pub async fn rebuild(data_dir: &Path, args: &RebuildArgs) -> Exit {
    let request = json!({ "instance": args.instance, "collection": args.collection });
    let body = Bytes::from(request.to_string());
    let begun = match socket::ask(data_dir, Method::POST, "/admin/rebuild", body).await {
        Ok(reply) => socket::read::<Value>(&reply),
        Err(no_answer) => Err(no_answer.to_string()),
    };
    match begun {
        Ok(begun) => {
            let collections = begun["collections"].as_array().map_or(0, Vec::len);
            let instance = &args.instance;
            println!(
                "{collections} collections are copied to {instance} again; isochrome status shows how far that is"
            );
            Exit::Well
        }
        Err(reason) => {
            eprintln!("{reason}");
            Exit::Failed
        }
    }
}
