//! What waits while a commit is under way goes together, up to a limit.

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::support::{Log, entry, open_with, outcome, quiet};
use crate::wal::engine::{Engine, Settled, StampedRecord};
use crate::wal::record::Lsn;
use crate::wal::segment::SegmentEngine;
use crate::wal::{AppendError, Committed, LogError, WalOptions};

/// Tells the size of each commit and waits for leave to make it.
struct Gated {
    engine: SegmentEngine,
    asked: Sender<usize>,
    leave: Receiver<()>,
}

impl Engine for Gated {
    fn commit(&mut self, batch: &[StampedRecord]) -> Result<u64, LogError> {
        let _ = self.asked.send(batch.len());
        let _ = self.leave.recv();
        self.engine.commit(batch)
    }

    fn settle(&mut self) -> Result<Settled, LogError> {
        self.engine.settle()
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        self.engine.reopen()
    }
}

fn gated(dir: &std::path::Path, options: WalOptions) -> (Log, Receiver<usize>, Sender<()>) {
    let (asked_in, asked) = unbounded();
    let (leave, leave_out) = unbounded();
    let log = open_with(dir, options, |engine| Box::new(Gated { engine, asked: asked_in, leave: leave_out }));
    (log, asked, leave)
}

#[test]
fn what_waits_behind_a_commit_shares_the_next_one_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (log, asked, leave) = gated(dir.path(), quiet());
    log.wal.append(vec![entry(0, "first")]).unwrap();
    assert_eq!(asked.recv(), Ok(1));
    for ticket in 1..=20 {
        log.wal.append(vec![entry(ticket, "waits")]).unwrap();
    }
    log.wal.record(vec![outcome(0, Lsn(0), vec![]), outcome(1, Lsn(0), vec![])]);
    assert!(log.told.is_empty(), "nothing is acknowledged before its commit");
    leave.send(()).unwrap();
    assert_eq!(asked.recv(), Ok(22), "all that waited");
    leave.send(()).unwrap();
    assert!(matches!(log.next(), Committed::Entries(first) if first.len() == 1));
    assert_eq!(log.next(), Committed::Records { upto: 2 });
    let Committed::Entries(rest) = log.next() else { panic!() };
    assert_eq!(rest.iter().map(|(lsn, ..)| lsn.0).collect::<Vec<_>>(), (2..=21).collect::<Vec<_>>());
    assert_eq!(rest.iter().map(|(.., ticket)| *ticket).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_refuses_and_has_room_again_after_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { queue_entries: 3, queue_bytes: 100, ..quiet() };
    let (log, asked, leave) = gated(dir.path(), options);
    log.wal.append(vec![entry(1, vec![0; 500])]).unwrap();
    asked.recv().unwrap();
    assert_eq!(log.wal.append(vec![entry(2, "x")]), Err(AppendError::QueueFull), "too many bytes");
    leave.send(()).unwrap();
    log.next();
    log.wal.append(vec![entry(3, "x"), entry(4, "x")]).unwrap();
    asked.recv().unwrap();
    let two = vec![entry(5, "x"), entry(6, "x")];
    assert_eq!(log.wal.append(two), Err(AppendError::QueueFull), "too many entries");
    log.wal.append(vec![entry(7, "x")]).unwrap();
    leave.send(()).unwrap();
    leave.send(()).unwrap();
    for tickets in [&[3, 4][..], &[7]] {
        let Committed::Entries(entries) = log.next() else { panic!() };
        assert_eq!(entries.iter().map(|(.., ticket)| *ticket).collect::<Vec<_>>(), tickets);
    }
    assert_eq!(log.wal.stats().queued_entries, 0);
}

#[test]
fn closing_commits_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (log, asked, leave) = gated(dir.path(), quiet());
    for ticket in 1..=3 {
        log.wal.append(vec![entry(ticket, super::support::noise(ticket, 300_000))]).unwrap();
    }
    asked.recv().unwrap();
    for _ in 0..3 {
        leave.send(()).unwrap();
    }
    log.wal.close();
    let mut durable = 0;
    while let Ok(Committed::Entries(entries)) = log.told.try_recv() {
        durable += entries.len();
    }
    assert_eq!(durable, 3);
}
