//! Instances join a log in use, and leave it. The checkpoint must cover every record: those in the segments keep the numbers
//! that the instances had.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::catalog::rows;
use super::{State, decoded};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::codec::encode;
use crate::wal::error::LogError;
use crate::wal::record::Lane;
use crate::wal::record::duty::Duties;

/// Tables with a row for each instance, by the column `instance`.
const TABLES: [&str; 6] = ["real_id", "position", "divergent", "rebuild", "lost", "suspect"];
/// Why a new instance is filled.
const NEW: &str = "it is new";

impl State {
    /// The instances that the directory knows, by number.
    pub fn names(&self) -> Result<Vec<String>, LogError> {
        rows(&self.conn, "SELECT name FROM instance ORDER BY number", |row| row.get(0))
    }

    /// Adds an instance behind the others. It counts as one that lost everything: it is emptied, and every collection is
    /// copied to it.
    pub fn join(&mut self, name: &str) -> Result<InstanceId, LogError> {
        let change = self.conn.transaction()?;
        let next: u8 =
            change.query_row("SELECT coalesce(max(number) + 1, 0) FROM instance", [], |row| row.get(0))?;
        change.execute("INSERT INTO instance (number, name) VALUES (?1, ?2)", params![next, name])?;
        change.execute("INSERT INTO lost VALUES (?1, ?2)", params![next, NEW])?;
        let living = "SELECT id FROM collection WHERE dropped = 0";
        let living = rows(&change, living, |row| row.get::<_, [u8; 16]>(0))?;
        for id in living {
            let lane = Lane::Collection(CollectionId(u128::from_be_bytes(id)));
            change
                .execute("INSERT INTO divergent VALUES (?1, ?2, ?3)", params![encode(&lane)?, next, NEW])?;
        }
        // What was decided of databases and tenants is made there when it is emptied; the rest is sent.
        let others = "SELECT lane, max(applied) FROM position GROUP BY lane";
        for (lane, applied) in
            rows(&change, others, |row| Ok((decoded::<Lane>(row, 0)?, row.get::<_, u64>(1)?)))?
        {
            if !matches!(lane, Lane::Collection(_)) {
                change.execute(
                    "INSERT INTO position VALUES (?1, ?2, ?3)",
                    params![encode(&lane)?, next, applied],
                )?;
            }
        }
        change.commit()?;
        Ok(InstanceId(next))
    }

    /// Adds those that are named behind all that the directory knows, where it has met any.
    pub fn join_new(&mut self, names: &[String]) -> Result<(), LogError> {
        if !self.has_met_any()? {
            return Ok(());
        }
        let known = self.names()?;
        for name in names.strip_prefix(known.as_slice()).unwrap_or_default() {
            tracing::warn!(instance = name, "an instance joins; every collection is copied to it");
            self.join(name)?;
        }
        Ok(())
    }

    /// A living collection that nobody but this instance could be the source of, by its name.
    pub fn last_held(&self, instance: InstanceId) -> Result<Option<String>, LogError> {
        let held =
            rows(&self.conn, "SELECT id, name FROM collection WHERE dropped = 0 ORDER BY name", |row| {
                Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, String>(1)?))
            })?;
        for (id, name) in held {
            let lane = Lane::Collection(CollectionId(u128::from_be_bytes(id)));
            let sources: u64 = self.conn.query_row(
                "SELECT count(*) FROM real_id WHERE collection = ?1 AND instance <> ?2
                    AND instance NOT IN (SELECT instance FROM divergent WHERE lane = ?3)
                    AND instance NOT IN (SELECT instance FROM lost)",
                params![id, instance.0, encode(&lane)?],
                |row| row.get(0),
            )?;
            if sources == 0 {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Forgets an instance; those behind it move up.
    pub fn leave(&mut self, instance: InstanceId) -> Result<(), LogError> {
        let change = self.conn.transaction()?;
        for table in TABLES.iter().filter(|table| **table != "suspect") {
            change.execute(&format!("DELETE FROM {table} WHERE instance = ?1"), [instance.0])?;
        }
        // The suspicion stays; whose it was is not known any more.
        change.execute("UPDATE suspect SET instance = 0 WHERE instance = ?1", [instance.0])?;
        // What is copied is named by the number of its target.
        change.execute("DELETE FROM rebuild", [])?;
        change.execute("DELETE FROM instance WHERE number = ?1", [instance.0])?;
        for table in TABLES {
            move_up(&change, table, "instance", instance)?;
        }
        move_up(&change, "instance", "number", instance)?;
        let duties = duties(&change)?;
        change.execute(
            "INSERT OR REPLACE INTO meta VALUES ('duties', ?1)",
            [encode(&duties.without(instance))?],
        )?;
        Ok(change.commit()?)
    }
}

/// In order, so that no number is there twice.
fn move_up(change: &Transaction<'_>, table: &str, column: &str, left: InstanceId) -> Result<(), LogError> {
    let last: Option<u8> = change
        .query_row(&format!("SELECT max({column}) FROM {table}"), [], |row| row.get(0))
        .optional()?
        .flatten();
    for number in left.0 + 1..=last.unwrap_or(0) {
        let moved = format!("UPDATE {table} SET {column} = ?2 WHERE {column} = ?1");
        change.execute(&moved, params![number, number - 1])?;
    }
    Ok(())
}

/// What an operator wants of the instances.
pub(super) fn duties(conn: &Connection) -> Result<Duties, LogError> {
    let found = rows(conn, "SELECT value FROM meta WHERE key = 'duties'", |row| decoded(row, 0))?;
    Ok(found.into_iter().next().unwrap_or_default())
}
