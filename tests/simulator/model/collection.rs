//! One collection of a model server: what is visible, and what is logged but not yet visible.

use std::collections::BTreeMap;

use super::request::{Description, Filter, Kind, Metadata, Part, RealId, Response, Value};

/// A record as reads return it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) embedding: Vec<f32>,
    pub(crate) document: Option<String>,
    pub(crate) metadata: Metadata,
}

/// One accepted record write in the collection's log.
#[derive(Clone, Debug, PartialEq)]
enum Change {
    Write { kind: Kind, parts: Vec<Part> },
    Delete(Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Collection {
    pub(crate) id: RealId,
    pub(crate) database: String,
    pub(crate) name: String,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) dimension: Option<usize>,
    /// Visible records in insertion order.
    records: Vec<Record>,
    /// Logged and not yet visible, oldest first.
    unseen: Vec<Change>,
    index: Index,
}

/// How far Chroma's vector index has come to be. One that was left out, because the first write
/// came before the dimension, is missed by every read of embeddings until the next write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Index {
    Untouched,
    LeftOut,
    Built,
    /// Its files are damaged: nothing is read, and what is logged is never shown.
    Broken,
}

impl Collection {
    pub(crate) fn new(id: RealId, database: String, name: String, metadata: Option<Metadata>) -> Self {
        Self {
            id,
            database,
            name,
            metadata,
            dimension: None,
            records: Vec::new(),
            unseen: Vec::new(),
            index: Index::Untouched,
        }
    }

    pub(crate) fn describe(&self) -> Description {
        Description {
            id: self.id,
            name: self.name.clone(),
            metadata: self.metadata.clone(),
            dimension: self.dimension,
        }
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Checks a write in Chroma's order and appends it to the log; nothing is visible yet. A
    /// refusal after the dimension was looked at leaves it fixed.
    pub(crate) fn log_write(&mut self, kind: Kind, parts: &[Part]) -> Response {
        let reserved = |key: &String| key.is_empty() || key.starts_with(['$', '#']);
        if parts.iter().any(|part| part.metadata.keys().any(reserved)) {
            return Response::refused(400, "Validation error: metadatas: Invalid metadata");
        }
        let mut lengths = parts.iter().filter_map(|part| part.embedding.as_ref().map(Vec::len));
        if let Some(first) = lengths.next() {
            if lengths.any(|other| other != first) {
                return Response::refused(400, "Inconsistent dimensions in provided embeddings");
            }
            let expected = *self.dimension.get_or_insert(first);
            if expected != first {
                let reason =
                    format!("Collection expecting embedding with dimension of {expected}, got {first}");
                return Response::refused(400, reason);
            }
        }
        if parts.iter().any(|part| part.id.is_empty()) {
            return Response::refused(400, "Empty ID, ID must have at least one character");
        }
        let sparse = |part: &Part| part.metadata.values().any(|value| *value == Some(Value::Sparse));
        if parts.iter().any(sparse) {
            return Response::refused(501, "Sparse vector is not supported for local chroma");
        }
        self.unseen.push(Change::Write { kind, parts: parts.to_vec() });
        Response::Done
    }

    /// Resolves a delete against what is visible and appends the ids to the log.
    pub(crate) fn log_delete(
        &mut self,
        ids: Option<&[String]>,
        filter: Option<&Filter>,
        limit: Option<usize>,
    ) -> Response {
        if limit.is_some() && filter.is_none() {
            return Response::refused(400, "limit can only be specified when a where clause is provided");
        }
        let ids = match (ids, filter) {
            (Some([]), None) => return Response::refused(400, "Either ids or where must be specified"),
            (None, None) => return Response::Deleted(0),
            (Some(ids), None) => ids.to_vec(),
            (_, Some(_)) => self.get(ids, filter, limit, 0).into_iter().map(|record| record.id).collect(),
        };
        let count = ids.len();
        self.unseen.push(Change::Delete(ids));
        Response::Deleted(count)
    }

    /// Visible records in insertion order, whatever the order of `ids`.
    pub(crate) fn get(
        &self,
        ids: Option<&[String]>,
        filter: Option<&Filter>,
        limit: Option<usize>,
        offset: usize,
    ) -> Vec<Record> {
        let named = |record: &&Record| ids.is_none_or(|ids| ids.contains(&record.id));
        let holds = |record: &&Record| {
            filter.is_none_or(|filter| {
                let value = record.metadata.get(&filter.key);
                value.is_some_and(|value| value.matches(&filter.value))
            })
        };
        let found = self.records.iter().filter(named).filter(holds).skip(offset);
        found.take(limit.unwrap_or(usize::MAX)).cloned().collect()
    }

    /// A record is removed, another altered, by hand.
    pub(crate) fn spoil(&mut self) {
        self.records.pop();
        self.records.first_mut().into_iter().for_each(|record| record.document = Some("altered".to_owned()));
    }

    /// The files of its index are damaged.
    pub(crate) fn break_index(&mut self) {
        self.index = Index::Broken;
    }

    /// True where its index does not load.
    pub(crate) fn is_broken(&self) -> bool {
        self.index == Index::Broken
    }

    /// True while something is logged that reads do not show.
    pub(crate) fn has_unseen(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// True while reads of embeddings get a 500.
    pub(crate) fn lacks_index(&self) -> bool {
        self.index == Index::LeftOut && self.dimension.is_some()
    }

    /// Makes everything in the log visible.
    pub(crate) fn show(&mut self) {
        match self.dimension {
            _ if self.unseen.is_empty() => {}
            _ if self.is_broken() => return,
            Some(_) => self.index = Index::Built,
            None => self.index = Index::LeftOut,
        }
        for change in std::mem::take(&mut self.unseen) {
            match change {
                Change::Write { kind, parts } => parts.into_iter().for_each(|part| self.apply(kind, part)),
                Change::Delete(ids) => self.records.retain(|record| !ids.contains(&record.id)),
            }
        }
    }

    fn apply(&mut self, kind: Kind, part: Part) {
        let existing = self.records.iter_mut().find(|record| record.id == part.id);
        match (existing, kind) {
            (Some(_), Kind::Add) | (None, Kind::Update) => {}
            (Some(record), Kind::Upsert | Kind::Update) => merge(record, part),
            (None, Kind::Add | Kind::Upsert) => {
                let mut record = Record {
                    id: part.id.clone(),
                    embedding: Vec::new(),
                    document: None,
                    metadata: Metadata::new(),
                };
                merge(&mut record, part);
                self.records.push(record);
            }
        }
    }
}

fn merge(record: &mut Record, part: Part) {
    if let Some(embedding) = part.embedding {
        record.embedding = embedding;
    }
    if part.document.is_some() {
        record.document = part.document;
    }
    for (key, value) in part.metadata {
        match value {
            Some(value) => record.metadata.insert(key, value),
            None => record.metadata.remove(&key),
        };
    }
}

/// What Chroma refuses as soon as it has parsed the body, before it looks for the collection.
pub(crate) fn refuse_types(kind: Kind, parts: &[Part]) -> Option<Response> {
    let null = |metadata: &BTreeMap<String, Option<Value>>| metadata.values().any(Option::is_none);
    if kind == Kind::Add && parts.iter().any(|part| null(&part.metadata)) {
        return Some(Response::refused(422, "did not match any variant of untagged enum MetadataValue"));
    }
    if kind != Kind::Update && parts.iter().any(|part| part.embedding.is_none()) {
        return Some(Response::refused(422, "embeddings"));
    }
    None
}
