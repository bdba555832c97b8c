//! The durable steps of a rebuild: see `docs/decisions/0008-rebuild.md`.

use wincode::{SchemaRead, SchemaWrite};

use super::{Lane, Lsn};
use crate::chroma::ids::InstanceId;

/// A durable step of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum RebuildStep {
    /// The ids of the collection are listed as of the entry `from`; the lane's entries after it are kept until they
    /// are applied there. `name` is the collection's name at that entry.
    Listed { from: Lsn, name: String, ids: u64 },
    /// The copy exists, empty, and has this real id.
    Created { real_id: u128 },
    /// Every listed id is copied; the entries after `from` follow.
    Copied,
    /// The copy serves, with everything up to `applied`, or the lane ended there.
    Ended { applied: Lsn },
}

/// A rebuild under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRebuild {
    pub lane: Lane,
    pub instance: InstanceId,
    /// The entry that the list of ids stands for.
    pub from: Lsn,
    /// The collection's name at that entry.
    pub name: String,
    /// How many ids were listed.
    pub ids: u64,
    pub stage: Stage,
}

/// The last durable step of a rebuild under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Listed,
    Created,
    Copied,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Listed, Self::Created, Self::Copied];
}
