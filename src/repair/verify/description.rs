//! What an instance says of a collection as a whole.

use std::collections::BTreeMap;

use serde_json::Value;

use super::page::{Embeddings, Found};

/// Characters of a value that a report shows.
const SHOWN: usize = 80;

/// A description without what each server chooses for itself.
#[derive(Debug)]
pub(in crate::repair) struct Description(BTreeMap<String, Value>);

impl Description {
    /// Reads the answer to a `get` of a collection. Its schema's list of metadata keys is left out: it names every key
    /// that the collection ever had, which a copy of its records cannot know.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn read(answer: &[u8]) -> Result<Self, String> {
        let mut fields: BTreeMap<String, Value> =
            serde_json::from_slice(answer).map_err(|error| error.to_string())?;
        for own in ["id", "log_position", "version"] {
            fields.remove(own);
        }
        if let Some(keys) = fields.get_mut("schema").and_then(|schema| schema["keys"].as_object_mut()) {
            keys.retain(|key, _| key.starts_with('#'));
        }
        Ok(Self(fields))
    }

    /// How its embeddings can be compared.
    pub fn embeddings(&self) -> Embeddings {
        let configuration = self.0.get("configuration_json");
        let cosine = configuration.is_some_and(|configuration| {
            ["hnsw", "spann"].iter().any(|index| configuration[index]["space"] == "cosine")
        });
        if cosine { Embeddings::Nearly } else { Embeddings::BitByBit }
    }

    /// Everything in which `other` differs.
    pub fn differences(&self, other: &Self) -> Vec<Found> {
        let other_fields = other.0.keys().filter(|field| !self.0.contains_key(*field));
        let fields = self.0.keys().chain(other_fields);
        let found = fields.filter_map(|field| {
            let sides = [&self.0, &other.0].map(|description| description.get(field));
            // Whole numbers and others are different for serde_json too.
            (sides[0] != sides[1]).then(|| Found {
                record: None,
                field: field.clone(),
                sides: sides.map(brief),
            })
        });
        found.collect()
    }
}

/// A value as a report shows it.
pub(super) fn brief(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(description: &Value) -> Description {
        Description::read(description.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_each_server_chooses_itself_is_no_difference() {
        let a = json!({"id": "1", "name": "n", "schema": {"keys": {"#document": 1, "a": 2}}, "version": 0});
        let b = json!({"id": "2", "name": "n", "schema": {"keys": {"#document": 1}}, "version": 1});
        assert_eq!(read(&a).differences(&read(&b)), []);
    }

    #[test]
    fn metadata_configuration_and_dimension_are_held_against_the_other() {
        let a = json!({"metadata": {"n": 1}, "dimension": 3, "configuration_json": {"hnsw": {"space": "cosine"}}});
        let b = json!({"metadata": {"n": 1.0}, "dimension": null, "configuration_json": {"hnsw": {"space": "l2"}}});
        let (a, b) = (read(&a), read(&b));
        let fields: Vec<_> = a.differences(&b).into_iter().map(|found| found.field).collect();
        assert_eq!(fields, ["configuration_json", "dimension", "metadata"]);
        assert_eq!([a.embeddings(), b.embeddings()], [Embeddings::Nearly, Embeddings::BitByBit]);
    }
}
