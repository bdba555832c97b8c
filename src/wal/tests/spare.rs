//! Segments that are made ready beforehand.

use std::path::{Path, PathBuf};

use super::support::{noise, quiet};
use crate::wal::WalOptions;
use crate::wal::engine::{Engine, Settled, StampedRecord};
use crate::wal::segment::{SegmentEngine, connect, last_seq, path_of};

const SEGMENT_BYTES: u64 = 1 << 20;

fn record(seq: u64) -> StampedRecord {
    StampedRecord { seq, lsn: None, at_ms: 0, head: noise(seq, 3_000), body: None }
}

/// The write-ahead file of a segment.
fn ahead(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segment-{number:06}.db-wal"))
}

fn len(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn open(dir: &Path) -> SegmentEngine {
    let options = WalOptions { segment_bytes: SEGMENT_BYTES, spare_after_ms: 0, ..quiet() };
    SegmentEngine::open(dir, 1, 0, &options).unwrap()
}

/// Commits single records until the first one stands in a segment that was made ready; gives its number.
fn until_in_place(engine: &mut SegmentEngine) -> u64 {
    for seq in 1.. {
        let number = engine.commit(&[record(seq)]).unwrap();
        assert!(number <= 2);
        if number == 2 {
            return seq;
        }
        std::thread::yield_now();
    }
    unreachable!()
}

#[test]
fn the_log_goes_on_in_a_segment_that_stands_ready_and_writes_in_place_until_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path());
    let first = until_in_place(&mut engine);
    let path = ahead(dir.path(), 2);
    let mut seq = first;
    loop {
        assert_eq!(len(&path), SEGMENT_BYTES, "a commit grows the file");
        seq += 1;
        let next = record(seq);
        if engine.commit(&[next]).unwrap() != 2 {
            break;
        }
        if len(&path) > SEGMENT_BYTES {
            assert_eq!(engine.commit(&[record(seq + 1)]), Ok(3), "it is full");
            break;
        }
    }
    // Each record takes a page, and the pages above it.
    assert!((SEGMENT_BYTES / 16_480..SEGMENT_BYTES / 4_096).contains(&(seq - first)), "{first} {seq}");
}

#[test]
fn what_stands_beyond_the_last_commit_is_taken_for_nothing_whatever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path());
    let last = until_in_place(&mut engine) + 1;
    engine.commit(&[record(last)]).unwrap();
    let bytes = std::fs::read(ahead(dir.path(), 2)).unwrap();
    let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    // A page may end with zeros; frames are counted from the header on.
    let used = 32 + (used - 32).next_multiple_of(4_120);
    let earlier = std::fs::read(ahead(dir.path(), 1)).unwrap();
    let old_frames = [&earlier[32..], &earlier[..]].concat();
    let own_frames = bytes[32..used].repeat(3);
    for rest in
        [noise(7, 300_000), vec![0xff; 50_000], old_frames, own_frames, bytes[..used].to_vec(), vec![]]
    {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(path_of(dir.path(), 2), path_of(copy.path(), 2)).unwrap();
        let mut left = bytes[..used].to_vec();
        left.extend(rest);
        std::fs::write(ahead(copy.path(), 2), left).unwrap();
        let conn = connect(&path_of(copy.path(), 2)).unwrap();
        assert_eq!(last_seq(&conn), Ok(last));
        let count = conn.query_row("SELECT count(*) FROM record", [], |row| row.get::<_, u64>(0));
        assert_eq!(count, Ok(2));
    }
}

#[test]
fn what_a_failed_commit_left_in_place_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path());
    let last = until_in_place(&mut engine);
    // Keeps the shared index alive, so that SQLite does not look into the file again.
    let reader = connect(&path_of(dir.path(), 2)).unwrap();
    assert_eq!(last_seq(&reader), Ok(last));
    let before = std::fs::read(ahead(dir.path(), 2)).unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(path_of(dir.path(), 2), path_of(other.path(), 2)).unwrap();
    std::fs::copy(ahead(dir.path(), 2), ahead(other.path(), 2)).unwrap();
    // The commit as it would have been, whole in the file and unknown to the index.
    let conn = connect(&path_of(other.path(), 2)).unwrap();
    conn.execute("INSERT INTO record VALUES (?1, NULL, 0, 0, NULL, x'', NULL)", [last + 1]).unwrap();
    std::fs::copy(ahead(other.path(), 2), ahead(dir.path(), 2)).unwrap();
    assert!(std::fs::read(ahead(dir.path(), 2)).unwrap() != before);

    assert_eq!(engine.settle(), Ok(Settled { last_seq: last, segment: 2 }));
    drop((engine, reader));
    let conn = connect(&path_of(dir.path(), 2)).unwrap();
    assert_eq!(last_seq(&conn), Ok(last), "a later start takes it up");
}

#[test]
fn a_segment_that_stands_ready_and_is_not_needed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path());
    until_in_place(&mut engine);
    engine.commit(&[record(1_000_000)]).unwrap();
    drop(engine);
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("000003")), "{names:?}");
}

#[test]
fn nothing_is_made_ready_where_the_disk_has_no_room_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions {
        segment_bytes: 100_000,
        spare_after_ms: 0,
        min_free_bytes: u64::MAX - 1_000_000,
        ..quiet()
    };
    let mut engine = SegmentEngine::open(dir.path(), 1, 0, &options).unwrap();
    for seq in 1..=100 {
        engine.commit(&[record(seq)]).unwrap();
    }
    for file in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        assert!(file.metadata().unwrap().len() < 120_000, "{file:?}");
    }
}
