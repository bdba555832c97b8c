//! The disk's space comes back.

use super::support::{Log, decision, lane, noise, open, open_with, outcome, quiet};
use crate::chroma::ids::InstanceId;
use crate::wal::WalOptions;
use crate::wal::record::Lsn;

fn small_segments(dir: &std::path::Path) -> Log {
    let options = WalOptions { segment_bytes: 400_000, cache_bytes: 0, ..quiet() };
    open_with(dir, options, |engine| Box::new(engine))
}

#[test]
fn segments_and_body_files_of_finished_entries_are_dropped_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let log = small_segments(dir.path());
    let bodies = || std::fs::read_dir(dir.path().join("wal/bodies")).unwrap().count();
    let mut lsns = vec![];
    for ticket in 1..=40 {
        let len = if ticket % 10 == 0 { 300_000 } else { 50_000 };
        lsns.push(log.log(ticket, noise(ticket, len)));
    }
    let full = log.wal.stats();
    assert!(full.segments >= 4, "{full:?}");
    assert_eq!(bodies(), 4);
    let stays = Lsn(17);
    for &lsn in lsns.iter().filter(|lsn| **lsn != stays) {
        log.settle(lsn);
    }
    log.wal.checkpoint().unwrap();
    let after = log.wal.stats();
    assert_eq!((after.segments, bodies()), (2, 0), "the one that waits, and the one being written");
    assert!(after.disk_bytes * 2 < full.disk_bytes, "{after:?}");
    assert!(log.wal.body(stays).unwrap() == noise(17, 50_000));
    drop(log);

    let log = small_segments(dir.path());
    assert!(log.recovered.entries.iter().flatten().any(|entry| entry.lsn == stays));
    assert!(log.wal.body(stays).unwrap() == noise(17, 50_000));
    let all: Vec<Lsn> = log.recovered.entries.iter().flatten().map(|entry| entry.lsn).collect();
    log.settle(stays);
    log.wal.finished(&all);
    log.wal.checkpoint().unwrap();
    drop(log);
    let log = small_segments(dir.path());
    assert!(
        log.recovered.entries.iter().flatten().all(|entry| !all.contains(&entry.lsn)),
        "their segments are gone"
    );
    assert_eq!(log.recovered.next_lsn, Lsn(41));
}

#[test]
fn a_segment_goes_only_when_the_checkpoint_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = small_segments(dir.path());
    let lsns: Vec<Lsn> = (1..=20).map(|ticket| log.log(ticket, noise(ticket, 50_000))).collect();
    log.wal.finished(&lsns);
    let stats = log.wal.stats();
    assert!(stats.segments > 2 && stats.covered_seq == 0);
    log.wal.checkpoint().unwrap();
    assert_eq!(log.wal.stats().segments, 1);
    assert!(log.wal.transaction("tx-3").unwrap().is_some(), "its sender can still ask");
}

#[test]
fn a_waiting_segment_is_folded_and_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { segment_bytes: 100_000, cache_bytes: 0, fold_after_ms: 0, ..quiet() };
    let log = open_with(dir.path(), options, |engine| Box::new(engine));
    let lsns: Vec<Lsn> = (1..=4).map(|ticket| log.log(ticket, noise(ticket, 120_000))).collect();
    let unfolded = || {
        let files = std::fs::read_dir(dir.path().join("wal")).unwrap().map(Result::unwrap);
        let wals = files.filter(|file| file.file_name().to_string_lossy().ends_with("-wal"));
        wals.filter(|file| file.metadata().unwrap().len() > 0).count()
    };
    assert_eq!(unfolded(), 4);
    for left in [3, 2, 1, 1] {
        log.wal.checkpoint().unwrap();
        assert_eq!(unfolded(), left, "one a pass, and never the one being written");
    }
    for (ticket, lsn) in (1..).zip(lsns) {
        assert!(log.wal.body(lsn).unwrap() == noise(ticket, 120_000));
    }
}

#[test]
fn a_lane_that_ended_keeps_its_positions_while_a_segment_holds_an_entry_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { segment_bytes: 100_000, ..quiet() };
    let log = open_with(dir.path(), options, |engine| Box::new(engine));
    let first = log.log(1, noise(1, 120_000));
    let second = log.log(2, noise(2, 10));
    log.settle(first);
    log.note(vec![outcome(0, second, vec![decision(second)])]);
    log.wal.checkpoint().unwrap();
    assert_eq!(log.wal.stats().segments, 1, "the first is gone");
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.recovered.positions, [(lane(), InstanceId(0), second), (lane(), InstanceId(1), first)]);
}
