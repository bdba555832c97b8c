//! Requests about records.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::spoil::finish;
use super::{Taste, chance, collection, pick, predicates, values};
use crate::request::Step;

/// Any request about records, and perhaps a look at what came of it.
pub fn any(rng: &mut Rng, taste: Taste) -> Vec<Step> {
    let name = collection(rng);
    if chance(rng, 12) {
        return update_of_embeddings(rng, taste, name);
    }
    let (verb, body) = match rng.u8(..20) {
        0..4 => ("add", write(rng, taste, false)),
        4..8 => ("upsert", write(rng, taste, false)),
        8..11 => ("update", write(rng, taste, true)),
        11..14 if !taste.lists => ("delete", delete(rng)),
        11..16 => ("get", get(rng)),
        16..19 => ("query", query(rng)),
        _ => return vec![count(rng, name)],
    };
    let step = Step::new("POST", &format!("$C/<<{name}>>/{verb}"));
    let mut steps = vec![finish(rng, taste, step, &body)];
    if matches!(verb, "add" | "upsert" | "update" | "delete") && chance(rng, 40) {
        steps.extend(look_at(name));
    }
    steps
}

/// Everything in a collection, and its description.
pub fn look_at(name: &str) -> [Step; 2] {
    let everything = json!({ "include": ["documents", "metadatas", "embeddings", "uris"] });
    let records = Step::new("POST", &format!("$C/<<{name}>>/get")).json(&everything);
    [records, Step::new("GET", &format!("$C/by-id/<<{name}>>"))]
}

/// An add that fixes the dimension.
pub fn first(rng: &mut Rng, name: &str) -> Step {
    let dimension = dimension(rng);
    let body = json!({ "ids": ["first"], "embeddings": [values::embedding(rng, dimension)] });
    Step::new("POST", &format!("$C/<<{name}>>/add")).json(&body)
}

/// An update with embeddings: of records that are there, or of ids that never are. One that is added after such an
/// update may get the embedding of the update at Chroma, or not.
fn update_of_embeddings(rng: &mut Rng, taste: Taste, name: &str) -> Vec<Step> {
    let dimension = dimension(rng);
    let to = |verb: &str| Step::new("POST", &format!("$C/<<{name}>>/{verb}"));
    let new = |rng: &mut Rng, ids: &[Value], nulls: bool| -> Vec<Value> {
        let one = |rng: &mut Rng| {
            if nulls && chance(rng, 25) { Value::Null } else { values::embedding(rng, dimension) }
        };
        ids.iter().map(|_| one(rng)).collect()
    };
    if chance(rng, 30) {
        let ids = [json!("never"), json!("ever")];
        let body = json!({ "ids": ids, "embeddings": new(rng, &ids, true) });
        return vec![finish(rng, taste, to("update"), &body)];
    }
    let ids = values::ids(rng, 4);
    let upsert = json!({ "ids": ids, "embeddings": new(rng, &ids, false) });
    let update = json!({ "ids": ids, "embeddings": new(rng, &ids, true) });
    let [records, description] = look_at(name);
    vec![to("upsert").json(&upsert), to("update").json(&update), records, description]
}

fn dimension(rng: &mut Rng) -> usize {
    if chance(rng, 92) { 3 } else { 2 }
}

fn write(rng: &mut Rng, taste: Taste, update: bool) -> Value {
    let ids = values::ids(rng, 5);
    let dimension = dimension(rng);
    let mut body = Map::new();
    let base64 = chance(rng, 30);
    let mut each = |make: &mut dyn FnMut(&mut Rng) -> Value| -> Value {
        Value::Array(ids.iter().map(|_| make(rng)).collect())
    };
    let embeddings = each(&mut |rng| match (update, base64) {
        (true, _) => Value::Null,
        (false, true) => values::base64_embedding(rng, dimension),
        (false, false) => values::embedding(rng, dimension),
    });
    let metadatas = each(&mut |rng| values::metadata(rng, taste, true));
    let documents = each(&mut values::document);
    let uris = each(&mut |rng| pick(rng, &[Some("u:1"), Some("u:2"), None]).into());
    body.insert("ids".to_owned(), Value::Array(ids.clone()));
    if !update || chance(rng, 50) {
        body.insert("embeddings".to_owned(), embeddings);
    }
    for (key, value, percent) in
        [("metadatas", metadatas, 70), ("documents", documents, 50), ("uris", uris, 20)]
    {
        if chance(rng, percent) {
            body.insert(key.to_owned(), value);
        }
    }
    Value::Object(body)
}

/// `where`, `where_document` and `ids`, each perhaps.
fn chosen(rng: &mut Rng, percent: u8) -> Map<String, Value> {
    let mut body = Map::new();
    if chance(rng, percent) {
        body.insert("where".to_owned(), predicates::metadata(rng, 2));
    }
    if chance(rng, percent / 2) {
        body.insert("where_document".to_owned(), predicates::document(rng, 2));
    }
    if chance(rng, 35) {
        body.insert("ids".to_owned(), Value::Array(values::ids(rng, 4)));
    }
    body
}

fn number(rng: &mut Rng) -> Value {
    match rng.u8(..20) {
        0 => values::junk(rng),
        1 => json!(4_294_967_295_u32),
        _ => json!(rng.u8(..5)),
    }
}

fn add_numbers(rng: &mut Rng, body: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if chance(rng, 35) {
            body.insert((*key).to_owned(), number(rng));
        }
    }
}

fn add_include(rng: &mut Rng, body: &mut Map<String, Value>) {
    let known = ["documents", "metadatas", "embeddings", "uris", "distances"];
    if chance(rng, 40) {
        let mut include: Vec<Value> = (0..rng.usize(..4)).map(|_| json!(pick(rng, &known))).collect();
        if chance(rng, 4) {
            include.push(values::junk(rng));
        }
        body.insert("include".to_owned(), Value::Array(include));
    }
}

fn delete(rng: &mut Rng) -> Value {
    let mut body = chosen(rng, 45);
    if chance(rng, 25) {
        body.insert("limit".to_owned(), number(rng));
    }
    Value::Object(body)
}

fn get(rng: &mut Rng) -> Value {
    let mut body = chosen(rng, 55);
    add_numbers(rng, &mut body, &["limit", "offset"]);
    add_include(rng, &mut body);
    Value::Object(body)
}

fn query(rng: &mut Rng) -> Value {
    let mut body = chosen(rng, 45);
    let dimension = dimension(rng);
    let queries: Vec<Value> = (0..rng.usize(1..=2)).map(|_| values::embedding(rng, dimension)).collect();
    body.insert("query_embeddings".to_owned(), Value::Array(queries));
    add_numbers(rng, &mut body, &["n_results", "n_results"]);
    add_include(rng, &mut body);
    Value::Object(body)
}

fn count(rng: &mut Rng, name: &str) -> Step {
    let query =
        pick(rng, &["", "", "?read_level=index_only", "?read_level=index_and_wal", "?read_level=x", "?x"]);
    Step::new("GET", &format!("$C/<<{name}>>/count{query}"))
}
