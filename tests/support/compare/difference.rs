//! What differs between two servers.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use super::snapshot::{CollectionSnapshot, RecordSnapshot, Snapshot};

/// Chroma normalises the embeddings of cosine collections, and a copy of a copy drifts.
const COSINE_TOLERANCE: f64 = 1e-6;

/// One difference between the reference and another instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `tenant/database`.
    pub database: String,
    /// Empty when the database itself is missing.
    pub collection: String,
    /// The record's id; `None` for what belongs to the whole collection.
    pub id: Option<String>,
    /// `database`, `collection`, `record` (there or not), `order`, `document`, `metadata`, `uri`,
    /// `embedding`, or a field of the collection's description.
    pub field: String,
    /// Instance name and what it has, shortened.
    pub reference: (String, String),
    pub other: (String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.database, self.collection)?;
        if let Some(id) = &self.id {
            write!(f, " record {id:?}")?;
        }
        let ((here, this), (there, that)) = (&self.reference, &self.other);
        write!(f, " {}: {here} has {this}, {there} has {that}", self.field)
    }
}

/// Everything in which `other` differs from `reference`.
pub fn between(reference: &Snapshot, other: &Snapshot) -> Vec<Difference> {
    let mut found = Found { reference, other, list: Vec::new() };
    let sides = [&reference.databases, &other.databases];
    let databases: BTreeSet<&String> = sides.into_iter().flatten().collect();
    for database in databases {
        let there = sides.map(|side| presence(side.contains(database)));
        found.note((database, ""), None, "database", there);
    }
    let keys: BTreeSet<_> = reference.collections.keys().chain(other.collections.keys()).collect();
    for key in keys {
        let place = (key.0.as_str(), key.1.as_str());
        match (reference.collections.get(key), other.collections.get(key)) {
            (Some(a), Some(b)) => found.collection(place, a, b),
            (a, b) => {
                found.note(place, None, "collection", [a, b].map(|side| presence(side.is_some())));
            }
        }
    }
    found.list
}

fn presence(there: bool) -> String {
    if there { "it" } else { "nothing" }.to_owned()
}

struct Found<'a> {
    reference: &'a Snapshot,
    other: &'a Snapshot,
    list: Vec<Difference>,
}

impl Found<'_> {
    fn note(&mut self, place: (&str, &str), id: Option<&str>, field: &str, [this, that]: [String; 2]) {
        if this != that {
            self.list.push(Difference {
                database: place.0.to_owned(),
                collection: place.1.to_owned(),
                id: id.map(str::to_owned),
                field: field.to_owned(),
                reference: (self.reference.instance.clone(), shorten(&this)),
                other: (self.other.instance.clone(), shorten(&that)),
            });
        }
    }

    fn collection(&mut self, place: (&str, &str), a: &CollectionSnapshot, b: &CollectionSnapshot) {
        let fields: BTreeSet<_> = a.description.keys().chain(b.description.keys()).collect();
        for field in fields {
            let sides = [&a.description, &b.description].map(|d| spell(d.get(field).unwrap_or(&Value::Null)));
            self.note(place, None, field, sides);
        }
        let theirs: HashMap<&str, &RecordSnapshot> = b.records.iter().map(|r| (r.id.as_str(), r)).collect();
        let ours: HashSet<&str> = a.ids().into_iter().collect();
        for record in &a.records {
            match theirs.get(record.id.as_str()) {
                Some(other) => self.record(place, record, other, a.is_cosine()),
                None => self.note(place, Some(&record.id), "record", [presence(true), presence(false)]),
            }
        }
        for id in b.ids().into_iter().filter(|id| !ours.contains(id)) {
            self.note(place, Some(id), "record", [presence(false), presence(true)]);
        }
        self.order(place, a, b, &ours, &theirs);
    }

    /// Names the first place where the records that both have come in another order, and ids that one
    /// server returns more than once.
    fn order(
        &mut self,
        place: (&str, &str),
        a: &CollectionSnapshot,
        b: &CollectionSnapshot,
        ours: &HashSet<&str>,
        theirs: &HashMap<&str, &RecordSnapshot>,
    ) {
        let left: Vec<&str> = a.ids().into_iter().filter(|id| theirs.contains_key(id)).collect();
        let right: Vec<&str> = b.ids().into_iter().filter(|id| ours.contains(id)).collect();
        if let Some((index, (l, r))) = left.iter().zip(&right).enumerate().find(|(_, (l, r))| l != r) {
            let sides = [l, r].map(|id| format!("{id:?} at place {index}"));
            self.note(place, Some(l), "order", sides);
        } else if left.len() != right.len() {
            let sides = [left.len(), right.len()].map(|length| format!("{length} entries"));
            self.note(place, None, "order", sides);
        }
    }

    fn record(&mut self, place: (&str, &str), a: &RecordSnapshot, b: &RecordSnapshot, cosine: bool) {
        let id = Some(a.id.as_str());
        let pairs = [
            ("document", &a.document, &b.document),
            ("metadata", &a.metadata, &b.metadata),
            ("uri", &a.uri, &b.uri),
        ];
        for (field, this, that) in pairs {
            self.note(place, id, field, [spell(this), spell(that)]);
        }
        if a.embedding.len() != b.embedding.len() {
            let sides = [a, b].map(|record| format!("{} dimensions", record.embedding.len()));
            self.note(place, id, "embedding", sides);
            return;
        }
        let unequal = |(x, y): (&f64, &f64)| {
            if cosine { !close(*x, *y) } else { x.to_bits() != y.to_bits() }
        };
        if let Some(index) = a.embedding.iter().zip(&b.embedding).position(unequal) {
            let sides = [a, b].map(|record| format!("[{index}] = {:?}", record.embedding[index]));
            self.note(place, id, "embedding", sides);
        }
    }
}

fn close(x: f64, y: f64) -> bool {
    (x - y).abs() <= COSINE_TOLERANCE * x.abs().max(y.abs()) + f64::from(f32::MIN_POSITIVE)
}

/// A value as text: keys sorted, and numbers as the server spelled their type (`1` is not `1.0`).
fn spell(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", spell(value))).collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(spell).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn shorten(text: &str) -> String {
    const KEPT: usize = 160;
    if text.chars().count() <= KEPT {
        text.to_owned()
    } else {
        text.chars().take(KEPT).chain(['…']).collect()
    }
}
