//! Identifiers of collections and of Chroma servers.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wincode::{SchemaRead, SchemaWrite};

/// The public id of a collection: the one that clients see, for the collection's whole life.
/// The id that an instance gave its own copy is a plain [`Uuid`] and never leaves us.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, SchemaRead, SchemaWrite,
)]
#[serde(transparent)]
pub struct CollectionId(pub u128);

impl CollectionId {
    /// Chroma's spelling of the id: lower case with dashes.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        Uuid::from_u128(self.0)
    }
}

impl From<Uuid> for CollectionId {
    fn from(id: Uuid) -> Self {
        Self(id.as_u128())
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid().fmt(f)
    }
}

impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid().fmt(f)
    }
}

/// An instance's place in the configured list; 0 is the primary. The store keeps the name that
/// belongs to each number, so a number means the same server for the life of a data directory.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, SchemaRead, SchemaWrite,
)]
#[serde(transparent)]
pub struct InstanceId(pub u8);

impl InstanceId {
    /// The number as an index into per-instance vectors.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
