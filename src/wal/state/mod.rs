//! `state.db`: what the records of the log amount to, up to a record that it names. Segments that it
//! covers, and whose entries are finished, may go.

mod adopt;
mod apply;
mod catalog;
mod load;
mod rebuild;
mod roster;
mod transactions;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use wincode::SchemaReadOwned;

use super::codec::{Format, decode};
use super::error::{LogError, OpenError};
use super::record::Lsn;

pub use adopt::{Adoption, adopt};
pub use apply::StoredRecord;
pub use load::Instance;
pub use transactions::{StoredTransaction, TransactionState, find};

/// Version of `state.db`, in SQLite's `user_version`.
pub const STATE_FORMAT: u32 = 2;

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE segment (number INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL);
CREATE TABLE instance (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    joined INTEGER NOT NULL DEFAULT 0, marker INTEGER NOT NULL DEFAULT 0);
CREATE TABLE tenant (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE database (tenant TEXT, name TEXT, id BLOB NOT NULL, PRIMARY KEY (tenant, name)) WITHOUT ROWID;
CREATE TABLE collection (id BLOB PRIMARY KEY, tenant TEXT NOT NULL, database TEXT NOT NULL, name TEXT NOT NULL,
    dimension INTEGER, dropped INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE real_id (collection BLOB, instance INTEGER, id BLOB NOT NULL,
    PRIMARY KEY (collection, instance)) WITHOUT ROWID;
CREATE TABLE position (lane BLOB, instance INTEGER, applied INTEGER NOT NULL,
    PRIMARY KEY (lane, instance)) WITHOUT ROWID;
CREATE TABLE divergent (lane BLOB, instance INTEGER, reason TEXT NOT NULL,
    PRIMARY KEY (lane, instance)) WITHOUT ROWID;
CREATE TABLE suspect (lsn INTEGER PRIMARY KEY, instance INTEGER NOT NULL, answer BLOB NOT NULL);
CREATE TABLE decision (lsn INTEGER PRIMARY KEY, verdict BLOB NOT NULL);
CREATE TABLE resolved (lsn INTEGER PRIMARY KEY, ids BLOB NOT NULL);
CREATE TABLE txn (lsn INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, fingerprint BLOB NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, lane BLOB NOT NULL, accepted_ms INTEGER NOT NULL, state INTEGER NOT NULL,
    decided_ms INTEGER, answer BLOB);
CREATE INDEX txn_decided ON txn (decided_ms) WHERE decided_ms IS NOT NULL;
INSERT INTO tenant VALUES ('default_tenant');
INSERT INTO database VALUES ('default_tenant', 'default_database', zeroblob(16));
";

/// The checkpoint, open for writing. One owner at a time: the opener, then the checkpointer thread.
#[derive(Debug)]
pub struct State {
    conn: Connection,
    covered_seq: u64,
}

impl State {
    /// Opens `state.db`, or makes it for a new cluster when neither it nor any segment is there.
    ///
    /// # Errors
    /// [`OpenError::Newer`] for an unknown format, [`OpenError::Damaged`] when segments are there and the
    /// checkpoint is not, [`OpenError::Storage`] for anything else.
    pub fn open(dir: &Path, new_cluster: &str, has_segments: bool) -> Result<Self, OpenError> {
        let path = path_of(dir);
        let storage = |error: LogError| OpenError::Storage { dir: dir.to_owned(), error };
        let conn = connect(&path).map_err(storage)?;
        let format = conn
            .query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
            .map_err(|error| storage(error.into()))?;
        match format {
            STATE_FORMAT => {}
            1 => rebuild::migrate(&conn, STATE_FORMAT).map_err(storage)?,
            0 if has_segments => {
                return Err(OpenError::Damaged {
                    dir: dir.to_owned(),
                    what: "there are log segments but no state.db that belongs to them".to_owned(),
                });
            }
            0 => initialise(&conn, dir, new_cluster, |_| Ok(())).map_err(storage)?,
            found => {
                return Err(OpenError::Newer { path, found, known: STATE_FORMAT });
            }
        }
        let covered_seq = meta(&conn, "covered_seq").map_err(storage)?;
        Ok(Self { conn, covered_seq })
    }

    /// The last record that the checkpoint holds.
    #[must_use]
    pub fn covered_seq(&self) -> u64 {
        self.covered_seq
    }

    /// The last LSN that the checkpoint has seen.
    pub fn last_lsn(&self) -> Result<Lsn, LogError> {
        Ok(Lsn(meta(&self.conn, "last_lsn")?))
    }

    /// Forgets what was kept for entries that are finished, and the segments that are to be dropped.
    pub fn forget(&mut self, finished: &[Lsn], segments: &[u64]) -> Result<(), LogError> {
        let change = self.conn.transaction()?;
        for lsn in finished {
            for table in ["decision", "resolved", "suspect"] {
                change.prepare_cached(&format!("DELETE FROM {table} WHERE lsn = ?1"))?.execute([lsn.0])?;
            }
        }
        for number in segments {
            change.execute("DELETE FROM segment WHERE number = ?1", [number])?;
        }
        Ok(change.commit()?)
    }

    /// Folds the checkpoint's own write-ahead file, for a quick start.
    pub fn fold(&self) -> Result<(), LogError> {
        super::segment::fold(&self.conn)
    }
}

/// The path of the checkpoint.
#[must_use]
pub fn path_of(dir: &Path) -> PathBuf {
    dir.join("state.db")
}

/// Opens the checkpoint's database file.
pub fn connect(path: &Path) -> Result<Connection, LogError> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    Ok(conn)
}

/// Makes the tables of a new cluster, with what `fill` puts into them.
fn initialise(
    conn: &Connection,
    dir: &Path,
    cluster: &str,
    fill: impl FnOnce(&Transaction<'_>) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let make = conn.unchecked_transaction()?;
    make.execute_batch(SCHEMA)?;
    make.execute_batch(rebuild::SCHEMA)?;
    make.execute("INSERT INTO meta VALUES ('cluster', ?1)", [cluster])?;
    make.execute("INSERT INTO meta VALUES ('covered_seq', 0), ('last_lsn', 0)", [])?;
    fill(&make)?;
    make.pragma_update(None, "user_version", STATE_FORMAT)?;
    make.commit()?;
    super::segment::sync_dir(dir)
}

fn meta(conn: &Connection, key: &str) -> Result<u64, LogError> {
    let value =
        conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    value.ok_or_else(|| LogError::Damaged(format!("state.db lacks {key}")))
}

fn set_meta(conn: &Transaction<'_>, key: &str, value: u64) -> Result<(), LogError> {
    conn.execute("UPDATE meta SET value = ?2 WHERE key = ?1", (key, value))?;
    Ok(())
}

/// A column that holds an encoded value.
fn decoded<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: SchemaReadOwned<Format, Dst = T>,
{
    let bytes: Vec<u8> = row.get(column)?;
    decode(&bytes).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: LogError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}
