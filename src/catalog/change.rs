//! The changes a catalog can go through, as the log keeps them.

use wincode::{SchemaRead, SchemaWrite};

use crate::chroma::ids::{CollectionId, InstanceId};

/// One change. Each is idempotent: applying a log's changes again over a later state of the same
/// log, in order, ends in that state.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum CatalogChange {
    TenantCreated {
        tenant: String,
    },
    TenantDropped {
        tenant: String,
    },
    /// Creates the tenant too where it is unknown, as Chroma does.
    DatabaseCreated {
        tenant: String,
        database: String,
        id: u128,
    },
    DatabaseDropped {
        tenant: String,
        database: String,
    },
    CollectionCreated {
        id: CollectionId,
        tenant: String,
        database: String,
        name: String,
    },
    CollectionRenamed {
        id: CollectionId,
        name: String,
    },
    /// The name is free again; the real ids stay known until the drop is applied everywhere.
    CollectionDropped {
        id: CollectionId,
    },
    /// Dropped on every instance: nothing of it is kept.
    CollectionForgotten {
        id: CollectionId,
    },
    /// The id that an instance gave its copy of the collection.
    RealId {
        id: CollectionId,
        instance: InstanceId,
        real_id: u128,
    },
    /// The collection's dimension became fixed.
    Dimension {
        id: CollectionId,
        dimension: u32,
    },
}
