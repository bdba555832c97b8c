//! Metadata of records: what is certainly fine, and what would stop a server from writing.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::error::ApiError;
use super::super::json::{Text, each, each_member};
use super::number::{self, Number};
use super::text;

/// So many rows of six values fit in one of Chroma's SQL statements (32,766 variables). A record's keys, its
/// document and its uri go in one statement, the elements of all its lists in another; a record with more
/// is logged and can never be applied, and its collection takes no write any more.
pub const MAX_METADATA_ROWS: usize = 5461;

/// What is known of the `metadatas` of a request.
pub(super) struct Metadatas {
    pub(super) count: usize,
    /// Chroma will not refuse them.
    pub(super) sound: bool,
    /// Nothing is of a type that Chroma does not read; it tells that before all else.
    pub(super) readable: bool,
    /// They would stop a server from writing, or be lost.
    pub(super) harmful: Option<ApiError>,
    /// Chroma refuses them, but not before it has fixed the dimension.
    pub(super) sparse: Option<ApiError>,
}

/// Reads `json`. `None` where it is no list of objects and nulls. `nulls` in the place of a value are taken
/// by upserts and updates only; `extra_rows` are those of a document and a uri.
pub(super) fn scan(json: &str, nulls: bool, extra_rows: usize) -> Option<Metadatas> {
    let mut all = Metadatas { count: 0, sound: true, readable: true, harmful: None, sparse: None };
    let mut objects = true;
    let list = each(json, |record: Option<&RawValue>| {
        all.count += 1;
        if let Some(record) = record {
            objects &= scan_record(record.get(), nulls, extra_rows, &mut all);
        }
    });
    (list && objects).then_some(all)
}

fn scan_record(json: &str, nulls: bool, extra_rows: usize, all: &mut Metadatas) -> bool {
    let mut members = Vec::new();
    let readable = each_member(json, |key, value: &RawValue| {
        let value = Value::of(value.get());
        all.readable &= value.is_readable(nulls);
        if let Some(error) = refuse_member(&key, &value) {
            all.harmful.get_or_insert(error);
        }
        members.push((key, value));
    });
    keep_last(&mut members);
    let mut elements = 0;
    for (key, value) in &members {
        if let Value::List { elements: more, .. } = value {
            elements += more;
        }
        all.sound &= !key.is_empty() && !key.starts_with(['#', '$']) && value.is_sound(nulls);
        if *value == (Value::Sparse { valid: true }) {
            all.sparse.get_or_insert_with(|| ApiError::sparse_vector(key));
        }
    }
    for (what, rows) in [("keys, document and URI", members.len() + extra_rows), ("list elements", elements)]
    {
        if rows > MAX_METADATA_ROWS {
            all.harmful.get_or_insert_with(|| {
                ApiError::invalid(format!(
                    "Metadata of a record has {rows} {what}, at most {MAX_METADATA_ROWS} can be stored"
                ))
            });
        }
    }
    readable
}

/// Of members with the same key Chroma reads each, and keeps the last.
fn keep_last(members: &mut Vec<(Cow<'_, str>, Value)>) {
    members.reverse();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    members.dedup_by(|(later, _), (kept, _)| later == kept);
}

fn refuse_member(key: &str, value: &Value) -> Option<ApiError> {
    if !key.starts_with("chroma:") {
        return None;
    }
    match key {
        "chroma:document" | "chroma:uri" if *value == Value::Text => None,
        "chroma:document" | "chroma:uri" => {
            Some(ApiError::invalid(format!("Metadata key '{key}' must hold a string")))
        }
        _ => Some(ApiError::invalid(format!("Metadata key '{key}' is reserved"))),
    }
}

/// A metadata value as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text,
    Bool,
    Number(Number),
    Null,
    List {
        elements: usize,
        sound: bool,
        readable: bool,
    },
    /// `valid` where Chroma does not refuse it for its content, before it finds that it can't store it.
    Sparse {
        valid: bool,
    },
    Other,
}

impl Value {
    fn of(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => text(json).map_or(Self::Other, |_| Self::Text),
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            Some(b'[') => Self::of_list(json),
            Some(b'{') => sparse_vector(json).map_or(Self::Other, |valid| Self::Sparse { valid }),
            None => Self::Other,
            Some(_) => Self::Number(number::classify(json)),
        }
    }

    fn of_list(json: &str) -> Self {
        let (mut elements, mut sound, mut readable, mut first) = (0, true, true, None);
        each(json, |element: &RawValue| {
            elements += 1;
            let element = Self::of(element.get());
            let (kind, number) = element.kind();
            let first = *first.get_or_insert((kind, number));
            let scalar = matches!(element, Self::Text | Self::Bool | Self::Number(_));
            // A list of integers and floats is read as one of floats.
            readable &= scalar && kind == first.0;
            sound &= readable && number == first.1 && element.is_sound(false);
        });
        Self::List { elements, sound, readable }
    }

    /// What the elements of a list must have in common.
    fn kind(&self) -> (std::mem::Discriminant<Self>, Option<Number>) {
        let number = if let Self::Number(number) = self { Some(*number) } else { None };
        (std::mem::discriminant(self), number)
    }

    fn is_readable(&self, nulls: bool) -> bool {
        match self {
            Self::Text | Self::Bool | Self::Number(_) | Self::Sparse { .. } => true,
            Self::Null => nulls,
            Self::List { readable, .. } => *readable,
            Self::Other => false,
        }
    }

    fn is_sound(&self, nulls: bool) -> bool {
        match self {
            Self::Text | Self::Bool => true,
            Self::Number(number) => *number != Number::Doubtful,
            Self::Null => nulls,
            Self::List { sound, .. } => *sound,
            Self::Sparse { .. } | Self::Other => false,
        }
    }
}

/// Whether an object that Chroma reads as a sparse vector is a valid one; `None` for other objects.
fn sparse_vector(json: &str) -> Option<bool> {
    #[derive(Deserialize)]
    struct Sparse<'a> {
        #[serde(rename = "#type")]
        kind: Option<String>,
        indices: Vec<u32>,
        values: Vec<f32>,
        #[serde(borrow)]
        tokens: Option<Vec<Text<'a>>>,
    }
    let sparse = serde_json::from_str::<Sparse<'_>>(json).ok()?;
    let ours = sparse.kind.is_none_or(|kind| kind == "sparse_vector");
    let lengths = sparse.indices.len() == sparse.values.len()
        && sparse.tokens.is_none_or(|tokens| tokens.len() == sparse.indices.len());
    ours.then(|| lengths && sparse.indices.is_sorted_by(|a, b| a < b))
}
