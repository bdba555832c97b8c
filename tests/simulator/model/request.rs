//! What can be asked of a Chroma server, and what it answers, as structures instead of JSON.

use std::collections::BTreeMap;

use super::collection::Record;

/// The id that a server gave its copy of a collection.
pub(crate) type RealId = u128;

/// A metadata value with its type. `Sparse` stands for a sparse vector, which Chroma refuses late.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Sparse,
}

impl Value {
    /// Equality as `where` sees it: a stored float is compared by value with either kind of number,
    /// a stored integer with the number's whole part.
    pub(crate) fn matches(&self, wanted: &Self) -> bool {
        let same = |a: f64, b: f64| a.total_cmp(&b).is_eq();
        match (self, wanted) {
            (Self::Int(stored), Self::Float(wanted)) => same(*stored as f64, wanted.trunc()),
            (Self::Float(stored), Self::Int(wanted)) => same(*stored, *wanted as f64),
            _ => self == wanted,
        }
    }
}

pub(crate) type Metadata = BTreeMap<String, Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Upsert,
    Update,
}

/// What a write says of one record. In metadata `None` is JSON's null: "delete this key".
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) id: String,
    pub(crate) embedding: Option<Vec<f32>>,
    pub(crate) document: Option<String>,
    pub(crate) metadata: BTreeMap<String, Option<Value>>,
}

/// `{"key": value}`: the metadata value under the key equals the value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    pub(crate) key: String,
    pub(crate) value: Value,
}

/// One request. Collections are named as Chroma's routes name them: some by name, some by id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    CreateDatabase {
        database: String,
    },
    DropDatabase {
        database: String,
    },
    CreateCollection {
        database: String,
        name: String,
        metadata: Option<Metadata>,
        get_or_create: bool,
    },
    ModifyCollection {
        collection: RealId,
        new_name: Option<String>,
        new_metadata: Option<Metadata>,
    },
    DropCollection {
        database: String,
        name: String,
    },
    Write {
        collection: RealId,
        kind: Kind,
        parts: Vec<Part>,
    },
    Delete {
        collection: RealId,
        ids: Option<Vec<String>>,
        filter: Option<Filter>,
        limit: Option<usize>,
    },
    Get {
        collection: RealId,
        ids: Option<Vec<String>>,
        filter: Option<Filter>,
        limit: Option<usize>,
        offset: usize,
        /// Embeddings are asked for too.
        embeddings: bool,
    },
    Count {
        collection: RealId,
    },
    Describe {
        database: String,
        name: String,
    },
    DescribeById {
        database: String,
        collection: RealId,
    },
    List {
        database: String,
    },
}

impl Request {
    /// The collection whose queue of record writes the request passes through, if it does.
    pub(crate) fn queue(&self) -> Option<RealId> {
        match self {
            Self::Write { collection, .. } | Self::Delete { collection, .. } => Some(*collection),
            _ => None,
        }
    }
}

/// A collection as its description tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Description {
    pub(crate) id: RealId,
    pub(crate) name: String,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) dimension: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Response {
    /// `{}`.
    Done,
    Collection(Description),
    /// In the order of the server's own ids.
    Collections(Vec<Description>),
    Deleted(usize),
    Records(Vec<Record>),
    Count(usize),
    Refused {
        status: u16,
        reason: String,
    },
}

impl Response {
    pub(crate) fn refused(status: u16, reason: impl Into<String>) -> Self {
        Self::Refused { status, reason: reason.into() }
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The HTTP status that the request gets with this answer.
    pub(crate) fn status(&self, request: &Request) -> u16 {
        match (self, request) {
            (Self::Refused { status, .. }, _) => *status,
            (_, Request::Write { kind: Kind::Add, .. }) => 201,
            _ => 200,
        }
    }
}
