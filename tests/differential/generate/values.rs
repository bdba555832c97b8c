//! Values of records.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{Taste, chance, pick};
use crate::request::NOBODY;

const IDS: [&str; 14] =
    ["a", "b", "c", "d", "e", "f", "g", "h", "𝄞🦊", "Z z", "\u{0}", "é", "e\u{301}", NOBODY];
pub const KEYS: [&str; 7] = ["n", "k", "b", "f", "ключ", "a b", "n.m"];
pub const WORDS: [&str; 10] = ["red", "Red", "fox", "the", "läuft", "🦊", "100%", "a_b", "it's", "\"so\""];

pub fn id(rng: &mut Rng) -> Value {
    json!(pick(rng, &IDS))
}

pub fn ids(rng: &mut Rng, most: usize) -> Vec<Value> {
    (0..rng.usize(1..=most)).map(|_| id(rng)).collect()
}

/// A number whose distances to others are all different.
fn component(rng: &mut Rng, odd: bool) -> f32 {
    if odd { pick(rng, &[0.0, -0.0, 1e-45, 1e-20, 3.0, -1.0]) } else { rng.f32() * 8.0 - 4.0 }
}

fn vector(rng: &mut Rng, dimension: usize) -> Vec<f32> {
    let odd = if chance(rng, 10) { rng.usize(..dimension) } else { dimension };
    // Where all are odd, two records may be equally far from a query.
    (0..dimension).map(|place| component(rng, place == odd && dimension > 1)).collect()
}

pub fn embedding(rng: &mut Rng, dimension: usize) -> Value {
    json!(vector(rng, dimension))
}

pub fn base64_embedding(rng: &mut Rng, dimension: usize) -> Value {
    let bytes: Vec<u8> = vector(rng, dimension).iter().flat_map(|number| number.to_le_bytes()).collect();
    json!(STANDARD.encode(bytes))
}

pub fn scalar(rng: &mut Rng) -> Value {
    match rng.u8(..12) {
        0..4 => json!(rng.i32(-2..6)),
        4 => json!(pick(rng, &[i64::MAX, i64::MIN, 9_007_199_254_740_993])),
        5 | 6 => json!(f64::from(rng.i32(-4..12)) / 2.0),
        7 => json!(pick(rng, &[0.1, -0.0, 1e300, 5e-324])),
        8 => json!(rng.bool()),
        9 => json!(""),
        _ => json!(pick(rng, &WORDS)),
    }
}

fn list(rng: &mut Rng) -> Value {
    let count = rng.usize(..4);
    match rng.u8(..5) {
        0 => json!((0..count).map(|_| rng.i32(-2..6)).collect::<Vec<_>>()),
        1 => json!((0..count).map(|_| f64::from(rng.i32(-4..12)) / 4.0).collect::<Vec<_>>()),
        2 => json!((0..count).map(|_| rng.bool()).collect::<Vec<_>>()),
        3 => json!((0..count).map(|_| pick(rng, &WORDS)).collect::<Vec<_>>()),
        _ => json!((0..count).map(|_| scalar(rng)).collect::<Vec<_>>()),
    }
}

/// Metadata of a record; `nulls` may stand for values.
pub fn metadata(rng: &mut Rng, taste: Taste, nulls: bool) -> Value {
    if chance(rng, 15) {
        return Value::Null;
    }
    let mut members = Map::new();
    for _ in 0..rng.usize(..4) {
        let value = if taste.lists && chance(rng, 30) {
            list(rng)
        } else if nulls && chance(rng, 20) {
            Value::Null
        } else {
            scalar(rng)
        };
        members.insert(pick(rng, &KEYS).to_owned(), value);
    }
    Value::Object(members)
}

pub fn document(rng: &mut Rng) -> Value {
    if chance(rng, 20) {
        return Value::Null;
    }
    let words: Vec<&str> = (0..rng.usize(..5)).map(|_| pick(rng, &WORDS)).collect();
    json!(words.join(" "))
}

/// Something of another type than what belongs there.
pub fn junk(rng: &mut Rng) -> Value {
    let junk = [
        Value::Null,
        json!(5),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!(""),
        json!(true),
        json!([]),
        json!({}),
        json!([null]),
        json!(["x", 1]),
        json!({ "x": 1 }),
        json!(4_294_967_296_u64),
        json!(u64::MAX),
        json!(1e39),
        json!([[]]),
    ];
    junk[rng.usize(..junk.len())].clone()
}
