//! Folding the log's records into the checkpoint.

use rusqlite::{Transaction, params};

use super::transactions::{self, StoredTransaction};
use super::{State, catalog, rebuild, set_meta};
use crate::chroma::ids::InstanceId;
use crate::wal::codec::encode;
use crate::wal::error::LogError;
use crate::wal::record::{Decision, Lane, Lsn, Outcome, Record};

/// A record as the segments hold it; an entry's body is left empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub seq: u64,
    /// Unix time of the commit in milliseconds.
    pub at_ms: u64,
    /// The segment that holds it.
    pub segment: u64,
    pub record: Record,
}

impl State {
    /// Applies the next records of the log, in order, in one transaction. `is_live` tells of an entry
    /// whether it is not finished: only then its verdict is kept.
    ///
    /// # Errors
    /// Nothing of it was applied.
    pub fn apply(&mut self, records: &[StoredRecord], is_live: &dyn Fn(Lsn) -> bool) -> Result<(), LogError> {
        let Some(last) = records.last() else {
            return Ok(());
        };
        let change = self.conn.transaction()?;
        let mut last_lsn = None;
        for stored in records {
            apply(&change, stored, is_live)?;
            if let Record::Entry(entry) = &stored.record {
                last_lsn = Some(entry.lsn);
            }
        }
        for (index, stored) in records.iter().enumerate() {
            if records.get(index + 1).is_none_or(|next| next.segment != stored.segment) {
                change.execute(
                    "INSERT OR REPLACE INTO segment VALUES (?1, ?2)",
                    params![stored.segment, stored.seq],
                )?;
            }
        }
        set_meta(&change, "covered_seq", last.seq)?;
        if let Some(lsn) = last_lsn {
            set_meta(&change, "last_lsn", lsn.0)?;
        }
        change.commit()?;
        self.covered_seq = last.seq;
        Ok(())
    }
}

fn apply(
    conn: &Transaction<'_>,
    stored: &StoredRecord,
    is_live: &dyn Fn(Lsn) -> bool,
) -> Result<(), LogError> {
    match &stored.record {
        Record::Entry(entry) => {
            if let Some(transaction) = StoredTransaction::logged(entry.lsn, &entry.head) {
                transactions::insert(conn, &transaction)?;
            }
        }
        Record::Outcome(outcome) => apply_outcome(conn, outcome, stored.at_ms, is_live)?,
        Record::Resolved { lsn, ids } => {
            if is_live(*lsn) {
                conn.execute(
                    "INSERT OR REPLACE INTO resolved VALUES (?1, ?2)",
                    params![lsn.0, encode(ids)?],
                )?;
            }
        }
        Record::Divergent { lane, instance, reason } => {
            rebuild::give_up(conn, lane, *instance)?;
            conn.execute(
                "INSERT OR REPLACE INTO divergent VALUES (?1, ?2, ?3)",
                params![encode(lane)?, instance.0, reason],
            )?;
        }
        Record::Suspect { lsn, instance, answer } => {
            conn.execute(
                "INSERT OR REPLACE INTO suspect VALUES (?1, ?2, ?3)",
                params![lsn.0, instance.0, encode(answer)?],
            )?;
        }
        Record::Discarded { lsn } => {
            conn.execute("DELETE FROM suspect WHERE lsn = ?1", [lsn.0])?;
        }
        Record::Duties(duties) => {
            conn.execute("INSERT OR REPLACE INTO meta VALUES ('duties', ?1)", [encode(duties)?])?;
        }
        Record::Joined { instance } => {
            conn.execute("UPDATE instance SET joined = 1 WHERE number = ?1", [instance.0])?;
            rebuild::found(conn, *instance)?;
        }
        Record::Rebuild { lane, instance, step } => rebuild::apply(conn, lane, *instance, step)?,
        Record::Lost { instance, reason } => rebuild::lose(conn, *instance, reason)?,
        Record::Marker { instance, counter } => {
            conn.execute("UPDATE instance SET marker = ?2 WHERE number = ?1", params![instance.0, counter])?;
        }
    }
    Ok(())
}

fn apply_outcome(
    conn: &Transaction<'_>,
    outcome: &Outcome,
    at_ms: u64,
    is_live: &dyn Fn(Lsn) -> bool,
) -> Result<(), LogError> {
    advance(conn, &outcome.lane, outcome.instance, outcome.applied)?;
    let mut decide = conn.prepare_cached("INSERT OR IGNORE INTO decision VALUES (?1, ?2)")?;
    for Decision { lsn, verdict } in &outcome.decisions {
        if is_live(*lsn) {
            // The first durable verdict is final.
            decide.execute(params![lsn.0, encode(verdict)?])?;
        }
        transactions::answer(conn, *lsn, at_ms, verdict)?;
    }
    outcome.changes.iter().try_for_each(|change| catalog::apply(conn, change))
}

/// Moves an applied position, never back.
pub(super) fn advance(
    conn: &Transaction<'_>,
    lane: &Lane,
    instance: InstanceId,
    applied: Lsn,
) -> Result<(), LogError> {
    let mut position = conn.prepare_cached(
        "INSERT INTO position VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET applied = max(applied, excluded.applied)",
    )?;
    position.execute(params![encode(lane)?, instance.0, applied.0])?;
    Ok(())
}
