//! The store by itself.

use super::support::{noise, quiet};
use crate::wal::WalOptions;
use crate::wal::engine::{Engine, Settled, StampedRecord};
use crate::wal::segment::SegmentEngine;

fn small() -> WalOptions {
    WalOptions { segment_bytes: 1 << 20, ..quiet() }
}

fn record(seq: u64) -> StampedRecord {
    StampedRecord { seq, lsn: None, at_ms: 0, head: vec![1, 2, 3], body: None }
}

fn count(conn: &rusqlite::Connection) -> u64 {
    conn.query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap()
}

#[test]
fn what_a_failed_sync_left_in_the_file_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let wal = dir.path().join("wal");
    std::fs::create_dir_all(&wal).unwrap();
    let mut engine = SegmentEngine::open(&wal, 1, 0, &small()).unwrap();
    engine.commit(&[record(1)]).unwrap();
    // As a reader keeps the shared index alive, SQLite does not look into the file again.
    let reader = rusqlite::Connection::open(wal.join("segment-000001.db")).unwrap();
    assert_eq!(count(&reader), 1);
    let path = wal.join("segment-000001.db-wal");
    let good = std::fs::metadata(&path).unwrap().len();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(noise(1, 5_000));
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(engine.settle().unwrap(), Settled { last_seq: 1, segment: 1 });
    assert_eq!(std::fs::metadata(&path).unwrap().len(), good);
    assert!(engine.commit(&[record(2)]).is_err(), "not before it is open again");
    engine.settle().unwrap();
    engine.reopen().unwrap();
    assert_eq!(engine.commit(&[record(2)]), Ok(2));
    assert_eq!(count(&reader), 1);
}

#[test]
fn what_a_failed_commit_did_bring_in_is_written_anew_before_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = SegmentEngine::open(dir.path(), 1, 0, &small()).unwrap();
    engine.commit(&[record(1)]).unwrap();
    // As if the engine's own commit had been reported as failed after all of it reached the file.
    let path = dir.path().join("segment-000001.db");
    let other = crate::wal::segment::connect(&path).unwrap();
    other
        .execute("INSERT INTO record SELECT 2, lsn, at_ms, head_crc, body_crc, head, body FROM record", [])
        .unwrap();
    drop(other);
    assert_eq!(engine.settle().unwrap(), Settled { last_seq: 2, segment: 1 });
    assert_eq!(std::fs::metadata(dir.path().join("segment-000001.db-wal")).unwrap().len(), 0, "folded");
    assert_eq!(count(&rusqlite::Connection::open(&path).unwrap()), 2);
}
