//! Records as an instance shows them: their digests, and in what those of two instances differ.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Number, Value};
use xxhash_rust::xxh3::Xxh3;

use super::description::brief;

/// Chroma normalises the embeddings of cosine collections, and a copy of a copy drifts: measured up to 1.8e-7.
const COSINE_TOLERANCE: f32 = 1e-6;

/// A page of records in the instance's order.
#[derive(Debug)]
pub(in crate::repair) struct Page {
    pub records: Vec<Record>,
    /// Over all of it, bit by bit.
    pub digest: u128,
}

#[derive(Debug)]
pub(in crate::repair) struct Record {
    pub id: String,
    pub document: Option<String>,
    pub metadata: Option<BTreeMap<String, Value>>,
    pub uri: Option<String>,
    pub embedding: Option<Vec<f32>>,
    pub digest: u128,
}

/// In what two instances differ, and what each of them has.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::repair) struct Found {
    pub record: Option<String>,
    pub field: String,
    pub sides: [String; 2],
}

/// How embeddings are held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::repair) enum Embeddings {
    BitByBit,
    /// In cosine collections.
    Nearly,
}

impl Page {
    /// Reads the answer to a `get` that includes everything.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn read(answer: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Got {
            ids: Vec<String>,
            documents: Vec<Option<String>>,
            metadatas: Vec<Option<BTreeMap<String, Value>>>,
            uris: Vec<Option<String>>,
            embeddings: Vec<Option<Vec<f32>>>,
        }
        let got: Got = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
        let lengths = [got.documents.len(), got.metadatas.len(), got.uris.len(), got.embeddings.len()];
        if lengths != [got.ids.len(); 4] {
            return Err("the parts of its answer have different lengths".to_owned());
        }
        let rest = got.documents.into_iter().zip(got.metadatas).zip(got.uris.into_iter().zip(got.embeddings));
        let records = got.ids.into_iter().zip(rest);
        let records = records.map(|(id, ((document, metadata), (uri, embedding)))| {
            Record { id, document, metadata, uri, embedding, digest: 0 }.digested()
        });
        let records: Vec<Record> = records.collect();
        let mut page = Self { records, digest: 0 };
        let mut whole = Xxh3::new();
        page.feed(&mut whole);
        page.digest = whole.digest128();
        Ok(page)
    }

    /// Adds its records to a digest that does not depend on how they come in pages.
    pub fn feed(&self, digest: &mut Xxh3) {
        for record in &self.records {
            digest.update(&record.digest.to_le_bytes());
        }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Everything in which `other` differs.
    pub fn differences(&self, other: &Self, embeddings: Embeddings) -> Vec<Found> {
        if self.digest == other.digest {
            return Vec::new();
        }
        let theirs: HashMap<&str, &Record> =
            other.records.iter().map(|record| (record.id.as_str(), record)).collect();
        let ours: HashSet<&str> = self.records.iter().map(|record| record.id.as_str()).collect();
        let mut found = Vec::new();
        for record in &self.records {
            match theirs.get(record.id.as_str()) {
                Some(there) if there.digest == record.digest => {}
                Some(there) => record.compare(there, embeddings, &mut found),
                None => found.push(presence(&record.id, [true, false])),
            }
        }
        let extra = other.records.iter().filter(|record| !ours.contains(record.id.as_str()));
        found.extend(extra.map(|record| presence(&record.id, [false, true])));
        let left = self.records.iter().map(|record| record.id.as_str());
        let right = other.records.iter().map(|record| record.id.as_str());
        let left = left.filter(|id| theirs.contains_key(id));
        found.extend(order(left, right.filter(|id| ours.contains(id))));
        found
    }
}

/// A record that one instance has and the other has not.
pub(super) fn presence(id: &str, sides: [bool; 2]) -> Found {
    let word = |there: bool| if there { "has it" } else { "lacks it" }.to_owned();
    Found { record: Some(id.to_owned()), field: "record".to_owned(), sides: sides.map(word) }
}

/// The first place where the same ids come in another order.
pub(in crate::repair) fn order<'a>(
    mut left: impl Iterator<Item = &'a str>,
    mut right: impl Iterator<Item = &'a str>,
) -> Option<Found> {
    let mut place = 0;
    loop {
        let (l, r) = (left.next(), right.next());
        if l != r {
            let word =
                |id: Option<&str>| id.map_or("nothing".to_owned(), |id| format!("{id:?} at place {place}"));
            let record = l.or(r).map(str::to_owned);
            return Some(Found { record, field: "order".to_owned(), sides: [word(l), word(r)] });
        }
        l?;
        place += 1;
    }
}

impl Record {
    fn digested(mut self) -> Self {
        let mut hash = Xxh3::new();
        text(&mut hash, Some(&self.id));
        text(&mut hash, self.document.as_deref());
        text(&mut hash, self.uri.as_deref());
        // The order of the keys is random in every answer; here it is theirs.
        let metadata = self.metadata.iter().flatten();
        hash.update(&[u8::from(self.metadata.is_some())]);
        for (key, item) in metadata {
            text(&mut hash, Some(key));
            value(&mut hash, item);
        }
        let embedding = self.embedding.as_deref();
        hash.update(&embedding.map_or(u64::MAX, |embedding| embedding.len() as u64).to_le_bytes());
        for number in embedding.into_iter().flatten() {
            hash.update(&number.to_bits().to_le_bytes());
        }
        self.digest = hash.digest128();
        self
    }

    fn compare(&self, other: &Self, embeddings: Embeddings, found: &mut Vec<Found>) {
        let mut note = |field: String, sides: [String; 2]| {
            found.push(Found { record: Some(self.id.clone()), field, sides });
        };
        let texts = [("document", &self.document, &other.document), ("uri", &self.uri, &other.uri)];
        for (field, this, that) in texts {
            if this != that {
                note(field.to_owned(), differing(this.as_deref(), that.as_deref()));
            }
        }
        let none = BTreeMap::new();
        let (this, that) =
            (self.metadata.as_ref().unwrap_or(&none), other.metadata.as_ref().unwrap_or(&none));
        let other_keys = that.keys().filter(|key| !this.contains_key(*key));
        for key in this.keys().chain(other_keys) {
            let sides = [this.get(key), that.get(key)];
            if digest_of(sides[0]) != digest_of(sides[1]) {
                note(format!("metadata {key:?}"), sides.map(brief));
            }
        }
        match (&self.embedding, &other.embedding) {
            (Some(this), Some(that)) if this.len() == that.len() => {
                let unequal = |(x, y): (&f32, &f32)| !embeddings.are_equal(*x, *y);
                if let Some(place) = this.iter().zip(that).position(unequal) {
                    let side = |numbers: &[f32]| format!("{:?} at place {place}", numbers[place]);
                    note("embedding".to_owned(), [side(this), side(that)]);
                }
            }
            (None, None) => {}
            (this, that) => {
                let side = |numbers: &Option<Vec<f32>>| {
                    numbers
                        .as_ref()
                        .map_or("none".to_owned(), |numbers| format!("{} dimensions", numbers.len()))
                };
                note("embedding".to_owned(), [side(this), side(that)]);
            }
        }
    }
}

impl Embeddings {
    fn are_equal(self, x: f32, y: f32) -> bool {
        let nearly = || (x - y).abs() <= COSINE_TOLERANCE * x.abs().max(y.abs()) + f32::MIN_POSITIVE;
        x.to_bits() == y.to_bits() || (self == Self::Nearly && nearly())
    }
}

/// Reports hold no documents: their lengths, and where they part.
fn differing(this: Option<&str>, that: Option<&str>) -> [String; 2] {
    let place = match (this, that) {
        (Some(this), Some(that)) => this.bytes().zip(that.bytes()).position(|(x, y)| x != y),
        _ => None,
    };
    [this, that].map(|text| match (text, place) {
        (None, _) => "none".to_owned(),
        (Some(text), None) => format!("{} bytes", text.len()),
        (Some(text), Some(place)) => format!("{} bytes, other from byte {place} on", text.len()),
    })
}

fn digest_of(item: Option<&Value>) -> Option<u128> {
    let mut hash = Xxh3::new();
    value(&mut hash, item?);
    Some(hash.digest128())
}

/// Each part goes in with its kind and its length, so that no two different records give the same bytes.
fn text(hash: &mut Xxh3, text: Option<&str>) {
    hash.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
    hash.update(text.unwrap_or("").as_bytes());
}

fn value(hash: &mut Xxh3, item: &Value) {
    match item {
        Value::Null => hash.update(b"n"),
        Value::Bool(is) => hash.update(&[b'b', u8::from(*is)]),
        Value::Number(item) => number(hash, item),
        Value::String(item) => {
            hash.update(b"s");
            text(hash, Some(item));
        }
        Value::Array(items) => {
            hash.update(b"a");
            hash.update(&(items.len() as u64).to_le_bytes());
            for item in items {
                value(hash, item);
            }
        }
        Value::Object(members) => {
            hash.update(b"o");
            let members: BTreeMap<_, _> = members.iter().collect();
            hash.update(&(members.len() as u64).to_le_bytes());
            for (key, item) in members {
                text(hash, Some(key));
                value(hash, item);
            }
        }
    }
}

/// Whole numbers and others are different even where they are equal: `1` is not `1.0`.
fn number(hash: &mut Xxh3, item: &Number) {
    if let Some(whole) = item.as_i64() {
        hash.update(b"i");
        hash.update(&whole.to_le_bytes());
    } else if let Some(whole) = item.as_u64() {
        hash.update(b"u");
        hash.update(&whole.to_le_bytes());
    } else {
        hash.update(b"f");
        hash.update(&item.as_f64().unwrap_or(f64::NAN).to_bits().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(records: &[(&str, Value)]) -> Page {
        let column = |name: &str| records.iter().map(|(_, record)| record[name].clone()).collect::<Vec<_>>();
        let answer = json!({
            "ids": records.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            "documents": column("d"), "metadatas": column("m"), "uris": column("u"), "embeddings": column("e"),
        });
        Page::read(answer.to_string().as_bytes()).unwrap()
    }

    fn fields(a: &Page, b: &Page, embeddings: Embeddings) -> Vec<String> {
        let found = a.differences(b, embeddings);
        found.into_iter().map(|one| format!("{} {}", one.record.unwrap_or_default(), one.field)).collect()
    }

    #[test]
    fn the_order_of_keys_is_no_difference() {
        let read = |metadata: &str| {
            let answer = format!(
                r#"{{"ids":["a"],"documents":[null],"uris":[null],"embeddings":[[1.0]],"metadatas":[{metadata}]}}"#
            );
            Page::read(answer.as_bytes()).unwrap().digest
        };
        assert_eq!(read(r#"{"x":1,"y":[1.5,"z"]}"#), read(r#"{"y":[1.5,"z"],"x":1}"#));
        assert_ne!(read(r#"{"x":1}"#), read(r#"{"x":1.0}"#));
        assert_ne!(read("null"), read("{}"));
    }

    #[test]
    fn every_field_of_a_record_is_held_against_the_other() {
        let a = json!({"d": "text", "m": {"n": 1, "t": true}, "u": "u", "e": [1.0, -0.0]});
        let altered = |field: &str, value: Value| {
            let mut b = a.clone();
            b[field] = value;
            fields(&page(&[("x", a.clone())]), &page(&[("x", b)]), Embeddings::BitByBit)
        };
        assert_eq!(altered("d", json!("texT")), ["x document"]);
        assert_eq!(altered("d", Value::Null), ["x document"]);
        assert_eq!(altered("m", json!({"n": 1.0, "t": true})), ["x metadata \"n\""]);
        assert_eq!(altered("m", json!({"n": 1, "t": true, "new": "1"})), ["x metadata \"new\""]);
        assert_eq!(altered("u", json!("v")), ["x uri"]);
        assert_eq!(altered("e", json!([1.0, 0.0])), ["x embedding"]);
        assert_eq!(altered("e", json!([1.0])), ["x embedding"]);
        assert_eq!(altered("d", json!("text")), [""; 0]);
    }

    #[test]
    fn records_that_one_side_lacks_and_their_order_are_named() {
        let record = |n: i32| json!({"m": {"n": n}, "e": [1.0]});
        let a = page(&[("a", record(1)), ("b", record(2)), ("c", record(3))]);
        let b = page(&[("c", record(3)), ("a", record(1)), ("d", record(4))]);
        assert_eq!(fields(&a, &b, Embeddings::BitByBit), ["b record", "d record", "a order"]);
    }

    #[test]
    fn cosine_embeddings_may_differ_in_their_last_bits_only() {
        let with = |x: f32| page(&[("a", json!({"e": [x, 0.0]}))]);
        let (one, next, other) = (with(0.5), with(f32::from_bits(0.5_f32.to_bits() + 3)), with(0.500_01));
        assert_eq!(fields(&one, &next, Embeddings::Nearly), [""; 0]);
        assert_eq!(fields(&one, &next, Embeddings::BitByBit), ["a embedding"]);
        assert_eq!(fields(&one, &other, Embeddings::Nearly), ["a embedding"]);
    }
}
