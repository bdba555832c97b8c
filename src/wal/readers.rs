//! Reading segments back: heads without their bodies, and single bodies.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use rusqlite::Connection;

use super::codec::decode;
use super::engine::head_crc;
use super::error::{LogError, OpenError};
use super::lock_unpoisoned;
use super::record::{Body, Record};
use super::segment::{SEGMENT_FORMAT, connect, path_of, remove};
use super::state::StoredRecord;

/// Idle connections kept per segment.
const IDLE_PER_SEGMENT: usize = 4;

/// Connections for reading, by segment, opened when needed.
#[derive(Debug)]
pub struct Readers {
    dir: PathBuf,
    idle: Mutex<HashMap<u64, Vec<Connection>>>,
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
        let idle = lock_unpoisoned(&self.idle).get_mut(&segment).and_then(Vec::pop);
        let conn = match idle {
            Some(conn) => conn,
            None => connect(&path_of(&self.dir, segment))?,
        };
        let result = read(&conn)?;
        let mut all = lock_unpoisoned(&self.idle);
        let idle = all.entry(segment).or_default();
        if idle.len() < IDLE_PER_SEGMENT {
            idle.push(conn);
        }
        Ok(result)
    }

    /// Closes the idle connections of a segment.
    pub fn forget(&self, segment: u64) {
        lock_unpoisoned(&self.idle).remove(&segment);
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
    select(conn, segment, "seq > ?1 AND seq <= ?2", [after, upto])
}

/// All entries of a segment, without bodies.
///
/// # Errors
/// As [`records`].
pub fn entries(conn: &Connection, segment: u64) -> Result<Vec<StoredRecord>, LogError> {
    select(conn, segment, "lsn >= ?1 AND seq >= ?2", [0, 0])
}

fn select(
    conn: &Connection,
    segment: u64,
    filter: &str,
    bounds: [u64; 2],
) -> Result<Vec<StoredRecord>, LogError> {
    let sql = format!("SELECT seq, at_ms, head_crc, head FROM record WHERE {filter} ORDER BY seq");
    let mut select = conn.prepare(&sql)?;
    let mut rows = select.query(bounds)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (seq, at_ms, crc): (u64, u64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let head = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        if head_crc(seq, at_ms, head) != crc {
            return Err(LogError::Damaged(format!(
                "record {seq} of segment {segment} is not what was written"
            )));
        }
        found.push(StoredRecord { seq, at_ms, segment, record: decode(head)? });
    }
    Ok(found)
}

/// Where an entry's body is, and the body itself where the record holds it.
///
/// # Errors
/// [`LogError::Damaged`] when the record is not there or not what was written.
pub fn body(conn: &Connection, segment: u64, seq: u64) -> Result<(Body, Bytes), LogError> {
    let found = records(conn, segment, seq.saturating_sub(1), seq)?.pop();
    let Some(Record::Entry(entry)) = found.map(|stored| stored.record) else {
        return Err(LogError::Damaged(format!("record {seq} is missing in segment {segment}")));
    };
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
        if !path.exists() {
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
    for file in fs::read_dir(dir)? {
        let name = file?.file_name();
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
