//! Files that are newer, missing, or not what was written.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::support::{Log, noise, open, quiet, try_open};
use crate::wal::OpenError;
use crate::wal::record::Lsn;

fn error(dir: &Path) -> OpenError {
    match try_open(dir, quiet(), &["a"], |engine| Box::new(engine)) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

fn only_segment(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("wal")).unwrap().map(|file| file.unwrap().path());
    let mut segments: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "db")).collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.remove(0)
}

fn logged(dir: &Path, body: Vec<u8>) {
    let log: Log = open(dir);
    log.log(1, body);
}

#[test]
fn a_newer_format_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    logged(dir.path(), vec![1]);
    for (path, format) in [(dir.path().join("state.db"), 2), (only_segment(dir.path()), 1)] {
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        let error = error(dir.path());
        assert!(matches!(error, OpenError::Newer { found: 99, known, .. } if known == format), "{error}");
        assert!(error.to_string().contains("use the newer version again"), "{error}");
        conn.pragma_update(None, "user_version", format).unwrap();
    }
    open(dir.path());
}

#[test]
fn a_checkpoint_of_the_first_format_moves_itself_forward() {
    let dir = tempfile::tempdir().unwrap();
    logged(dir.path(), vec![1]);
    let conn = Connection::open(dir.path().join("state.db")).unwrap();
    conn.execute_batch("DROP TABLE rebuild; DROP TABLE lost; PRAGMA user_version = 1").unwrap();
    for _ in 0..2 {
        let log = open(dir.path());
        assert_eq!((log.recovered.next_lsn, log.recovered.rebuilds.len()), (Lsn(2), 0));
    }
}

#[test]
fn a_second_opener_is_refused_and_told_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let refused = error(dir.path()).to_string();
    assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
    log.wal.close();
    open(dir.path());
}

#[test]
fn a_missing_segment_or_checkpoint_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    logged(dir.path(), vec![1]);
    let segment = only_segment(dir.path());
    let aside = dir.path().join("aside");
    fs::rename(&segment, &aside).unwrap();
    let words = error(dir.path()).to_string();
    assert!(words.contains("segment 1 is missing"), "{words}");
    fs::rename(&aside, &segment).unwrap();
    fs::rename(dir.path().join("state.db"), &aside).unwrap();
    let words = error(dir.path()).to_string();
    assert!(words.contains("no state.db"), "{words}");
}

#[test]
fn an_altered_head_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    logged(dir.path(), vec![1]);
    let conn = Connection::open(only_segment(dir.path())).unwrap();
    conn.execute("UPDATE record SET at_ms = at_ms + 1", []).unwrap();
    drop(conn);
    let words = error(dir.path()).to_string();
    assert!(words.contains("record 1 of segment 1 is not what was written"), "{words}");
}

#[test]
fn an_altered_or_torn_body_is_never_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    logged(dir.path(), noise(1, 100));
    let conn = Connection::open(only_segment(dir.path())).unwrap();
    conn.execute("UPDATE record SET body = zeroblob(100)", []).unwrap();
    drop(conn);
    let words = open(dir.path()).wal.body(Lsn(1)).unwrap_err().to_string();
    assert!(words.contains("the body of record 1"), "{words}");
}

#[test]
fn an_altered_torn_or_lost_body_file_is_never_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    logged(dir.path(), noise(1, 300_000));
    let bodies = dir.path().join("wal/bodies");
    let file = fs::read_dir(&bodies).unwrap().next().unwrap().unwrap().path();
    fs::write(bodies.join("orphan"), "x").unwrap();
    let body = fs::read(&file).unwrap();
    let mut altered = body.clone();
    altered[200_000] ^= 1;
    let log = open(dir.path());
    assert!(!bodies.join("orphan").exists());
    for (content, complaint) in
        [(&altered[..], "is not what was written"), (&body[..299_999], "has 299999 bytes instead of 300000")]
    {
        fs::write(&file, content).unwrap();
        let words = log.wal.body(Lsn(1)).unwrap_err().to_string();
        assert!(words.contains(complaint), "{words}");
    }
    fs::remove_file(&file).unwrap();
    assert!(log.wal.body(Lsn(1)).unwrap_err().to_string().contains("is gone"));
    fs::write(&file, &body).unwrap();
    assert!(log.wal.body(Lsn(1)).unwrap() == body);
}

#[test]
fn what_an_interrupted_creation_or_removal_left_is_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    logged(dir.path(), vec![1]);
    let wal = dir.path().join("wal");
    fs::write(wal.join("segment-000007.db"), "").unwrap();
    fs::write(wal.join("segment-000008.db-wal"), "rest").unwrap();
    let log = open(dir.path());
    assert!(!wal.join("segment-000008.db-wal").exists());
    assert_eq!(log.recovered.entries.iter().flatten().count(), 1);
    assert_eq!(log.log(2, "x"), Lsn(2));
}
