//! Segment files: SQLite databases with one table of records. Space comes back by dropping a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::disk::disk;
use super::engine::{Engine, Settled, StampedRecord, head_crc};
use super::error::LogError;

/// Version of the segment files, in SQLite's `user_version`; 0 is a file whose creation never ended.
pub const SEGMENT_FORMAT: u32 = 1;

/// `body` stands last, so that SQLite reads a head without the pages that hold the body.
const SCHEMA: &str = "CREATE TABLE record (
    seq INTEGER PRIMARY KEY, lsn INTEGER, at_ms INTEGER NOT NULL,
    head_crc INTEGER NOT NULL, body_crc INTEGER, head BLOB NOT NULL, body BLOB
)";

/// The path of a segment file.
#[must_use]
pub fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segment-{number:06}.db"))
}

/// A file that SQLite keeps beside a database: suffix `-wal` or `-shm`.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the names in a directory durable.
pub fn sync_dir(dir: &Path) -> Result<(), LogError> {
    Ok(disk().sync_dir(dir)?)
}

/// Opens a segment that exists. Closing the connection never folds the write-ahead file: that is
/// [`fold`]'s work, away from the writer and from readers.
pub fn connect(path: &Path) -> Result<Connection, LogError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, LogError> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}

/// Creates a segment, durable when this returns.
fn create(dir: &Path, number: u64) -> Result<Connection, LogError> {
    let path = path_of(dir, number);
    let made =
        open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).and_then(|conn| {
            conn.pragma_update(None, "journal_mode", "WAL")?;
            conn.execute_batch(&format!(
                "BEGIN IMMEDIATE; {SCHEMA}; PRAGMA user_version = {SEGMENT_FORMAT}; COMMIT"
            ))?;
            sync_dir(dir)?;
            Ok(conn)
        });
    if made.is_err() {
        // What stays behind has user_version 0 or no record, and goes at the next start at the latest.
        let _ = remove(dir, number);
    }
    made
}

/// Removes a segment's files. The database goes first: what is left of a segment without it is nothing.
pub fn remove(dir: &Path, number: u64) -> Result<(), LogError> {
    let path = path_of(dir, number);
    for file in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm"), beside(&path, "-journal")] {
        disk().remove(&file)?;
    }
    Ok(())
}

/// Moves a segment's write-ahead file into its database, both synced, and empties it.
pub fn fold(conn: &Connection) -> Result<(), LogError> {
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    match busy {
        0 => Ok(()),
        _ => Err(LogError::Storage("a segment is being read and cannot be folded now".to_owned())),
    }
}

/// The last record of a segment; 0 when it has none.
pub fn last_seq(conn: &Connection) -> Result<u64, LogError> {
    Ok(conn.query_row("SELECT coalesce(max(seq), 0) FROM record", [], |row| row.get(0))?)
}

/// The segments as a store of records, for the writer thread.
#[derive(Debug)]
pub struct SegmentEngine {
    dir: PathBuf,
    segment_bytes: u64,
    next_number: u64,
    active: Option<Active>,
    /// The segment of the last failed commit, until it is settled.
    doubtful: Option<Doubtful>,
    /// The last record known to be durable.
    durable_seq: u64,
}

#[derive(Debug)]
struct Active {
    number: u64,
    conn: Connection,
    /// Length of the write-ahead file after the last successful commit. It only grows: nothing
    /// folds the active segment.
    wal_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Doubtful {
    number: u64,
    wal_bytes: u64,
}

impl SegmentEngine {
    /// Creates the segment `first_number` in `dir` for the records after `durable_seq`.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn open(
        dir: &Path,
        first_number: u64,
        durable_seq: u64,
        segment_bytes: u64,
    ) -> Result<Self, LogError> {
        let mut engine = Self {
            dir: dir.to_owned(),
            segment_bytes,
            next_number: first_number,
            active: None,
            doubtful: None,
            durable_seq,
        };
        engine.reopen()?;
        Ok(engine)
    }

    fn wal_bytes(&self, number: u64) -> Result<u64, LogError> {
        Ok(disk().len(&beside(&path_of(&self.dir, number), "-wal"))?)
    }

    /// Cuts what a failed commit may have left behind the last good one. SQLite does not see it now, but
    /// would take it up at the next start if it is whole. Needs no space on the disk.
    fn cut(&self, doubtful: Doubtful) -> Result<(), LogError> {
        let path = beside(&path_of(&self.dir, doubtful.number), "-wal");
        let file = disk().open(&path)?;
        if disk().len(&path)? > doubtful.wal_bytes {
            disk().cut(&path, &file, doubtful.wal_bytes)?;
        }
        Ok(disk().sync(&path, &file)?)
    }
}

impl Engine for SegmentEngine {
    fn commit(&mut self, batch: &[StampedRecord]) -> Result<u64, LogError> {
        if self.active.as_ref().is_some_and(|active| active.wal_bytes >= self.segment_bytes) {
            self.active = None;
            self.reopen()?;
        }
        let Some(active) = self.active.as_mut() else {
            return Err(LogError::Storage("the log has no open segment".to_owned()));
        };
        let (number, wal_bytes) = (active.number, active.wal_bytes);
        match insert(&mut active.conn, batch).and_then(|()| self.wal_bytes(number)) {
            Ok(wal_bytes) => {
                if let Some(active) = self.active.as_mut() {
                    active.wal_bytes = wal_bytes;
                }
                self.durable_seq = batch.last().map_or(self.durable_seq, |record| record.seq);
                Ok(number)
            }
            Err(error) => {
                self.active = None;
                self.doubtful = Some(Doubtful { number, wal_bytes });
                Err(error)
            }
        }
    }

    fn settle(&mut self) -> Result<Settled, LogError> {
        let segment = self.next_number.saturating_sub(1);
        let active =
            self.active.take().map(|active| Doubtful { number: active.number, wal_bytes: active.wal_bytes });
        let Some(doubtful) = self.doubtful.or(active) else {
            return Ok(Settled { last_seq: self.durable_seq, segment });
        };
        self.doubtful = Some(doubtful);
        let conn = connect(&path_of(&self.dir, doubtful.number))?;
        let there = last_seq(&conn)?;
        if there > self.durable_seq {
            // A sync may have failed for pages that the kernel then took for clean: what the file shows
            // is not what the disk holds. Folding writes it anew. The emptied file must stay empty: came it back
            // with the power, it would hide what was folded behind the older pages that it still holds.
            fold(&conn)?;
            let wal = beside(&path_of(&self.dir, doubtful.number), "-wal");
            disk().sync(&wal, &disk().open(&wal)?)?;
            self.durable_seq = there;
        } else {
            drop(conn);
            self.cut(doubtful)?;
        }
        self.doubtful = None;
        Ok(Settled { last_seq: self.durable_seq, segment: doubtful.number })
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        let number = self.next_number;
        self.next_number += 1;
        let conn = create(&self.dir, number)?;
        self.active = Some(Active { number, conn, wal_bytes: self.wal_bytes(number)? });
        Ok(())
    }
}

fn insert(conn: &mut Connection, batch: &[StampedRecord]) -> Result<(), LogError> {
    let commit = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut insert = commit.prepare_cached("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for record in batch {
            let body = record.body.as_deref();
            insert.execute(params![
                record.seq,
                record.lsn.map(|lsn| lsn.0),
                record.at_ms,
                head_crc(record.seq, record.at_ms, &record.head),
                body.map(crc32fast::hash),
                record.head,
                body,
            ])?;
        }
    }
    Ok(commit.commit()?)
}
