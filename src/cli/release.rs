//! `isochrome release`: an instance may fall behind, and nobody waits for it.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Exit, socket};

/// Asks for it, and prints that it is done.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the answer to the person who started the command"
)]
pub async fn release(data_dir: &Path, instance: &str) -> Exit {
    let body = Bytes::from(json!({ "instance": instance }).to_string());
    let released = match socket::ask(data_dir, Method::POST, "/admin/release", body).await {
        Ok(reply) => socket::read::<Value>(&reply),
        Err(no_answer) => Err(no_answer.to_string()),
    };
    match released {
        Ok(_) => {
            println!("No acknowledgement waits for {instance} until it has caught up");
            Exit::Well
        }
        Err(reason) => {
            eprintln!("{reason}");
            Exit::Failed
        }
    }
}
