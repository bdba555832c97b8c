//! Segment files: SQLite databases with one table of records. Space comes back by dropping a file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::disk::disk;
use super::engine::{Engine, Settled, StampedRecord, head_crc};
use super::error::LogError;
use super::options::WalOptions;
use super::spare::{Ready, Spares};

/// Version of the segment files, in SQLite's `user_version`; 0 is a file whose creation never ended.
pub const SEGMENT_FORMAT: u32 = 1;

/// Of a segment.
const PAGE_BYTES: u64 = 4096;
/// Of a write-ahead file (<https://sqlite.org/fileformat2.html#walformat>).
const HEADER_BYTES: u64 = 32;
/// Of a page in it.
const FRAME_BYTES: u64 = PAGE_BYTES + 24;

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
pub fn create(dir: &Path, number: u64) -> Result<Connection, LogError> {
    let path = path_of(dir, number);
    let made =
        open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).and_then(|conn| {
            conn.pragma_update(None, "page_size", PAGE_BYTES)?;
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

/// Length of the part of a segment's write-ahead file that holds commits. The file itself may be longer.
fn used_bytes(conn: &Connection) -> Result<u64, LogError> {
    let frames: u64 =
        conn.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| row.get("log"))?;
    Ok(HEADER_BYTES + frames * FRAME_BYTES)
}

/// The segments as a store of records, for the writer thread.
#[derive(Debug)]
pub struct SegmentEngine {
    dir: PathBuf,
    segment_bytes: u64,
    spare_after: Duration,
    next_number: u64,
    active: Option<Active>,
    /// The number of the last segment that was active.
    last_number: u64,
    spares: Spares,
    /// The segment of the last failed commit, until it is settled.
    doubtful: Option<Doubtful>,
    /// The last record known to be durable.
    durable_seq: u64,
}

#[derive(Debug)]
struct Active {
    number: u64,
    conn: Connection,
    /// Length of the used part of the write-ahead file after the last successful commit. It only grows: nothing
    /// folds the active segment.
    wal_bytes: u64,
    since: Instant,
    /// It was made ready, so that commits write in place.
    in_place: bool,
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
        options: &WalOptions,
    ) -> Result<Self, LogError> {
        let mut engine = Self {
            dir: dir.to_owned(),
            segment_bytes: options.segment_bytes,
            spare_after: Duration::from_millis(options.spare_after_ms),
            next_number: first_number,
            active: None,
            last_number: first_number,
            spares: Spares::new(dir, options),
            doubtful: None,
            durable_seq,
        };
        engine.reopen()?;
        Ok(engine)
    }

    fn activate(&mut self, Ready { number, conn }: Ready, in_place: bool) -> Result<(), LogError> {
        let wal_bytes = used_bytes(&conn)?;
        self.last_number = number;
        self.active = Some(Active { number, conn, wal_bytes, since: Instant::now(), in_place });
        Ok(())
    }

    /// Goes on in another segment where the active one is full, or where one stands ready in which commits cost less; has
    /// the next one made ready unless segments are full in no time.
    fn rotate(&mut self) -> Result<(), LogError> {
        let Some(active) = &self.active else { return Ok(()) };
        let full = active.wal_bytes >= self.segment_bytes;
        let lasts = active.since.elapsed() >= self.spare_after;
        if full || !active.in_place {
            if let Some(ready) = self.spares.take(self.last_number) {
                self.active = None;
                return self.activate(ready, true);
            }
            if full {
                self.active = None;
                return self.reopen();
            }
        }
        if lasts && self.spares.is_idle() {
            self.spares.ask(self.next_number);
            self.next_number += 1;
        }
        Ok(())
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
        self.rotate()?;
        let Some(active) = self.active.as_mut() else {
            return Err(LogError::Storage("the log has no open segment".to_owned()));
        };
        let (number, wal_bytes) = (active.number, active.wal_bytes);
        match insert(&mut active.conn, batch).and_then(|()| used_bytes(&active.conn)) {
            Ok(wal_bytes) => {
                active.wal_bytes = wal_bytes;
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
        let segment = self.last_number;
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
        self.activate(Ready { number, conn }, false)
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
