//! Reading segments back: heads without their bodies, and single bodies.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use rusqlite::Connection;

use super::codec::decode;
use super::disk::disk;
use super::engine::head_crc;
use super::error::{LogError, OpenError};
use super::lock_unpoisoned;
use super::record::{Body, Entry, EntryHead, Record};
use super::segment::{SEGMENT_FORMAT, connect, path_of, remove};
use super::state::StoredRecord;

/// Idle connections kept; each has a page cache.
const IDLE: usize = 16;
/// The page cache of each: a body is read once.
const CACHE_KIB: i64 = 128;

/// Connections for reading, by segment, opened when needed.
#[derive(Debug)]
pub struct Readers {
    dir: PathBuf,
    /// With their segments, the one used last at the back.
    idle: Mutex<VecDeque<(u64, Connection)>>,
}

impl Readers {
    /// Readers of the segments in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), idle: Mutex::default() }
    }

    /// Lends a connection to a segment. It does not come back after an error.
    ///
    /// # Errors
    /// The segment cannot be opened, or `read`'s own.
    pub fn with<T>(
        &self,
        segment: u64,
        read: impl FnOnce(&Connection) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let conn = if let Some(conn) = self.idle(segment) {
            conn
        } else {
            let conn = connect(&path_of(&self.dir, segment))?;
            conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
            conn
        };
        let result = read(&conn)?;
        let mut idle = lock_unpoisoned(&self.idle);
        idle.push_back((segment, conn));
        let surplus = if idle.len() > IDLE { idle.pop_front() } else { None };
        drop(idle);
        // Closed outside of the lock.
        drop(surplus);
        Ok(result)
    }

    fn idle(&self, segment: u64) -> Option<Connection> {
        let mut idle = lock_unpoisoned(&self.idle);
        let place = idle.iter().rposition(|(number, _)| *number == segment)?;
        idle.remove(place).map(|(_, conn)| conn)
    }

    /// Closes the idle connections of a segment.
    pub fn forget(&self, segment: u64) {
        lock_unpoisoned(&self.idle).retain(|(number, _)| *number != segment);
    }
}

/// The records `after < seq <= upto` of a segment, in order; bodies are left empty.
///
/// # Errors
/// [`LogError::Damaged`] when a checksum does not fit.
pub fn records(
    conn: &Connection,
    segment: u64,
    after: u64,
    upto: u64,
) -> Result<Vec<StoredRecord>, LogError> {
    let mut found = Vec::new();
    select(conn, segment, "seq > ?1 AND seq <= ?2", [after, upto], |stored| {
        found.push(stored);
        Ok(())
    })?;
    Ok(found)
}

/// Takes all entries of a segment, in order; bodies are left empty.
///
/// # Errors
/// As [`records`], and those of `take`.
pub fn each_entry(
    conn: &Connection,
    segment: u64,
    take: impl FnMut(StoredRecord) -> Result<(), LogError>,
) -> Result<(), LogError> {
    select(conn, segment, "lsn >= ?1 AND seq >= ?2", [0, 0], take)
}

fn select(
    conn: &Connection,
    segment: u64,
    filter: &str,
    bounds: [u64; 2],
    mut take: impl FnMut(StoredRecord) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let sql = format!("SELECT seq, at_ms, head_crc, head FROM record WHERE {filter} ORDER BY seq");
    let mut select = conn.prepare(&sql)?;
    let mut rows = select.query(bounds)?;
    while let Some(row) = rows.next()? {
        let (seq, at_ms, crc): (u64, u64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let head = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        if head_crc(seq, at_ms, head) != crc {
            return Err(LogError::Damaged(format!(
                "record {seq} of segment {segment} is not what was written"
            )));
        }
        take(StoredRecord { seq, at_ms, segment, record: decode(head)? })?;
    }
    Ok(())
}

/// When an entry was accepted: Unix time in milliseconds.
///
/// # Errors
/// As [`body`].
pub fn accepted_ms(conn: &Connection, segment: u64, seq: u64) -> Result<u64, LogError> {
    let (at_ms, entry) = entry(conn, segment, seq)?;
    Ok(entry.head.transaction.map_or(at_ms, |transaction| transaction.accepted_ms))
}

fn entry(conn: &Connection, segment: u64, seq: u64) -> Result<(u64, Entry), LogError> {
    match records(conn, segment, seq.saturating_sub(1), seq)?.pop() {
        Some(StoredRecord { at_ms, record: Record::Entry(entry), .. }) => Ok((at_ms, entry)),
        _ => Err(LogError::Damaged(format!("record {seq} is missing in segment {segment}"))),
    }
}

/// Everything of an entry but its body.
///
/// # Errors
/// As [`body`].
pub fn head(conn: &Connection, segment: u64, seq: u64) -> Result<EntryHead, LogError> {
    entry(conn, segment, seq).map(|(_, entry)| entry.head)
}

/// Where an entry's body is, and the body itself where the record holds it.
///
/// # Errors
/// [`LogError::Damaged`] when the record is not there or not what was written.
pub fn body(conn: &Connection, segment: u64, seq: u64) -> Result<(Body, Bytes), LogError> {
    let (_, entry) = entry(conn, segment, seq)?;
    if matches!(entry.body, Body::File { .. }) {
        return Ok((entry.body, Bytes::new()));
    }
    let (crc, bytes): (Option<u32>, Option<Vec<u8>>) =
        conn.query_row("SELECT body_crc, body FROM record WHERE seq = ?1", [seq], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let bytes = bytes.unwrap_or_default();
    let intact = crc.is_none_or(|crc| crc32fast::hash(&bytes) == crc);
    if !intact || bytes.len() as u64 != entry.head.body_bytes {
        return Err(LogError::Damaged(format!(
            "the body of record {seq} of segment {segment} is not what was written"
        )));
    }
    Ok((entry.body, bytes.into()))
}

/// The first and the last record of each segment in a directory; both 0 for a segment without any. Removes what is left
/// of segments whose creation or removal did not end.
///
/// # Errors
/// [`OpenError::Newer`] for a segment of an unknown format, [`OpenError::Storage`] otherwise.
pub fn survey(dir: &Path) -> Result<BTreeMap<u64, (u64, u64)>, OpenError> {
    let storage = |error: LogError| OpenError::Storage { dir: dir.to_owned(), error };
    let mut found = BTreeMap::new();
    for number in numbers(dir).map_err(storage)? {
        let path = path_of(dir, number);
        if !disk().exists(&path).map_err(|error| storage(error.into()))? {
            remove(dir, number).map_err(storage)?;
            continue;
        }
        let conn = connect(&path).map_err(storage)?;
        let read = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, u64>(0)).map_err(LogError::from);
        match read("PRAGMA user_version").map_err(storage)? {
            0 => {
                drop(conn);
                remove(dir, number).map_err(storage)?;
            }
            format if format == u64::from(SEGMENT_FORMAT) => {
                let first = read("SELECT coalesce(min(seq), 0) FROM record").map_err(storage)?;
                let last = read("SELECT coalesce(max(seq), 0) FROM record").map_err(storage)?;
                found.insert(number, (first, last));
            }
            format => {
                return Err(OpenError::Newer {
                    path,
                    found: u32::try_from(format).unwrap_or(u32::MAX),
                    known: SEGMENT_FORMAT,
                });
            }
        }
    }
    Ok(found)
}

/// Numbers of all segments of which any file is there.
fn numbers(dir: &Path) -> Result<Vec<u64>, LogError> {
    let mut numbers = Vec::new();
    for name in disk().names(dir)? {
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("segment-")?.split_once(".db"))
            .and_then(|(number, _)| number.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}
