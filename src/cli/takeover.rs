//! `isochrome take-over`: this log is chosen, where another Isochrome may have written.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Exit, socket, tell};

/// Shows what the instances hold that this log does not, and chooses it where `confirm` says so.
pub async fn take_over(data_dir: &Path, confirm: bool) -> Exit {
    let body = Bytes::from(json!({ "confirm": confirm }).to_string());
    let answer = socket::answer(data_dir, Method::POST, "/admin/take-over", body).await;
    tell(answer.map(|answer| text(&answer)))
}

fn text(answer: &Value) -> String {
    let mut lines =
        vec![format!("this log ends at write {}, and has epoch {}", answer["log_ends_at"], answer["epoch"])];
    let ends_at = answer["log_ends_at"].as_u64().unwrap_or_default();
    for instance in answer["instances"].as_array().into_iter().flatten() {
        let name = instance["name"].as_str().unwrap_or("-");
        let not_seen = instance["not_seen"].as_str().unwrap_or_default();
        if !not_seen.is_empty() {
            lines.push(format!("  {name}: {not_seen}"));
            continue;
        }
        let told = instance["told_up_to"].as_u64().unwrap_or_default();
        lines.push(format!("  {name}: has epoch {}, and was told of writes up to {told}", instance["epoch"]));
        if told > ends_at {
            lines.push(format!(
                "    up to {} writes are on it, or lost, that this log does not hold",
                told - ends_at
            ));
        }
        for (key, what) in [("missing", "gone"), ("strange", "not in this log")] {
            for one in instance[key].as_array().into_iter().flatten() {
                lines.push(format!("    {what}: {}", one.as_str().unwrap_or_default()));
            }
        }
    }
    lines.push(if answer["taken"] == true {
        "This Isochrome takes over; the instances are used in a few seconds. Compare them then: isochrome verify --repair"
            .to_owned()
    } else {
        "Nothing was changed. Stop the other Isochrome; then isochrome take-over --yes chooses this one".to_owned()
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_is_told_before_the_choice() {
        let answer = json!({ "taken": false, "epoch": 3, "log_ends_at": 10, "instances": [
            { "name": "a", "not_seen": "", "epoch": 4, "told_up_to": 12, "missing": [], "strange": ["collection \"x\" in t/d"] },
            { "name": "b", "not_seen": "no answer" },
        ] });
        let told = text(&answer);
        assert!(told.contains("up to 2 writes are on it, or lost"), "{told}");
        assert!(told.contains("not in this log: collection \"x\" in t/d"), "{told}");
        assert!(told.contains("b: no answer") && told.contains("Nothing was changed"), "{told}");
        assert!(text(&json!({ "taken": true })).contains("takes over"));
    }
}
