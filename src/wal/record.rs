//! What the log holds: client writes ([`Entry`]) and what became of them. Pure data.
//!
//! A log is one sequence of [`Record`]s. An entry's place among the entries is its [`Lsn`]; the
//! records that tell outcomes have no LSN of their own. Replaying all records in order over the
//! last checkpoint gives the state before a crash.

pub mod brief;
pub mod duty;
pub mod rebuild;

use std::fmt;

use serde::{Deserialize, Serialize};
use wincode::{SchemaRead, SchemaWrite};

use self::duty::Duties;
use self::rebuild::RebuildStep;
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::{CollectionId, InstanceId};

/// Log sequence number: a write's place in the log. Starts at 1, never reused.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    SchemaRead,
    SchemaWrite,
)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What an entry is ordered in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaRead, SchemaWrite)]
pub enum Lane {
    /// One collection's writes, from its create to its drop.
    Collection(CollectionId),
    /// Creates and drops of one database.
    Database { tenant: String, database: String },
    /// Creates and drops of one tenant.
    Tenant { tenant: String },
}

/// The four record operations of Chroma's API. `Delete` is a delete by ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    Add,
    Upsert,
    Update,
    Delete,
}

/// How embeddings are spelled in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, SchemaRead, SchemaWrite)]
pub enum Encoding {
    /// The request carries no embedding at all.
    None,
    /// Lists of numbers.
    Lists,
    /// Strings with base64 of little-endian f32.
    Base64,
}

/// What must be known of a record write to order and to coalesce it, without its body.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct RecordWrite {
    pub kind: RecordKind,
    pub encoding: Encoding,
    /// Number of ids in the request, repeated ones counted.
    pub count: u32,
    /// Length of every embedding in the request, where there is one and all agree.
    pub dimension: Option<u32>,
    /// Sorted, distinct 64-bit hashes of the ids; `None` when there are too many to keep, which
    /// counts as "all ids".
    pub ids: Option<Vec<u64>>,
    /// True when we could show that nothing in the request but its dimension can make Chroma
    /// reject it; such a write may share a request with its neighbours.
    pub provable: bool,
}

/// One logged operation.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Op {
    /// add, upsert, update or delete by ids.
    Records(RecordWrite),
    /// A delete by `where` or `where_document`, to be resolved to ids first.
    DeleteWhere,
    CreateCollection {
        tenant: String,
        database: String,
        name: String,
        get_or_create: bool,
    },
    ModifyCollection {
        new_name: Option<String>,
    },
    DropCollection,
    CreateDatabase,
    DropDatabase,
    CreateTenant,
    /// Chroma can't drop a tenant; a reset takes it out of the catalog.
    DropTenant,
}

/// Where an entry's request body is.
#[derive(Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Body {
    /// In the record itself.
    Inline(Vec<u8>),
    /// In a file of its own, written and synced before the record that names it.
    File { name: String, body_bytes: u64, crc32: u32 },
}

impl Body {
    /// Length of the body in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File { body_bytes, .. } => *body_bytes,
        }
    }

    /// True for a request without a body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// The sender's view of a write: under which id it can ask, and how the same request is known again.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Transaction {
    /// The id that the sender gave, or ours.
    pub id: String,
    /// xxh3-128 of method, path, query and body.
    pub fingerprint: u128,
    pub method: String,
    /// Path and query as the client sent them.
    pub path: String,
    /// Unix time of acceptance in milliseconds. Shown, never compared.
    pub accepted_ms: u64,
}

/// Everything of a logged write but its body.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct EntryHead {
    pub lane: Lane,
    pub op: Op,
    /// `None` for the parts of a compound write (the drops that a database's delete or a reset is made of).
    pub transaction: Option<Transaction>,
    /// Length of the body in bytes.
    pub body_bytes: u64,
}

/// One logged write.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Entry {
    pub lsn: Lsn,
    pub head: EntryHead,
    pub body: Body,
}

/// An HTTP answer as it goes to the sender: public ids only.
#[derive(Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Answer {
    pub status: u16,
    /// JSON, but for Chroma's own plain-text 413.
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body[..self.body.len().min(200)]))
    }
}

/// The leader's definite answer.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Verdict {
    /// Applied at the leader; to be applied everywhere.
    Committed(Answer),
    /// Answered by the catalog or the leader as a success that changed nothing; applied nowhere else.
    Unchanged(Answer),
    /// Refused; applied nowhere. `fixes_dimension` is set where the refused request nevertheless
    /// fixed the leader's dimension, which is then shipped in its place.
    Rejected { answer: Answer, fixes_dimension: Option<u32> },
    /// Taken back by its sender before it was sent anywhere; applied nowhere.
    Cancelled(Answer),
    /// Withdrawn: instances died or stopped writing under it (invariant I12). Applied nowhere from now on, and kept.
    Poisoned(Answer),
}

impl Verdict {
    /// What the sender gets.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        match self {
            Self::Committed(answer)
            | Self::Unchanged(answer)
            | Self::Rejected { answer, .. }
            | Self::Cancelled(answer)
            | Self::Poisoned(answer) => answer,
        }
    }

    /// What the sender gets.
    #[must_use]
    pub fn into_answer(self) -> Answer {
        match self {
            Self::Committed(answer)
            | Self::Unchanged(answer)
            | Self::Rejected { answer, .. }
            | Self::Cancelled(answer)
            | Self::Poisoned(answer) => answer,
        }
    }
}

/// A write's verdict in an [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Decision {
    pub lsn: Lsn,
    pub verdict: Verdict,
}

/// What one delivery brought: the lane's new applied position on an instance, and, where that
/// instance led, the verdicts.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Outcome {
    pub lane: Lane,
    pub instance: InstanceId,
    /// Everything in the lane up to this is applied, or void, on the instance.
    pub applied: Lsn,
    /// Empty where the instance followed verdicts.
    pub decisions: Vec<Decision>,
    /// What it changes in the catalog.
    pub changes: Vec<CatalogChange>,
}

/// One record of the log. Variants are only ever added at the end; the store's format version
/// guards anything else.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Record {
    Entry(Entry),
    Outcome(Outcome),
    /// The ids that a delete by predicate stands for, in the order of the collection.
    Resolved {
        lsn: Lsn,
        ids: Vec<String>,
    },
    /// A lane on an instance cannot be brought to the verdicts.
    Divergent {
        lane: Lane,
        instance: InstanceId,
        reason: String,
    },
    /// A write that was under way when its instance died or stopped writing (invariant I12). A second one for the same
    /// write tells of the last such instance.
    Suspect {
        lsn: Lsn,
        instance: InstanceId,
        answer: Answer,
    },
    /// The instance carries our marker from now on.
    Joined {
        instance: InstanceId,
    },
    /// The instance answered a canary write with this counter; a smaller one seen later tells that it lost state.
    Marker {
        instance: InstanceId,
        counter: u64,
    },
    /// The rebuild of a divergent lane on an instance came this far.
    Rebuild {
        lane: Lane,
        instance: InstanceId,
        step: RebuildStep,
    },
    /// The instance lost what it had acknowledged: every lane with a copy there is divergent there, and it does not
    /// carry our marker.
    Lost {
        instance: InstanceId,
        reason: String,
    },
    /// An operator gave up a poisoned write: it is kept no longer.
    Discarded {
        lsn: Lsn,
    },
    /// What an operator wants of the instances from now on.
    Duties(Duties),
}

impl Record {
    /// True where nobody is told of it when it is durable, so that it may wait a moment for others to share a commit
    /// with: an instance has applied what was decided before.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        matches!(self, Self::Outcome(outcome) if outcome.decisions.is_empty() && outcome.changes.is_empty())
    }
}
