//! Requests about collections, databases and tenants.

use fastrand::Rng;
use serde_json::json;

use super::spoil::finish;
use super::{COLLECTIONS, Taste, chance, collection, pick, records};
use crate::request::Step;
use crate::stories::{CHANGES, DETAILS, NAMED, PAGES};

const NAMES: [&str; 6] = ["red", "green", "Blue", "a.b-c", "x", "no..no"];

/// A create, and where the taste is so, what fixes the dimension.
pub fn create(rng: &mut Rng, taste: Taste, bound: &str) -> Vec<Step> {
    let mut details = if chance(rng, 45) { format!(",{}", pick(rng, DETAILS)) } else { String::new() };
    if chance(rng, 30) && !details.contains("get_or_create") {
        details.push_str(r#","get_or_create":true"#);
    }
    let body = format!(r#"{{"name":"{}"{details}}}"#, pick(rng, &NAMES));
    let mut steps = vec![Step::new("POST", "$C").text(&body).bind(bound)];
    if taste.fixed {
        steps.push(records::first(rng, bound));
    }
    steps
}

/// Any request about what holds records.
pub fn any(rng: &mut Rng, taste: Taste) -> Vec<Step> {
    let name = pick(rng, &NAMES);
    let id = collection(rng);
    let one = match rng.u8(..16) {
        0..3 => {
            let bound = pick(rng, &COLLECTIONS);
            return create(rng, taste, bound);
        }
        3..6 => Step::new("PUT", &format!("$C/<<{id}>>")).text(pick(rng, CHANGES)),
        6 => {
            let step = Step::new("PUT", &format!("$C/<<{id}>>"));
            finish(rng, taste, step, &json!({ "new_name": name }))
        }
        7 if !taste.lists => Step::new("DELETE", &format!("$C/{name}")),
        7 | 8 => Step::new("GET", &format!("$C/{name}")),
        9 => Step::new("GET", &format!("$C/by-id/<<{id}>>")),
        10 => Step::new("GET", &format!("$C?{}", pick(rng, PAGES))),
        11 => Step::new("GET", "$D/collections_count"),
        12 => database(rng, taste),
        13 => Step::new("POST", pick(rng, &["/api/v2/tenants", "$T/databases", "$C"])).text(pick(rng, NAMED)),
        14 => Step::new("GET", "$C"),
        _ => odd(rng, id),
    };
    vec![one]
}

fn database(rng: &mut Rng, taste: Taste) -> Step {
    let name = pick(rng, &["things", "second", "ab"]);
    match rng.u8(..8) {
        0 | 1 => Step::new("POST", "$T/databases").json(&json!({ "name": name })),
        2 if !taste.lists => Step::new("DELETE", &format!("$T/databases/{name}")),
        2 | 3 => Step::new("GET", &format!("$T/databases/{name}")),
        4 => Step::new("GET", &format!("$T/databases?{}", pick(rng, PAGES))),
        5 => Step::new("GET", &format!("$T/databases/{name}/collections")),
        6 => Step::new("PATCH", "$T").json(&json!({ "resource_name": name })),
        _ => Step::new("POST", &format!("$T/databases/{name}/collections")).json(&json!({ "name": "red" })),
    }
}

/// Methods and paths that fit nothing, or only an error.
fn odd(rng: &mut Rng, id: &str) -> Step {
    let method = pick(rng, &["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS"]);
    let rest = pick(
        rng,
        &["", "/", "/add", "/count", "/get", "/search", "/fork", "/fork_count", "/functions/f", "/x"],
    );
    Step::new(method, &format!("$C/<<{id}>>{rest}")).text("{}")
}
