//! Reading the checkpoint back at the start.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::params;

use super::catalog::rows;
use super::{State, catalog, decoded};
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::InstanceId;
use crate::wal::codec::decode;
use crate::wal::error::{LogError, OpenError};
use crate::wal::record::brief::Ruling;
use crate::wal::record::duty::Duties;
use crate::wal::record::{Answer, Lane, Lsn, Verdict};

/// An instance that the data directory knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    pub name: String,
    /// It carries our marker.
    pub joined: bool,
    /// The last canary counter that it acknowledged; 0 when there was none.
    pub marker_counter: u64,
}

impl State {
    /// The cluster that the directory belongs to.
    pub fn cluster(&self) -> Result<String, LogError> {
        let select = "SELECT value FROM meta WHERE key = 'cluster'";
        Ok(self.conn.query_row(select, [], |row| row.get(0))?)
    }

    /// All instances of the directory, by number. One that never met an instance knows those of the configuration from now on.
    ///
    /// # Errors
    /// [`OpenError::TooManyInstances`], or the store's own.
    pub fn instances(&mut self, names: &[String]) -> Result<Vec<Instance>, OpenError> {
        let error =
            |error: LogError| OpenError::Storage { dir: self.conn.path().unwrap_or_default().into(), error };
        if !names.is_empty() && !self.has_met_any().map_err(error)? {
            self.conn.execute("DELETE FROM instance", []).map_err(|e| error(e.into()))?;
            for (place, name) in names.iter().enumerate() {
                let number = u8::try_from(place).map_err(|_| OpenError::TooManyInstances)?;
                let added = "INSERT INTO instance (number, name) VALUES (?1, ?2)";
                self.conn.execute(added, params![number, name]).map_err(|e| error(e.into()))?;
            }
        }
        rows(&self.conn, "SELECT number, name, joined, marker FROM instance ORDER BY number", |row| {
            Ok(Instance {
                id: InstanceId(row.get(0)?),
                name: row.get(1)?,
                joined: row.get(2)?,
                marker_counter: row.get(3)?,
            })
        })
        .map_err(error)
    }

    /// True where an instance has our marker, or something was written there.
    pub(super) fn has_met_any(&self) -> Result<bool, LogError> {
        let select =
            "SELECT EXISTS (SELECT 1 FROM instance WHERE joined = 1) OR EXISTS (SELECT 1 FROM position)";
        Ok(self.conn.query_row(select, [], |row| row.get(0))?)
    }

    /// What an operator wants of the instances.
    pub fn duties(&self) -> Result<Duties, LogError> {
        super::roster::duties(&self.conn)
    }

    /// The catalog as changes to a fresh one.
    pub fn changes(&self) -> Result<Vec<CatalogChange>, LogError> {
        catalog::load(&self.conn)
    }

    /// Applied positions.
    pub fn positions(&self) -> Result<Vec<(Lane, InstanceId, Lsn)>, LogError> {
        rows(&self.conn, "SELECT lane, instance, applied FROM position ORDER BY lane, instance", |row| {
            Ok((decoded(row, 0)?, InstanceId(row.get(1)?), Lsn(row.get(2)?)))
        })
    }

    /// Lanes to be rebuilt, with the reason.
    pub fn divergent(&self) -> Result<Vec<(Lane, InstanceId, String)>, LogError> {
        rows(&self.conn, "SELECT lane, instance, reason FROM divergent ORDER BY lane, instance", |row| {
            Ok((decoded(row, 0)?, InstanceId(row.get(1)?), row.get(2)?))
        })
    }

    /// Writes under which an instance stopped writing.
    pub fn suspects(&self) -> Result<Vec<(Lsn, InstanceId, Answer)>, LogError> {
        rows(&self.conn, "SELECT lsn, instance, answer FROM suspect ORDER BY lsn", |row| {
            Ok((Lsn(row.get(0)?), InstanceId(row.get(1)?), decoded(row, 2)?))
        })
    }

    /// Verdicts of the entries that are not known to be finished, in order.
    pub fn decisions(&self) -> Result<Vec<(Lsn, Ruling)>, LogError> {
        rows(&self.conn, "SELECT lsn, verdict FROM decision ORDER BY lsn", |row| {
            let verdict: Verdict = decoded(row, 1)?;
            Ok((Lsn(row.get(0)?), verdict.ruling()))
        })
    }

    /// Ids that unfinished deletes by predicate stand for.
    pub fn resolved(&self) -> Result<HashMap<Lsn, Vec<String>>, LogError> {
        let found = rows(&self.conn, "SELECT lsn, ids FROM resolved", |row| {
            Ok((Lsn(row.get(0)?), decoded(row, 1)?))
        })?;
        Ok(found.into_iter().collect())
    }

    /// The segments that the checkpoint expects, with the last record of each that it has seen.
    pub fn segments(&self) -> Result<BTreeMap<u64, u64>, LogError> {
        let found =
            rows(&self.conn, "SELECT number, last_seq FROM segment", |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.into_iter().collect())
    }

    /// Forgets the positions of lanes that ended and of which the segments hold no entry any more:
    /// those all of whose positions are below `oldest`, the first entry in any segment.
    pub fn forget_ended_lanes(&mut self, oldest: Lsn) -> Result<(), LogError> {
        let living = self.living_lanes()?;
        let idle = rows(
            &self.conn,
            &format!("SELECT lane FROM position GROUP BY lane HAVING max(applied) < {}", oldest.0),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let change = self.conn.transaction()?;
        for key in idle {
            if !living.contains(&decode::<Lane>(&key)?) {
                change.execute("DELETE FROM position WHERE lane = ?1", [&key])?;
                change.execute("DELETE FROM divergent WHERE lane = ?1", [&key])?;
                change.execute("DELETE FROM rebuild WHERE lane = ?1", [&key])?;
            }
        }
        Ok(change.commit()?)
    }

    fn living_lanes(&self) -> Result<HashSet<Lane>, LogError> {
        let mut lanes = HashSet::new();
        for change in self.changes()? {
            match change {
                CatalogChange::TenantCreated { tenant } => lanes.insert(Lane::Tenant { tenant }),
                CatalogChange::DatabaseCreated { tenant, database, .. } => {
                    lanes.insert(Lane::Database { tenant, database })
                }
                CatalogChange::CollectionCreated { id, .. } => lanes.insert(Lane::Collection(id)),
                _ => false,
            };
        }
        Ok(lanes)
    }
}
