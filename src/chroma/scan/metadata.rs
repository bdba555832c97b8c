//! Metadata of records: what is certainly fine, and what would stop a server from writing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::error::ApiError;
use super::super::json::{each, each_member};
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
    pub(super) refusal: Option<ApiError>,
}

/// Reads `json`. `None` where it is no list of objects and nulls. `nulls` in the place of a value are taken
/// by upserts and updates only; `extra_rows` are those of a document and a uri.
pub(super) fn scan(json: &str, nulls: bool, extra_rows: usize) -> Option<Metadatas> {
    let mut all = Metadatas { count: 0, sound: true, refusal: None };
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
    let (mut keys, mut elements) = (0, 0);
    let readable = each_member(json, |key, value: &RawValue| {
        keys += 1;
        let value = Value::of(value.get());
        if let Value::List { elements: more, .. } = value {
            elements += more;
        }
        all.sound &= !key.is_empty() && !key.starts_with(['#', '$']) && value.is_sound(nulls);
        if let Some(error) = refuse_member(&key, &value) {
            all.refuse(error);
        }
    });
    for (what, rows) in [("keys, document and URI", keys + extra_rows), ("list elements", elements)] {
        if rows > MAX_METADATA_ROWS {
            all.refuse(ApiError::invalid(format!(
                "Metadata of a record has {rows} {what}, at most {MAX_METADATA_ROWS} can be stored"
            )));
        }
    }
    readable
}

impl Metadatas {
    /// Keeps the first reason.
    fn refuse(&mut self, error: ApiError) {
        self.refusal.get_or_insert(error);
    }
}

fn refuse_member(key: &str, value: &Value) -> Option<ApiError> {
    if *value == Value::Sparse {
        return Some(ApiError::sparse_vector(key));
    }
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
    List { elements: usize, sound: bool },
    Sparse,
    Other,
}

impl Value {
    fn of(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => text(json).map_or(Self::Other, |_| Self::Text),
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            Some(b'[') => Self::of_list(json),
            Some(b'{') if is_sparse_vector(json) => Self::Sparse,
            Some(b'{') | None => Self::Other,
            Some(_) => Self::Number(number::classify(json)),
        }
    }

    fn of_list(json: &str) -> Self {
        let (mut elements, mut sound, mut first) = (0, true, None);
        each(json, |element: &RawValue| {
            elements += 1;
            let element = Self::of(element.get());
            let scalar = matches!(element, Self::Text | Self::Bool | Self::Number(_));
            sound &= scalar
                && element.is_sound(false)
                && first.get_or_insert_with(|| element.kind()) == &element.kind();
        });
        Self::List { elements, sound }
    }

    /// What the elements of a list must have in common.
    fn kind(&self) -> (std::mem::Discriminant<Self>, Option<Number>) {
        let number = if let Self::Number(number) = self { Some(*number) } else { None };
        (std::mem::discriminant(self), number)
    }

    fn is_sound(&self, nulls: bool) -> bool {
        match self {
            Self::Text | Self::Bool => true,
            Self::Number(number) => *number != Number::Doubtful,
            Self::Null => nulls,
            Self::List { sound, .. } => *sound,
            Self::Sparse | Self::Other => false,
        }
    }
}

/// True for what Chroma takes as a sparse vector.
fn is_sparse_vector(json: &str) -> bool {
    #[derive(Deserialize)]
    struct Sparse {
        #[serde(rename = "#type")]
        kind: Option<String>,
        indices: Vec<u32>,
        values: Vec<f32>,
    }
    serde_json::from_str::<Sparse>(json).is_ok_and(|sparse| {
        sparse.kind.is_none_or(|kind| kind == "sparse_vector")
            && sparse.indices.len() == sparse.values.len()
            && sparse.indices.is_sorted_by(|a, b| a < b)
    })
}
