//! A store that fails: nothing acknowledged is lost, nothing refused is there, outcomes are kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::support::{Log, decision, entry, noise, open, open_with, outcome, quiet};
use crate::wal::engine::{Engine, Settled, StampedRecord};
use crate::wal::record::Lsn;
use crate::wal::segment::SegmentEngine;
use crate::wal::{AppendError, Committed, LogError};

/// How a failing call fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing happens.
    Before,
    /// It happens, and is reported as failed.
    After,
}

/// Which calls fail, counted from 1 over all methods.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// This one and the next.
    Twice(u64),
    /// Each multiple of this.
    Every(u64),
}

impl Plan {
    fn fails(self, call: u64) -> bool {
        match self {
            Self::Twice(first) => call == first || call == first + 1,
            Self::Every(period) => call.is_multiple_of(period),
        }
    }
}

struct Failing {
    engine: SegmentEngine,
    calls: u64,
    plan: Plan,
    fault: Fault,
}

impl Failing {
    fn through<T>(
        &mut self,
        call: impl FnOnce(&mut SegmentEngine) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        self.calls += 1;
        let fails = self.plan.fails(self.calls);
        let error = Err(LogError::Storage("made to fail".to_owned()));
        match (fails, self.fault) {
            (false, _) => call(&mut self.engine),
            (true, Fault::Before) => error,
            (true, Fault::After) => call(&mut self.engine).and(error),
        }
    }
}

impl Engine for Failing {
    fn commit(&mut self, batch: &[StampedRecord]) -> Result<u64, LogError> {
        self.through(|engine| engine.commit(batch))
    }

    fn settle(&mut self) -> Result<Settled, LogError> {
        self.through(SegmentEngine::settle)
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        self.through(SegmentEngine::reopen)
    }
}

#[test]
fn failures_at_every_nth_call_lose_nothing_acknowledged_and_keep_nothing_refused() {
    for fault in [Fault::Before, Fault::After] {
        for plan in (1..=25).map(Plan::Twice).chain((4..=9).map(Plan::Every)) {
            run_with_failures(fault, plan);
        }
    }
}

fn run_with_failures(fault: Fault, plan: Plan) {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), quiet(), |engine| Box::new(Failing { engine, calls: 0, plan, fault }));
    let mut acknowledged = BTreeMap::new();
    let (mut handed, mut durable) = (0, 0);
    for ticket in 1..=12 {
        let len = if ticket % 7 == 0 { 300_000 } else { 100 };
        while matches!(
            log.wal.append(vec![entry(ticket, noise(ticket, len))]),
            Err(AppendError::Unavailable(_))
        ) {
            std::thread::yield_now();
        }
        if let Some(lsn) = fate(&log, ticket, &mut durable) {
            acknowledged.insert(lsn, (ticket, len));
            handed = log.wal.record(vec![outcome(0, lsn, vec![decision(lsn)])]);
        }
    }
    assert!(acknowledged.len() >= 4, "{fault:?} {plan:?}: {}", acknowledged.len());
    while durable < handed {
        if let Committed::Records { upto } = log.next() {
            durable = upto;
        }
    }
    drop(log);

    let log = open(dir.path());
    let found: Vec<Lsn> = log.recovered.entries.iter().flatten().map(|entry| entry.lsn).collect();
    let expected: Vec<Lsn> = acknowledged.keys().copied().collect();
    assert_eq!(found, expected, "{fault:?} {plan:?}");
    for (lsn, (ticket, len)) in acknowledged {
        assert!(log.wal.body(lsn).unwrap() == noise(ticket, len));
        assert!(log.recovered.decisions.contains(&(lsn, decision(lsn).verdict.ruling())));
    }
}

/// The LSN of an acknowledged entry, nothing for a refused one. One of both always comes.
fn fate(log: &Log, ticket: u64, durable: &mut u64) -> Option<Lsn> {
    loop {
        match log.next() {
            Committed::Entries(entries) => {
                assert_eq!((entries.len(), entries[0].2), (1, ticket));
                return Some(entries[0].0);
            }
            Committed::Refused { tickets, .. } => {
                assert_eq!(tickets, [ticket]);
                return None;
            }
            Committed::Records { upto } => *durable = upto,
            Committed::Available | Committed::Unavailable(_) => {}
        }
    }
}

/// Fails while the switch is on.
struct Switched {
    engine: SegmentEngine,
    fails: Arc<AtomicU64>,
}

impl Switched {
    fn check(&self) -> Result<(), LogError> {
        match self.fails.load(Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(LogError::DiskFull("no room".to_owned())),
        }
    }
}

impl Engine for Switched {
    fn commit(&mut self, batch: &[StampedRecord]) -> Result<u64, LogError> {
        self.check()?;
        self.engine.commit(batch)
    }

    fn settle(&mut self) -> Result<Settled, LogError> {
        self.engine.settle()
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        self.check()?;
        self.engine.reopen()
    }
}

#[test]
fn while_the_disk_is_full_writes_are_refused_at_once_and_it_works_again_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicU64::new(0));
    let switch = Arc::clone(&fails);
    let log = open_with(dir.path(), quiet(), |engine| Box::new(Switched { engine, fails: switch }));
    let lsn = log.log(1, "x");
    let full = LogError::DiskFull("no room".to_owned());
    fails.store(1, Ordering::SeqCst);
    let handed = log.wal.record(vec![outcome(0, lsn, vec![decision(lsn)])]);
    assert_eq!(log.next(), Committed::Unavailable(full.clone()));
    assert!(!log.wal.stats().available);
    assert_eq!(log.wal.append(vec![entry(2, "y")]), Err(AppendError::Unavailable(full)));
    fails.store(0, Ordering::SeqCst);
    assert_eq!(log.next(), Committed::Available);
    assert_eq!(log.next(), Committed::Records { upto: handed }, "an outcome is never given up");
    assert_eq!(log.log(3, "z"), Lsn(2));
    assert_eq!(log.wal.stats().queued_entries, 0);
}

/// Dies at the first commit.
struct Dying;

impl Engine for Dying {
    fn commit(&mut self, _: &[StampedRecord]) -> Result<u64, LogError> {
        panic!("made to die")
    }

    fn settle(&mut self) -> Result<Settled, LogError> {
        Err(LogError::Closed)
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        Err(LogError::Closed)
    }
}

#[test]
fn a_writer_that_dies_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), quiet(), |_| Box::new(Dying));
    log.wal.append(vec![entry(1, "x")]).unwrap();
    assert_eq!(log.next(), Committed::Unavailable(LogError::Closed));
    assert_eq!(log.wal.append(vec![entry(2, "y")]), Err(AppendError::Unavailable(LogError::Closed)));
    log.wal.close();
}

#[test]
fn a_refused_large_body_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicU64::new(1));
    let switch = Arc::clone(&fails);
    let log = open_with(dir.path(), quiet(), |engine| Box::new(Switched { engine, fails: switch }));
    log.wal.append(vec![entry(1, noise(1, 300_000))]).unwrap();
    assert!(matches!(log.next(), Committed::Refused { tickets, .. } if tickets == [1]));
    assert_eq!(std::fs::read_dir(dir.path().join("wal/bodies")).unwrap().count(), 0);
}
