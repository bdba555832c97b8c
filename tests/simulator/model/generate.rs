//! Random requests over few ids, keys and values, so that they meet each other often.

use super::request::{Filter, Kind, Metadata, Part, RealId, Request, Value};

/// Makes requests from a seed.
pub(crate) struct Generator {
    pub(crate) random: fastrand::Rng,
    /// Out of a hundred records, how many carry something that Chroma refuses.
    pub(crate) flawed_percent: u8,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), flawed_percent: 2 }
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    /// An add, upsert, update or delete of a collection; embeddings have `dimension`, but for flaws.
    pub(crate) fn record_write(&mut self, collection: RealId, dimension: usize) -> Request {
        let kind = match self.random.u8(..10) {
            0..3 => Kind::Add,
            3..6 => Kind::Upsert,
            6..8 => Kind::Update,
            _ => return self.delete(collection),
        };
        self.write(collection, kind, dimension)
    }

    pub(crate) fn write(&mut self, collection: RealId, kind: Kind, dimension: usize) -> Request {
        let bare = kind == Kind::Update && self.chance(40);
        let count = self.random.usize(0..5);
        let mut parts: Vec<Part> = (0..count).map(|_| self.part(kind, dimension)).collect();
        if bare {
            for part in &mut parts {
                part.embedding = None;
            }
        }
        if let Some(index) = (0..parts.len()).find(|_| self.random.u8(..100) < self.flawed_percent) {
            self.spoil(&mut parts[index]);
        }
        Request::Write { collection, kind, parts }
    }

    fn delete(&mut self, collection: RealId) -> Request {
        let with_filter = self.chance(40);
        let with_ids = !with_filter || self.chance(30);
        let limited = with_filter && self.chance(30);
        Request::Delete {
            collection,
            ids: with_ids.then(|| self.ids(1)),
            filter: with_filter.then(|| self.filter()),
            limit: limited.then(|| self.random.usize(1..4)),
        }
    }

    /// A get of everything, of some ids, by filter, or of a page.
    pub(crate) fn get(&mut self, collection: RealId) -> Request {
        Request::Get {
            collection,
            ids: self.chance(40).then(|| self.ids(1)),
            filter: self.chance(20).then(|| self.filter()),
            limit: self.chance(20).then(|| self.random.usize(0..6)),
            offset: if self.chance(20) { self.random.usize(..4) } else { 0 },
            embeddings: true,
        }
    }

    pub(crate) fn ids(&mut self, at_least: usize) -> Vec<String> {
        let count = self.random.usize(at_least..at_least + 4);
        (0..count).map(|_| self.id()).collect()
    }

    pub(crate) fn id(&mut self) -> String {
        format!("r{}", self.random.u8(..12))
    }

    pub(crate) fn filter(&mut self) -> Filter {
        Filter { key: self.key(), value: self.value() }
    }

    /// Metadata of a collection.
    pub(crate) fn collection_metadata(&mut self) -> Metadata {
        let value = self.value();
        Metadata::from([(self.key(), value)])
    }

    fn key(&mut self) -> String {
        format!("k{}", self.random.u8(..3))
    }

    fn value(&mut self) -> Value {
        match self.random.u8(..4) {
            0 => Value::Bool(self.random.bool()),
            1 => Value::Int(self.random.i64(0..3)),
            2 => Value::Float(f64::from(self.random.i32(0..4)) / 2.0),
            _ => Value::Text(format!("t{}", self.random.u8(..3))),
        }
    }

    fn part(&mut self, kind: Kind, dimension: usize) -> Part {
        let embedding = (0..dimension).map(|_| f32::from(self.random.i8(..)) / 8.0);
        let embedding = embedding.collect();
        let pairs = self.random.usize(..3);
        Part {
            id: self.id(),
            embedding: (kind != Kind::Update || self.chance(70)).then_some(embedding),
            document: self.chance(50).then(|| format!("d{}", self.random.u8(..))),
            metadata: (0..pairs)
                .map(|_| {
                    let null = kind != Kind::Add && self.chance(30);
                    (self.key(), (!null).then(|| self.value()))
                })
                .collect(),
        }
    }

    /// Puts one thing into a record for which Chroma refuses the whole request.
    fn spoil(&mut self, part: &mut Part) {
        match self.random.u8(..5) {
            0 => part.id.clear(),
            1 => drop(part.metadata.insert("sparse".to_owned(), Some(Value::Sparse))),
            2 => drop(part.metadata.insert("$bad".to_owned(), Some(Value::Int(1)))),
            3 => drop(part.metadata.insert("null".to_owned(), None)),
            _ => part.embedding.iter_mut().for_each(|embedding| embedding.push(1.0)),
        }
    }
}
