//! Steps of a life cycle: each prints one line, with everything masked that is by nature different from server to
//! server, and the first that is not as wanted ends the program.

use std::collections::HashMap;
use std::fmt::Display;

use serde_json::{Map, Value};

/// Prints steps.
pub struct Transcript {
    /// The part of all names that is new in each run.
    secret: String,
    ids: HashMap<String, String>,
}

impl Transcript {
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned(), ids: HashMap::new() }
    }

    /// `got` must be as `wanted` wants.
    pub fn step(&mut self, what: &str, got: &Value, wanted: impl FnOnce(&Value) -> bool) {
        let shown = self.mask(&sorted(got).to_string());
        println!("{what}: {shown}");
        if !wanted(got) {
            fail(what, &shown);
        }
    }

    /// For values that must not be in the transcript: only the fact is.
    pub fn hold(&self, what: &str, fact: bool) {
        println!("{what}: {}", if fact { "holds" } else { "does not hold" });
        if !fact {
            fail(what, "does not hold");
        }
    }

    /// The call must have failed, with these words in its error.
    pub fn refused<T, E: Display>(&mut self, what: &str, words: &str, result: Result<T, E>) {
        let shown = match result {
            Ok(_) => "no error".to_owned(),
            Err(error) => self.mask(&error.to_string()),
        };
        println!("{what}: {shown}");
        if !shown.contains(words) {
            fail(what, &shown);
        }
    }

    fn mask(&mut self, text: &str) -> String {
        let mut masked = text.replace(&self.secret, "RUN");
        let mut start = 0;
        while start + 36 <= masked.len() {
            let found = masked.get(start..start + 36).filter(|id| is_id(id)).map(str::to_owned);
            if let Some(id) = found {
                let next = format!("id{}", self.ids.len() + 1);
                let name = self.ids.entry(id).or_insert(next).clone();
                masked.replace_range(start..start + 36, &name);
            }
            start += 1;
        }
        masked
    }
}

fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// The same with the members of objects in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(sorted).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            let members: Map<String, Value> =
                members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            Value::Object(members)
        }
        other => other.clone(),
    }
}

fn fail(what: &str, got: &str) -> ! {
    panic!("DIFFERENT at {what:?}\n  got {got}")
}
