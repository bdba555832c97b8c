//! `isochrome poisoned`, `discard` and `force`: writes that were withdrawn because instances did not survive them.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::{Exit, socket, tell};
use crate::chroma::path::segment;

/// Where the running process takes it.
const PATH: &str = "/admin/poisoned";

/// Prints the withdrawn writes that are kept, as text or as the JSON that it is made from.
pub async fn list(data_dir: &Path, json: bool) -> Exit {
    let all = ask(data_dir, Method::GET, PATH).await;
    tell(all.map(|all| if json { all.to_string() } else { text(&all) }))
}

/// Gives one up.
pub async fn discard(data_dir: &Path, id: &str) -> Exit {
    let path = format!("{PATH}/{}/discard", segment(id));
    let done = ask(data_dir, Method::POST, &path).await;
    tell(done.map(|done| format!("discarded: {} is kept no longer", done["lsn"])))
}

/// Sends one again in spite of what happened.
pub async fn force(data_dir: &Path, id: &str) -> Exit {
    let path = format!("{PATH}/{}/force", segment(id));
    let done = ask(data_dir, Method::POST, &path).await;
    tell(done.map(|done| {
        let id = done["forced_as"].as_str().unwrap_or_default();
        format!("sent again as a new write; ask GET /transactions/{id} what became of it")
    }))
}

/// Asks without a body.
async fn ask(data_dir: &Path, method: Method, path: &str) -> Result<Value, String> {
    socket::answer(data_dir, method, path, Bytes::new()).await
}

/// A line for each.
fn text(all: &Value) -> String {
    let lines = all.as_array().into_iter().flatten().map(|one| {
        let word = |key: &str| one[key].as_str().unwrap_or("-");
        let blocks = if one["blocks"] == true {
            "; the collection is out of use until it is dropped or this is discarded"
        } else {
            ""
        };
        format!(
            "{} ({}): {} {}, accepted {}, {} bytes; {} died or stopped writing under it{blocks}",
            word("transaction_id"),
            one["lsn"],
            word("method"),
            word("path"),
            word("accepted_at"),
            one["body_bytes"],
            word("instance"),
        )
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "no write was withdrawn".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_told_a_line_each() {
        assert_eq!(text(&json!([])), "no write was withdrawn");
        let one = json!({ "lsn": 7, "transaction_id": "tx", "method": "POST", "path": "/add", "blocks": true,
            "accepted_at": "then", "body_bytes": 9, "instance": "a" });
        let told = text(&json!([one]));
        assert!(told.starts_with("tx (7): POST /add, accepted then, 9 bytes; a died"), "{told}");
        assert!(told.ends_with("is discarded"), "{told}");
    }
}
