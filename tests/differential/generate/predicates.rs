//! Predicates over metadata and documents, most of them well-formed.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::values::{KEYS, WORDS, junk, scalar};
use super::{chance, pick};

const COMPARISONS: [&str; 6] = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];
const ODD_KEYS: [&str; 5] = ["#id", "#document", "#what", "", "$eq"];

pub fn metadata(rng: &mut Rng, depth: u8) -> Value {
    if chance(rng, 4) {
        return junk(rng);
    }
    if depth > 0 && chance(rng, 35) {
        return combined(rng, |rng| metadata(rng, depth - 1));
    }
    let key = if chance(rng, 4) { pick(rng, &ODD_KEYS) } else { pick(rng, &KEYS) };
    member(key, condition(rng))
}

fn condition(rng: &mut Rng) -> Value {
    match rng.u8(..20) {
        0..6 => scalar(rng),
        6..13 => member(pick(rng, &COMPARISONS), scalar(rng)),
        13..16 => {
            let value = scalar(rng);
            let mut values = vec![value; rng.usize(..3)];
            values.extend(chance(rng, 50).then(|| scalar(rng)));
            member(pick(rng, &["$in", "$nin"]), json!(values))
        }
        16 => member(pick(rng, &["$contains", "$not_contains"]), scalar(rng)),
        17 => member(pick(rng, &["$what", "$regex", "$and", ""]), scalar(rng)),
        18 => member(pick(rng, &COMPARISONS), junk(rng)),
        _ => junk(rng),
    }
}

const PATTERNS: [&str; 10] =
    ["^the", "fox$", "r.d", "[a-z]+", "(", "\\p{L}", "", "the|fox", "(?i)RED", "a{2,1}"];

pub fn document(rng: &mut Rng, depth: u8) -> Value {
    if chance(rng, 4) {
        return junk(rng);
    }
    if depth > 0 && chance(rng, 35) {
        return combined(rng, |rng| document(rng, depth - 1));
    }
    match rng.u8(..10) {
        0..6 => member(pick(rng, &["$contains", "$not_contains"]), json!(pick(rng, &WORDS))),
        6..9 => member(pick(rng, &["$regex", "$not_regex"]), json!(pick(rng, &PATTERNS))),
        _ => member(pick(rng, &["$what", "$eq", "n", ""]), scalar(rng)),
    }
}

fn combined(rng: &mut Rng, mut part: impl FnMut(&mut Rng) -> Value) -> Value {
    let count = pick(rng, &[2, 2, 2, 3, 1, 0]);
    let parts: Vec<Value> = (0..count).map(|_| part(rng)).collect();
    member(pick(rng, &["$and", "$or"]), Value::Array(parts))
}

fn member(key: &str, value: Value) -> Value {
    let mut object = Map::new();
    object.insert(key.to_owned(), value);
    Value::Object(object)
}
