//! What a single server cannot do.

use serde_json::json;

use super::{Story, filled, get, in_a_database, post, put};
use crate::request::{NOBODY, Step};

pub fn stories() -> Vec<Story> {
    let asked = ["<<box>>", NOBODY, "c-none"].into_iter().flat_map(asked);
    let steps = filled().into_iter().chain(asked).chain(crn());
    vec![in_a_database("what a single server cannot do", steps)]
}

fn asked(id: &str) -> Vec<Step> {
    let at = |rest: &str| format!("$C/{id}/{rest}");
    let attach = json!({ "name": "f", "function_id": "record_counter", "output_collection": "out" });
    vec![
        get(&at("indexing_status")),
        Step::new("HEAD", &at("indexing_status")),
        post(&at("search")).json(&json!({ "searches": [] })),
        post(&at("search")).json(&json!({ "searches": [{}] })),
        post(&at("search"))
            .json(&json!({ "searches": [{ "limit": { "limit": 2 } }], "read_level": "index_only" })),
        post(&at("search")).json(&json!({ "searches": [{ "filter": { "where_clause": { "n": 1 } } }] })),
        post(&at("search")).json(&json!({})),
        post(&at("search")).text("{"),
        post(&at("search")).bytes(b"{}").header("content-type", "text/plain"),
        post(&at("fork")).json(&json!({ "new_name": "forked" })),
        post(&at("fork")).json(&json!({ "new_name": "x" })),
        post(&at("fork")).json(&json!({})),
        post(&at("fork")).text(""),
        get(&at("fork_count")),
        post(&at("functions/attach")).json(&attach),
        post(&at("functions/attach")).json(&json!({ "name": "f" })),
        post(&at("functions/attach")).text("["),
        get(&at("functions/f")),
        get(&at("functions/%66")),
        post(&at("attached_functions/f/detach")).json(&json!({ "delete_output": false })),
        post(&at("attached_functions/f/detach")).json(&json!({})),
        post(&at("attached_functions/f/detach")).text("x"),
        put(&at("functions/f")).json(&json!({})),
        get(&at("search")),
        get(&at("fork")),
        post(&at("fork_count")).json(&json!({})),
        get(&at("attached_functions/f")),
        get(&at("functions")),
        Step::new("OPTIONS", &at("search")),
        get("$C/forked"),
    ]
}

/// Look-up by resource name. (One that is well-formed ends the connection at Chroma: see `documented`.)
fn crn() -> Vec<Step> {
    ["x", "a:b", "a::c", ":::", "%FF", "a:b:c:d"].map(|crn| get(&format!("/api/v2/collections/{crn}"))).into()
}
