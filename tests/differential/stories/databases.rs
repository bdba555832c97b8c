//! Tenants and databases.

use serde_json::json;

use super::{Story, create, delete, get, post, story};
use crate::request::{NOBODY, Step};

pub fn stories() -> Vec<Story> {
    vec![tenants(), names(), databases(), pages(), drop_with_contents(), bodies()]
}

fn tenant(name: &str) -> Step {
    post("/api/v2/tenants").json(&json!({ "name": name }))
}

fn database(name: &str) -> Step {
    post("$T/databases").json(&json!({ "name": name }))
}

fn patch(path: &str) -> Step {
    Step::new("PATCH", path)
}

fn tenants() -> Story {
    let steps = [
        get("$T"),
        tenant("tenant-<<run>>"),
        tenant("tenant-<<run>>"),
        get("$T"),
        Step::new("HEAD", "$T"),
        patch("$T").json(&json!({ "resource_name": "resource" })),
        patch("$T").json(&json!({})),
        patch("$T").json(&json!({ "resource_name": 5 })),
        patch("$T").json(&json!({ "resource_name": null })),
        patch("$T").text("{"),
        patch("$T").text(""),
        patch("$T").bytes(b"{}").header("content-type", "text/plain"),
        patch("/api/v2/tenants/nobody-<<run>>").json(&json!({ "resource_name": "x" })),
        get("$T"),
        get("/api/v2/tenants/default_tenant"),
        get("$T/"),
        delete("$T"),
        post("$T"),
        Step::new("OPTIONS", "$T"),
        Step::new("OPTIONS", "/api/v2/tenants"),
        get("/api/v2/tenants"),
    ];
    story("tenants", steps)
}

/// Names that are odd or wrong, as the body and as the path spell them.
const NAMES: &[(&str, &str)] = &[
    ("a", "a"),
    ("a-", "a-"),
    ("<<run>> b/c", "<<run>>%20b%2Fc"),
    ("<<run>>.zoë🦊", "<<run>>.zo%C3%AB%F0%9F%A6%8A"),
    ("<<run>>%41", "<<run>>%2541"),
    ("1.2.3.4", "1.2.3.4"),
    ("<<run>>..x", "<<run>>..x"),
    ("-<<run>>", "-<<run>>"),
    ("<<run>>[]\\\"", "<<run>>[]%22"),
    (" <<run>>", "%20<<run>>"),
    ("<<run>>?", "<<run>>%3F"),
    ("<<run>>;+", "<<run>>;+"),
];

fn names() -> Story {
    let mut steps = vec![tenant("tenant-<<run>>")];
    for (body, path) in NAMES {
        let body = format!(r#"{{"name":"{body}"}}"#);
        for _ in 0..2 {
            steps.push(post("/api/v2/tenants").text(&body));
            steps.push(post("$T/databases").text(&body));
        }
        steps.push(get(&format!("/api/v2/tenants/{path}")));
        steps.push(get(&format!("/api/v2/tenants/{path}/databases")));
        steps.push(get(&format!("$T/databases/{path}")));
        steps.push(get(&format!("$T/databases/{path}/collections")));
        steps.push(get(&format!("$T/databases/{path}/collections_count")));
        steps.push(delete(&format!("$T/databases/{path}")));
        steps.push(get(&format!("$T/databases/{path}")));
    }
    let long = "n".repeat(600);
    steps.extend([database(&long), get(&format!("$T/databases/{long}")), tenant(&format!("{long}<<run>>"))]);
    story("odd names of tenants and databases", steps)
}

fn databases() -> Story {
    let steps = [
        get("$T/databases"),
        tenant("tenant-<<run>>"),
        get("$T/databases"),
        get("$D"),
        delete("$D"),
        database("things"),
        database("things"),
        get("$D"),
        Step::new("HEAD", "$D"),
        get("$D?x=1"),
        get("$C"),
        get("$D/collections_count"),
        post("$T/databases").json(&json!({ "name": "with-id", "id": NOBODY })),
        get("$T/databases/with-id"),
        delete("$D"),
        delete("$D"),
        get("$D"),
        get("$C"),
        get("$D/collections_count"),
        database("things"),
        get("$D"),
        Step::new("PUT", "$D"),
        post("$D"),
        Step::new("OPTIONS", "$D"),
        Step::new("OPTIONS", "$T/databases"),
        delete("$T/databases"),
        get("$T/databases/"),
        get("/api/v2/tenants/default_tenant/databases/default_database"),
        // A tenant that nobody made is made with its first database.
        post("/api/v2/tenants/unmade-<<run>>/databases").json(&json!({ "name": "first" })),
        get("/api/v2/tenants/unmade-<<run>>"),
        get("/api/v2/tenants/unmade-<<run>>/databases/first"),
        get("/api/v2/tenants/unmade-<<run>>/databases"),
        tenant("unmade-<<run>>"),
    ];
    story("databases", steps)
}

/// Query strings of lists.
pub const PAGES: &[&str] = &[
    "limit=2",
    "limit=2&offset=1",
    "offset=2",
    "offset=99",
    "limit=0",
    "limit=100&offset=0",
    "limit=4294967295",
    "limit=4294967296",
    "limit=-1",
    "limit=x",
    "limit=",
    "limit",
    "limit=1.5",
    "offset=-1",
    "offset=%31",
    "limit=1&limit=2",
    "limit=+1",
    "limit=%2B1",
    "limit=null",
    "other=1",
    "l%69mit=1",
    "&&",
];

fn pages() -> Story {
    let mut steps = vec![tenant("tenant-<<run>>")];
    steps.extend(["red", "green", "blue", "Blue", "alpha-1"].map(database));
    steps.push(get("$T/databases"));
    steps.extend(PAGES.iter().map(|query| get(&format!("$T/databases?{query}"))));
    steps.push(Step::new("HEAD", "$T/databases?limit=2"));
    story("pages of databases", steps)
}

fn drop_with_contents() -> Story {
    let steps = [
        tenant("tenant-<<run>>"),
        database("things"),
        create("one"),
        create("two"),
        post("$C/<<one>>/add").json(&json!({ "ids": ["a"], "embeddings": [[1, 2]] })),
        get("$D/collections_count"),
        delete("$D"),
        get("$C/<<one>>/count"),
        get("$C/by-id/<<two>>"),
        get("$C/one"),
        create("one"),
        database("things"),
        get("$C"),
        create("one"),
        get("$C/<<one>>/count"),
    ];
    story("a database that goes with its collections", steps)
}

/// Bodies where a name is wanted.
pub const NAMED: &[&str] = &[
    "",
    "{",
    "{}",
    "null",
    "5",
    "\"name\"",
    "[]",
    r#"{"name":null}"#,
    r#"{"name":5}"#,
    r#"{"name":""}"#,
    r#"{"name":["x"]}"#,
    r#"{"name":"one","name":"two"}"#,
    r#"{"Name":"upper"}"#,
    r#"{"name":"extra-<<run>>","more":{"x":[1]}}"#,
    r#"{"name":"tail-<<run>>"} x"#,
    r#"{"n\u0061me":"esc\u0061ped-<<run>>"}"#,
    r#"{"name":"lone\ud800"}"#,
    "\u{feff}{\"name\":\"marked\"}",
    " \n\t{ \"name\" : \"spaced-<<run>>\" }\r\n",
];

fn bodies() -> Story {
    let mut steps = vec![tenant("tenant-<<run>>")];
    for path in ["/api/v2/tenants", "$T/databases"] {
        steps.extend(NAMED.iter().map(|body| post(path).text(body)));
        steps.push(post(path).bytes(b"{\"name\":\"bad-\xff\"}").header("content-type", "application/json"));
        for kind in [
            "text/plain",
            "application/xml",
            "application/json; charset=utf-8",
            "application/x+json",
            "",
            "x",
        ] {
            steps.push(post(path).bytes(br#"{"name":"kind"}"#).header("content-type", kind));
        }
        steps.push(post(path).bytes(br#"{"name":"no-kind"}"#));
    }
    steps.push(get("$T/databases"));
    story("bodies of creates of tenants and databases", steps)
}
