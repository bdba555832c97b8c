//! A reset where it is allowed.

use serde_json::json;

use super::{Story, create, filled, get, in_a_database, post};
use crate::request::Step;

pub fn stories() -> Vec<Story> {
    let default = "/api/v2/tenants/default_tenant/databases/default_database";
    let kept = post(&format!("{default}/collections")).json(&json!({ "name": "kept" })).bind("kept");
    let steps = [
        kept,
        post("/api/v2/reset"),
        get("/api/v2/tenants/default_tenant"),
        get(default),
        get(&format!("{default}/collections")),
        get(&format!("{default}/collections_count")),
        get(&format!("{default}/collections/<<kept>>/count")),
        get("$T"),
        get("$D"),
        get("$C/<<box>>/count"),
        get("$C"),
        post("/api/v2/reset").text("nonsense"),
        Step::new("GET", "/api/v2/reset"),
    ];
    let [tenant, database] = super::new_database();
    let afterwards =
        [tenant, database, create("box"), get("$C"), get("/api/v2/tenants/default_tenant/databases")];
    vec![in_a_database("a reset", filled().into_iter().chain(steps).chain(afterwards))]
}
