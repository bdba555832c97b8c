//! A checkpoint for a log that begins with a catalog: the servers were in use before it.

use rusqlite::params;

use super::{catalog, connect, initialise, path_of, set_meta};
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::InstanceId;
use crate::wal::codec::encode;
use crate::wal::error::LogError;
use crate::wal::record::{Lane, Lsn};

/// What a data directory begins with.
#[derive(Clone, Debug)]
pub struct Adoption {
    pub cluster: String,
    /// In the configured order, with the counter of our marker there.
    pub instances: Vec<(String, u64)>,
    /// The catalog, as changes to a fresh one.
    pub changes: Vec<CatalogChange>,
    /// Collections that are copied to an instance, and why.
    pub divergent: Vec<(Lane, InstanceId, String)>,
    /// Entries begin after this.
    pub last_lsn: Lsn,
}

/// Makes the checkpoint, in one transaction.
///
/// # Errors
/// Nothing was made.
pub fn adopt(dir: &std::path::Path, adoption: &Adoption) -> Result<(), LogError> {
    let conn = connect(&path_of(dir))?;
    initialise(&conn, dir, &adoption.cluster, |made| {
        for ((name, counter), number) in adoption.instances.iter().zip(0_u8..) {
            made.execute(
                "INSERT INTO instance (number, name, joined, marker) VALUES (?1, ?2, 1, ?3)",
                params![number, name, counter],
            )?;
        }
        for change in &adoption.changes {
            catalog::apply(made, change)?;
        }
        for (lane, instance, reason) in &adoption.divergent {
            made.execute(
                "INSERT INTO divergent VALUES (?1, ?2, ?3)",
                params![encode(lane)?, instance.0, reason],
            )?;
        }
        set_meta(made, "last_lsn", adoption.last_lsn.0)
    })
}
