//! `isochrome drain`, `maintenance`, `resume`, `promote` and `release`: what an operator wants of an instance.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::{Exit, socket, tell};
use crate::chroma::path::segment;

/// Asks for it, waits until it holds, and prints what that means. Fails where an instance is not drained in time.
pub async fn act(data_dir: &Path, instance: &str, act: &str, force: bool) -> Exit {
    let path = format!("/admin/instances/{}/{act}?force={force}", segment(instance));
    let done = socket::answer(data_dir, Method::POST, &path, Bytes::new()).await;
    tell(done.and_then(|done| text(instance, act, &done)))
}

/// What holds now; an error where an instance that is to be drained is not.
fn text(instance: &str, act: &str, done: &Value) -> Result<String, String> {
    let what = match act {
        "drain" => "is drained: it follows, and answers and decides only where no other instance can",
        "maintenance" => {
            "is in maintenance: nothing is sent to it, and the log is kept for it until isochrome resume"
        }
        "release" => "may fall behind: no acknowledgement waits for it until it has caught up",
        "promote" => "decides first, in each collection as soon as it has caught up there",
        _ => "serves again as soon as it is proven well and has caught up",
    };
    if done["drained"].as_bool() == Some(false) {
        return Err(format!(
            "{instance} {what}; but not everything has ended there: {} collections that it decides, {} writes, {} reads",
            done["leads"], done["writes"], done["reads"]
        ));
    }
    Ok(format!("{instance} {what}"))
}
