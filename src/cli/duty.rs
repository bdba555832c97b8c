//! `isochrome drain`, `maintenance`, `resume` and `promote`: what an operator wants of an instance.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::{Exit, socket};
use crate::chroma::path::segment;

/// Asks for it, waits until it holds, and prints what that means. Fails where an instance is not drained in time.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the answer to the person who started the command"
)]
pub async fn act(data_dir: &Path, instance: &str, act: &str, force: bool) -> Exit {
    let path = format!("/admin/instances/{}/{act}?force={force}", segment(instance));
    let reply = socket::ask(data_dir, Method::POST, &path, Bytes::new()).await;
    match reply.map_err(|none| none.to_string()).and_then(|reply| socket::read::<Value>(&reply)) {
        Ok(done) => {
            println!("{}", text(instance, act, &done));
            if done["drained"].as_bool() == Some(false) { Exit::Failed } else { Exit::Well }
        }
        Err(reason) => {
            eprintln!("{reason}");
            Exit::Failed
        }
    }
}

fn text(instance: &str, act: &str, done: &Value) -> String {
    let what = match act {
        "drain" => "is drained: it follows, and answers and decides only where no other instance can",
        "maintenance" => {
            "is in maintenance: nothing is sent to it, and the log is kept for it until isochrome resume"
        }
        "promote" => "decides first, in each collection as soon as it has caught up there",
        _ => "serves again as soon as it is proven well and has caught up",
    };
    if done["drained"].as_bool() == Some(false) {
        return format!(
            "{instance} {what}; but not everything has ended there: {} collections that it decides, {} writes, {} reads",
            done["leads"], done["writes"], done["reads"]
        );
    }
    format!("{instance} {what}")
}
