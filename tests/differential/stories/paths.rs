//! Paths and methods that lead nowhere, and odd spellings of those that lead somewhere.

use serde_json::json;

use super::{Story, filled, get, in_a_database, post};
use crate::request::Step;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LINK"];

const PATHS: &[&str] = &[
    "/",
    "/api",
    "/api/",
    "/api/v2/",
    "/api/v3/heartbeat",
    "/API/V2/heartbeat",
    "/api/v2x",
    "//api/v2/heartbeat",
    "/api//v2/heartbeat",
    "/api/v2//heartbeat",
    "/api/v2/heartbeat/",
    "/api/v2/heartbeat%2F",
    "/api/v2/./heartbeat",
    "/api/v2/../v2/heartbeat",
    "/api/v2/Heartbeat",
    "/api/v2/%68eartbeat",
    "/api/v2/nothing",
    "/api/v2/auth",
    "/api/v2/auth/identity/",
    "/api/v2/tenants/",
    "/api/v2/tenants//databases",
    "/api/v2/collections",
    "/api/v2/collections/",
    "$T//databases",
    "$T/nothing",
    "$T/databases//collections",
    "$D/",
    "$D/nothing",
    "$C/",
    "$D/collections_count/",
    "$C/by-id",
    "$C/by-id/",
    "$C/by-id/<<box>>/",
    "$C/by-id/<<box>>/count",
    "$C/<<box>>/",
    "$C/<<box>>/nothing",
    "$C/<<box>>//count",
    "$C/<<box>>/count/",
    "$C/<<box>>/count/more",
    "$C/<<box>>/Count",
    "$C/<<box>>/%63ount",
    "$C/<<box>>/add/",
    "/api/v2/tenants/%FF",
    "/api/v2/tenants/x/databases/%C3",
    "$C/%FF/count",
    "$C/%FF",
    "$C/by-id/%FF",
    "/api/v2/tenants/%",
    "/api/v2/tenants/%4",
    "/api/v2/tenants/%zz",
    "/api/v2/tenants/a%00b",
];

pub fn stories() -> Vec<Story> {
    let wrong = PATHS.iter().flat_map(|path| METHODS.map(|method| Step::new(method, path)));
    let nowhere = in_a_database("paths that lead nowhere", filled().into_iter().chain(wrong));
    vec![nowhere, methods(), encodings()]
}

/// The operations of a collection with every method but their own.
fn methods() -> Story {
    let verbs = ["", "/add", "/upsert", "/update", "/delete", "/get", "/query", "/count"];
    let steps = verbs.iter().flat_map(|verb| {
        let own = match *verb {
            "" => vec!["GET", "HEAD", "PUT", "DELETE"],
            "/count" => vec!["GET", "HEAD"],
            _ => vec!["POST"],
        };
        METHODS
            .into_iter()
            .filter(move |method| !own.contains(method))
            .map(move |method| Step::new(method, &format!("$C/<<box>>{verb}")).text("{}"))
    });
    let lists = ["$C", "$D/collections_count", "$T/databases", "$D", "$C/by-id/<<box>>"];
    let lists =
        lists.iter().flat_map(|path| ["PATCH", "OPTIONS", "LINK"].map(|method| Step::new(method, path)));
    in_a_database("wrong methods", filled().into_iter().chain(steps.collect::<Vec<_>>()).chain(lists))
}

fn encodings() -> Story {
    let [create, add] = filled();
    let steps = [
        create,
        add,
        get("/api/v2/tenants/%74enant-<<run>>"),
        get("/api/v2/tenants/tenant%2D<<run>>/databases/%74hings"),
        get("/api/v2/tenants/tenant-<<run>>/databases/things/collections/b%6Fx"),
        get("/api/v2/tenants/tenant-<<run>>/databases/thing%73/collections/b%6Fx?x=%"),
        get("$C/<<box>>/count?read_level=index_only"),
        get("$C/<<box>>/count?read_level=index%5Fonly"),
        get("$C/<<box>>/count?read_level=index_and_wal&read_level=index_only"),
        get("$C/<<box>>/count?read_level="),
        get("$C/<<box>>/count?read_level"),
        get("$C/<<box>>/count?Read_Level=x"),
        get("$C/<<box>>/count?read_level=x%FF"),
        get("$C/<<box>>/count?"),
        get("$C/<<box>>/count??"),
        get("$C/<<box>>/count?x#y"),
        Step::new("HEAD", "$C/<<box>>/count"),
        post("$C/<<box>>/get?limit=1&offset=x").json(&json!({})),
        post("$C/<<box>>/add?x").json(&json!({ "ids": ["e"], "embeddings": [[1, 2, 3]] })),
        post("$C/<<box>>/query?limit=1&offset=1").json(&json!({ "query_embeddings": [[1, 0, 0]] })),
        post("$C/<<box>>/query?limit=x").json(&json!({ "query_embeddings": [[1, 0, 0]] })),
        post("$C/<<box>>/query?offset=-1").json(&json!({ "query_embeddings": [[1, 0, 0]] })),
    ];
    in_a_database("encodings", steps)
}
