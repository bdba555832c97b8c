//! What is not sent: see `documented`.

use serde_json::Value;

use crate::request::Step;

/// False for what would harm a server, and, unless every collection has its dimension, for what would fix one at
/// Chroma only.
pub fn is_safe(step: &Step, fixed: bool) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(step.body.bytes()) else {
        return true;
    };
    let kills = ["metadata", "new_metadata"].iter().any(|key| holds_container(&body[*key]));
    let verb = step.path.rsplit('/').next().unwrap_or_default();
    let writes = step.method == "POST" && ["add", "upsert", "update"].contains(&verb);
    !kills && (fixed || !writes || !refused_late(&body))
}

fn holds_container(metadata: &Value) -> bool {
    let values = metadata.as_object().into_iter().flat_map(|members| members.values());
    values.into_iter().any(|value| value.is_array() || value.is_object())
}

/// Empty ids and lists of unequal lengths.
fn refused_late(body: &Value) -> bool {
    let lengths: Vec<usize> = ["ids", "embeddings", "metadatas", "documents", "uris"]
        .iter()
        .filter_map(|key| body[*key].as_array().map(Vec::len))
        .collect();
    let empty = body["ids"].as_array().is_some_and(|ids| ids.iter().any(|id| id == ""));
    empty || lengths.windows(2).any(|pair| pair[0] != pair[1])
}
