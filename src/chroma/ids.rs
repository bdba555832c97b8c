//! Identifiers of collections and of Chroma servers.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;
use wincode::{SchemaRead, SchemaWrite};

/// The public id of a collection: the one that clients see, for the collection's whole life.
/// The id that an instance gave its own copy is a plain [`Uuid`] and never leaves us.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaRead, SchemaWrite)]
pub struct CollectionId(pub u128);

impl CollectionId {
    /// Chroma's spelling of the id: lower case with dashes.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        Uuid::from_u128(self.0)
    }
}

impl Serialize for CollectionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

/// A path segment as a collection's id, in any spelling that Chroma takes: with dashes in either
/// case, without dashes, in braces, or after `urn:uuid:`. `None` means that it is a name.
#[must_use]
pub fn parse_uuid(segment: &str) -> Option<Uuid> {
    Uuid::try_parse(segment).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_that_chroma_takes_is_the_same_id() {
        let id = Uuid::from_u128(0x4614_9fb2_8508_40ed_8523_e11e_86ac_9345);
        for spelling in [
            "46149fb2-8508-40ed-8523-e11e86ac9345",
            "46149FB2-8508-40ED-8523-E11E86AC9345",
            "46149fb2850840ed8523e11e86ac9345",
            "{46149fb2-8508-40ed-8523-e11e86ac9345}",
            "urn:uuid:46149fb2-8508-40ed-8523-e11e86ac9345",
        ] {
            assert_eq!(parse_uuid(spelling), Some(id), "{spelling}");
        }
    }

    #[test]
    fn what_chroma_refuses_as_an_id_is_a_name() {
        for name in [
            "",
            "docs",
            " 46149fb2-8508-40ed-8523-e11e86ac9345",
            "{46149fb2850840ed8523e11e86ac9345}",
            "urn:uuid:46149fb2850840ed8523e11e86ac9345",
        ] {
            assert_eq!(parse_uuid(name), None, "{name}");
        }
    }
}
