//! Which operation of Chroma's API a request is.
//!
//! Matched segment by segment, never by parts of them: a collection may be called `delete`. Fixed segments
//! are compared as they were sent, names are percent-decoded.

mod parse;

use super::error::ApiError;

pub use parse::parse;

/// An operation. Names and ids are decoded; `collection` is whatever stood in the id's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/api/v2` and `/api/v2/heartbeat`
    Heartbeat,
    Healthcheck,
    Version,
    PreFlightChecks,
    Identity,
    Reset,
    CreateTenant,
    GetTenant {
        tenant: String,
    },
    /// Chroma accepts it and changes nothing.
    ModifyTenant {
        tenant: String,
    },
    ListDatabases {
        tenant: String,
    },
    CreateDatabase {
        tenant: String,
    },
    GetDatabase {
        tenant: String,
        database: String,
    },
    DropDatabase {
        tenant: String,
        database: String,
    },
    ListCollections {
        tenant: String,
        database: String,
    },
    CountCollections {
        tenant: String,
        database: String,
    },
    CreateCollection {
        tenant: String,
        database: String,
    },
    /// By name in Chroma.
    GetCollection {
        tenant: String,
        database: String,
        collection: String,
    },
    /// By id only.
    GetCollectionById {
        tenant: String,
        database: String,
        id: String,
    },
    /// By id in Chroma.
    ModifyCollection {
        tenant: String,
        database: String,
        collection: String,
    },
    /// By name in Chroma.
    DropCollection {
        tenant: String,
        database: String,
        collection: String,
    },
    Records {
        tenant: String,
        database: String,
        collection: String,
        op: RecordOp,
    },
    /// What a single node answers with an error of its own; `rest` is the path after the collection.
    Unavailable {
        tenant: String,
        database: String,
        collection: String,
        rest: String,
    },
    /// Look-up by collection resource name, which a single node cannot do.
    Crn {
        crn: String,
    },
    /// Anything under `/api/v1/`.
    V1,
    /// Swagger UI and its description of the API.
    Docs,
    /// No such path: 404 with an empty body.
    NotFound,
    /// 405 with an empty body and this `allow` header.
    MethodNotAllowed {
        allow: &'static str,
    },
    /// A name that cannot be decoded.
    Malformed(ApiError),
}

/// What is done with a collection's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOp {
    Add,
    Upsert,
    Update,
    Delete,
    Count,
    Get,
    Query,
}

impl RecordOp {
    /// The last segment of its path.
    #[must_use]
    pub fn segment(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Upsert => "upsert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Count => "count",
            Self::Get => "get",
            Self::Query => "query",
        }
    }

    /// True for the four that change records.
    #[must_use]
    pub fn is_write(self) -> bool {
        matches!(self, Self::Add | Self::Upsert | Self::Update | Self::Delete)
    }

    fn of_segment(segment: &str) -> Option<Self> {
        [Self::Add, Self::Upsert, Self::Update, Self::Delete, Self::Count, Self::Get, Self::Query]
            .into_iter()
            .find(|op| op.segment() == segment)
    }
}

impl Route {
    /// True for what can change something on a server. Get and query are reads although they are POST;
    /// what a single node cannot do changes nothing.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::Reset
            | Self::CreateTenant
            | Self::ModifyTenant { .. }
            | Self::CreateDatabase { .. }
            | Self::DropDatabase { .. }
            | Self::CreateCollection { .. }
            | Self::ModifyCollection { .. }
            | Self::DropCollection { .. } => true,
            Self::Records { op, .. } => op.is_write(),
            _ => false,
        }
    }
}
