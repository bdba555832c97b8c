//! What is asked of both sides, path by path.

mod collections;
mod databases;
mod paths;
mod queries;
mod records;
mod reset;
mod system;
mod unavailable;

pub use collections::{CHANGES, DETAILS};
pub use databases::{NAMED, PAGES};
use serde_json::json;

use crate::request::Step;

/// A sequence of requests. Each story has a tenant of its own.
pub struct Story {
    pub name: &'static str,
    pub steps: Vec<Step>,
}

/// Stories for servers as they are by default.
pub fn of_default_servers() -> Vec<Story> {
    [
        system::stories(),
        databases::stories(),
        collections::stories(),
        records::stories(),
        queries::stories(),
        unavailable::stories(),
        paths::stories(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Stories, one after the other, for servers that allow a reset.
pub fn of_resettable_servers() -> Vec<Story> {
    reset::stories()
}

fn story(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Story {
    Story { name, steps: steps.into_iter().collect() }
}

/// A story in a new database, called `things`, of a new tenant.
fn in_a_database(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Story {
    Story { name, steps: new_database().into_iter().chain(steps).collect() }
}

/// A new tenant with a database.
pub fn new_database() -> [Step; 2] {
    [
        post("/api/v2/tenants").json(&json!({ "name": "tenant-<<run>>" })),
        post("$T/databases").json(&json!({ "name": "things" })),
    ]
}

fn get(path: &str) -> Step {
    Step::new("GET", path)
}

fn post(path: &str) -> Step {
    Step::new("POST", path)
}

fn put(path: &str) -> Step {
    Step::new("PUT", path)
}

fn delete(path: &str) -> Step {
    Step::new("DELETE", path)
}

/// Creates a collection and binds its name to its id.
fn create(name: &str) -> Step {
    post("$C").json(&json!({ "name": name })).bind(name)
}

/// A collection `box` with four records.
fn filled() -> [Step; 2] {
    let records = json!({
        "ids": ["a", "b", "c", "d"],
        "embeddings": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.1, -0.0]],
        "documents": ["the red fox", "the blue sea", null, "𝄞 ünïcode 🦊"],
        "metadatas": [
            {"n": 1, "k": "x"}, {"n": 2, "k": "y", "f": 1.0}, {"n": 9_007_199_254_740_993_i64, "b": true}, null
        ],
        "uris": ["u:a", null, "u:c", "u:d"],
    });
    [create("box"), post("$C/<<box>>/add").json(&records)]
}

const EVERYTHING: &str = r#"{"include":["documents","metadatas","embeddings","uris"]}"#;

/// Everything in the collection bound to `name`.
fn look(name: &str) -> Step {
    post(&format!("$C/<<{name}>>/get")).text(EVERYTHING)
}
