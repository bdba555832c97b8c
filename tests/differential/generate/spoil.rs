//! Requests with something wrong in them.

use fastrand::Rng;
use serde_json::Value;

use super::values::junk;
use super::{Taste, chance, pick};
use crate::request::Step;

/// The step with its body, which is perhaps spoiled.
pub fn finish(rng: &mut Rng, taste: Taste, step: Step, body: &Value) -> Step {
    if !chance(rng, taste.spoiled) {
        return step.json(body);
    }
    match rng.u8(..12) {
        0..6 => {
            let mut body = body.clone();
            spoil_value(rng, &mut body);
            step.json(&body)
        }
        6 => step.text(&with_again(rng, body)),
        7..10 => step.text(&spoil_text(rng, &body.to_string())),
        10 => {
            let kinds = ["text/plain", "application/json; charset=utf-8", "application/x+json", "x"];
            step.bytes(body.to_string().as_bytes()).header("content-type", pick(rng, &kinds))
        }
        _ => step.bytes(body.to_string().as_bytes()),
    }
}

/// Removes, replaces or adds something somewhere.
fn spoil_value(rng: &mut Rng, value: &mut Value) {
    let inner = match value {
        Value::Object(members) if !members.is_empty() => {
            let keys: Vec<String> = members.keys().cloned().collect();
            let key = keys[rng.usize(..keys.len())].clone();
            if chance(rng, 15) {
                members.remove(&key);
                return;
            }
            if chance(rng, 15) {
                members.insert("more".to_owned(), junk(rng));
                return;
            }
            members.get_mut(&key)
        }
        Value::Array(list) if !list.is_empty() => {
            let place = rng.usize(..list.len());
            if chance(rng, 15) {
                list.remove(place);
                return;
            }
            list.get_mut(place)
        }
        _ => None,
    };
    match inner {
        Some(inner) if chance(rng, 65) => spoil_value(rng, inner),
        Some(inner) => *inner = junk(rng),
        None => *value = junk(rng),
    }
}

/// One member of the object twice.
fn with_again(rng: &mut Rng, body: &Value) -> String {
    let text = body.to_string();
    let Some(members) = body.as_object().filter(|members| !members.is_empty()) else { return text };
    let keys: Vec<&String> = members.keys().collect();
    let key = pick(rng, &keys);
    format!("{{{}:{},{}", Value::String(key.clone()), members[key], &text[1..])
}

fn spoil_text(rng: &mut Rng, text: &str) -> String {
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    let (before, after) = text.split_at(places.get(rng.usize(..places.len().max(1))).copied().unwrap_or(0));
    match rng.u8(..6) {
        0 => before.to_owned(),
        1 => format!(
            "{before}{}{after}",
            pick(rng, &["\"", "}", "]", ",", "\\", "\u{0}", "é", "0", "-", "e9", " "])
        ),
        2 => format!("{before}{}", after.chars().skip(1).collect::<String>()),
        3 => format!("\u{feff}{text}"),
        4 => format!("{text}{}", pick(rng, &[" ", "\n", "x", "{}", "\u{0}"])),
        _ => format!(" \t\r\n{text}"),
    }
}
