//! Rebuilds under way, and instances that lost their state.

use rusqlite::{Connection, Transaction, params};

use super::catalog::{self, rows};
use super::{State, decoded};
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::codec::encode;
use crate::wal::error::LogError;
use crate::wal::record::rebuild::{RebuildStep, Stage, StoredRebuild};
use crate::wal::record::{Lane, Lsn};

/// The tables, which came with the second format.
pub(super) const SCHEMA: &str = "
CREATE TABLE rebuild (lane BLOB, instance INTEGER, listed INTEGER NOT NULL, name TEXT NOT NULL, ids INTEGER NOT NULL,
    stage INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lane, instance)) WITHOUT ROWID;
CREATE TABLE lost (instance INTEGER PRIMARY KEY, reason TEXT NOT NULL);
";

/// Applies a step.
pub(super) fn apply(
    conn: &Transaction<'_>,
    lane: &Lane,
    instance: InstanceId,
    step: &RebuildStep,
) -> Result<(), LogError> {
    let key = encode(lane)?;
    let stage = |stage: Stage| {
        let update = "UPDATE rebuild SET stage = ?3 WHERE lane = ?1 AND instance = ?2";
        conn.execute(update, params![key, instance.0, stage as u8])
    };
    match step {
        RebuildStep::Listed { from, name, ids } => {
            let insert = "INSERT OR REPLACE INTO rebuild VALUES (?1, ?2, ?3, ?4, ?5, 0)";
            conn.execute(insert, params![key, instance.0, from.0, name, ids])?;
        }
        RebuildStep::Created { real_id } => {
            if let Lane::Collection(id) = lane {
                catalog::apply(conn, &CatalogChange::RealId { id: *id, instance, real_id: *real_id })?;
            }
            stage(Stage::Created)?;
        }
        RebuildStep::Copied => _ = stage(Stage::Copied)?,
        RebuildStep::Ended { applied } => {
            give_up(conn, lane, instance)?;
            let ended = "DELETE FROM divergent WHERE lane = ?1 AND instance = ?2";
            conn.execute(ended, params![key, instance.0])?;
            super::apply::advance(conn, lane, instance, *applied)?;
        }
    }
    Ok(())
}

/// A rebuild ends without a copy.
pub(super) fn give_up(conn: &Transaction<'_>, lane: &Lane, instance: InstanceId) -> Result<(), LogError> {
    let given_up = "DELETE FROM rebuild WHERE lane = ?1 AND instance = ?2";
    conn.execute(given_up, params![encode(lane)?, instance.0])?;
    Ok(())
}

/// An instance lost its state: every lane with a copy there is divergent there.
pub(super) fn lose(conn: &Transaction<'_>, instance: InstanceId, reason: &str) -> Result<(), LogError> {
    conn.execute("UPDATE instance SET joined = 0, marker = 0 WHERE number = ?1", [instance.0])?;
    conn.execute("INSERT OR REPLACE INTO lost VALUES (?1, ?2)", params![instance.0, reason])?;
    conn.execute("DELETE FROM rebuild WHERE instance = ?1", [instance.0])?;
    let mut select = conn.prepare("SELECT collection FROM real_id WHERE instance = ?1")?;
    let held = select.query_map([instance.0], |row| row.get(0))?;
    let held = held.collect::<Result<Vec<[u8; 16]>, _>>()?;
    let mut diverge = conn.prepare("INSERT OR REPLACE INTO divergent VALUES (?1, ?2, ?3)")?;
    for id in held {
        let lane = Lane::Collection(CollectionId(u128::from_be_bytes(id)));
        diverge.execute(params![encode(&lane)?, instance.0, reason])?;
    }
    Ok(())
}

/// The instance carries our marker again.
pub(super) fn found(conn: &Transaction<'_>, instance: InstanceId) -> Result<(), LogError> {
    conn.execute("DELETE FROM lost WHERE instance = ?1", [instance.0])?;
    Ok(())
}

/// Brings a checkpoint of the first format forward.
pub(super) fn migrate(conn: &Connection, format: u32) -> Result<(), LogError> {
    let change = conn.unchecked_transaction()?;
    change.execute_batch(SCHEMA)?;
    change.pragma_update(None, "user_version", format)?;
    Ok(change.commit()?)
}

impl State {
    /// Rebuilds under way.
    pub fn rebuilds(&self) -> Result<Vec<StoredRebuild>, LogError> {
        let select = "SELECT lane, instance, listed, name, ids, stage FROM rebuild ORDER BY lane, instance";
        rows(&self.conn, select, |row| {
            let stage: usize = row.get(5)?;
            Ok(StoredRebuild {
                lane: decoded(row, 0)?,
                instance: InstanceId(row.get(1)?),
                from: Lsn(row.get(2)?),
                name: row.get(3)?,
                ids: row.get(4)?,
                stage: Stage::ALL.get(stage).copied().unwrap_or(Stage::Listed),
            })
        })
    }

    /// Instances that lost their state and do not carry our marker again, with what tells it.
    pub fn lost(&self) -> Result<Vec<(InstanceId, String)>, LogError> {
        rows(&self.conn, "SELECT instance, reason FROM lost ORDER BY instance", |row| {
            Ok((InstanceId(row.get(0)?), row.get(1)?))
        })
    }
}
