//! Two lives of a log, with what its user knows for certain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use faults::Gate;
use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::wal::record::brief::Ruling;
use isochrome::wal::record::{
    Answer, Decision, EntryHead, Lane, Lsn, Op, Outcome, Record, Transaction, Verdict,
};
use isochrome::wal::{
    AppendError, Committed, LogError, NewEntry, OpenError, Recovered, Setup, TransactionState, Wal,
    WalOptions,
};

/// Far longer than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

const SEGMENT_BYTES: u64 = 60_000;

/// Writes of one life.
const WRITES: u64 = 6;

/// What the log has said.
#[derive(Clone, Default)]
pub struct Told {
    with_spares: bool,
    /// Acknowledged entries by LSN, with their tickets.
    acknowledged: BTreeMap<Lsn, u64>,
    refused: BTreeSet<u64>,
    decided: BTreeSet<Lsn>,
    /// Told to the log as finished: it may forget them.
    finished: BTreeSet<Lsn>,
    /// Nothing was said of it before the power went: it may be there or not.
    open: Option<u64>,
    /// As for `open`, of a verdict.
    undecided: Option<Lsn>,
}

struct Log {
    wal: Wal,
    recovered: Recovered,
    words: Receiver<Committed>,
}

/// The segment that is made ready first.
pub const SPARE: &str = "segment-000002";

/// Two lives with writes of all sizes, verdicts, checkpoints and segments that go. One call may fail, or the power. Where
/// `with_spares`, segments are made ready, and the first of them is waited for.
pub fn tell(dir: &Path, gate: &Gate, with_spares: bool) -> Told {
    let mut told = Told { with_spares, ..Told::default() };
    for life in 0..2 {
        let Some(log) = open_at_last(dir, gate, with_spares) else { break };
        told.check(&log, gate);
        let dropped: Vec<Lsn> = told.finished.iter().copied().collect();
        log.wal.finished(&dropped);
        for ticket in life * WRITES..(life + 1) * WRITES {
            if !gate.is_dark() {
                told.write(&log, ticket, gate);
            }
            if with_spares && ticket == 0 {
                await_spare(dir, gate);
            }
        }
        at_last(gate, || log.wal.checkpoint());
        told.look_up(&log, gate);
        log.wal.close();
    }
    told
}

impl Told {
    /// Nothing fails any more: everything acknowledged is there, nothing else, and it goes on.
    pub fn judge(mut self, dir: &Path, gate: &Gate, call: &str) {
        let log = open(dir, self.with_spares).unwrap_or_else(|error| panic!("after {call}: {error}"));
        self.check(&log, gate);
        self.look_up(&log, gate);
        self.write(&log, 100, gate);
        assert!(self.acknowledged.values().any(|ticket| *ticket == 100), "it can be written again");
        let there = log.recovered.entries.iter().flatten().map(|entry| entry.lsn);
        let all: Vec<Lsn> = self.acknowledged.keys().copied().chain(there).collect();
        log.wal.finished(&all);
        log.wal.checkpoint().unwrap();
        let bodies = std::fs::read_dir(dir.join("wal/bodies")).unwrap().count();
        assert_eq!((log.wal.stats().pending_entries, bodies), (0, 0), "space comes back");
    }

    /// Appends a write; if it is acknowledged, decides it, and finishes every other one.
    fn write(&mut self, log: &Log, ticket: u64, gate: &Gate) {
        match log.wal.append(vec![entry(ticket)]) {
            Ok(()) => {}
            Err(AppendError::Unavailable(error)) => {
                assert_clear(&error, gate);
                self.refused.insert(ticket);
                return;
            }
            Err(error) => panic!("{error}"),
        }
        let Some(lsn) = self.fate(log, ticket, gate) else { return };
        assert!(self.acknowledged.insert(lsn, ticket).is_none(), "{lsn} is given twice");
        let handed = log.wal.record(vec![Record::Outcome(Outcome {
            lane: lane(),
            instance: InstanceId(0),
            applied: lsn,
            decisions: vec![Decision { lsn, verdict: Verdict::Committed(answer()) }],
            changes: vec![],
        })]);
        loop {
            match word(log, gate) {
                Committed::Records { upto } if upto >= handed => break,
                Committed::Unavailable(_) if gate.is_dark() => {
                    self.undecided = Some(lsn);
                    return;
                }
                _ => {}
            }
        }
        self.decided.insert(lsn);
        if ticket.is_multiple_of(2) {
            log.wal.finished(&[lsn]);
            self.finished.insert(lsn);
        }
    }

    /// The LSN of an acknowledged entry. One or the other word always comes.
    fn fate(&mut self, log: &Log, ticket: u64, gate: &Gate) -> Option<Lsn> {
        loop {
            match word(log, gate) {
                Committed::Entries(entries) => {
                    assert_eq!((entries.len(), entries[0].2), (1, ticket));
                    return Some(entries[0].0);
                }
                Committed::Refused { tickets, error } => {
                    assert_eq!(tickets, [ticket]);
                    assert_clear(&error, gate);
                    self.refused.insert(ticket);
                    return None;
                }
                Committed::Unavailable(_) if gate.is_dark() => {
                    self.open = Some(ticket);
                    return None;
                }
                _ => {}
            }
        }
    }

    /// What was recovered is what was acknowledged.
    fn check(&self, log: &Log, gate: &Gate) {
        let found: BTreeSet<Lsn> = log.recovered.entries.iter().flatten().map(|entry| entry.lsn).collect();
        let ruled: BTreeSet<Lsn> = log.recovered.decisions.iter().map(|(lsn, _)| *lsn).collect();
        for (lsn, ticket) in &self.acknowledged {
            if !self.finished.contains(lsn) {
                assert!(found.contains(lsn), "{lsn} is lost");
                let read = at_last(gate, || log.wal.body(*lsn));
                assert!(read.is_none_or(|read| read == body(*ticket)), "the body of {lsn} is another");
                let open = self.undecided == Some(*lsn);
                assert!(open || ruled.contains(lsn) == self.decided.contains(lsn), "the verdict of {lsn}");
            }
            assert!(*lsn < log.recovered.next_lsn, "{lsn} would be given again");
        }
        for lsn in found.iter().filter(|lsn| !self.acknowledged.contains_key(lsn)) {
            let ticket = self.open.unwrap_or_else(|| panic!("{lsn} is there and was never acknowledged"));
            let read = at_last(gate, || log.wal.body(*lsn));
            assert!(read.is_none_or(|read| read == body(ticket)), "the body of {lsn} is another");
        }
        assert!(log.recovered.decisions.iter().all(|(_, ruling)| matches!(ruling, Ruling::Committed)));
    }

    /// Senders ask for their writes.
    fn look_up(&self, log: &Log, gate: &Gate) {
        let ask = |ticket: u64| at_last(gate, || log.wal.transaction(&format!("tx-{ticket}")));
        for (lsn, ticket) in &self.acknowledged {
            let Some(known) = ask(*ticket) else { return };
            let known = known.unwrap_or_else(|| panic!("the transaction of {lsn} is lost"));
            let decided = known.state == TransactionState::Committed;
            let open = self.undecided == Some(*lsn);
            assert!(known.lsn == *lsn && (open || decided == self.decided.contains(lsn)), "{known:?}");
        }
        for ticket in &self.refused {
            assert!(ask(*ticket).is_none_or(|known| known.is_none()), "{ticket} was refused");
        }
    }
}

/// The next word of the log.
fn word(log: &Log, gate: &Gate) -> Committed {
    let word = log.words.recv_timeout(PATIENCE);
    let word = word.unwrap_or_else(|_| panic!("the log says nothing after {:?}", gate.failed()));
    if let Committed::Unavailable(error) = &word {
        assert_clear(error, gate);
    }
    word
}

/// An error that tells of the call that failed, and of nothing worse.
fn assert_clear(error: &LogError, gate: &Gate) {
    let call = gate.failed().unwrap_or_else(|| panic!("no call failed, and there is an error: {error}"));
    assert!(matches!(error, LogError::Storage(_) | LogError::DiskFull(_)), "{call}: {error}");
}

/// What may fail once, by the call that fails; nothing in the dark.
fn at_last<T>(gate: &Gate, mut step: impl FnMut() -> Result<T, LogError>) -> Option<T> {
    let first = step().or_else(|error| {
        assert_clear(&error, gate);
        step()
    });
    match first {
        Err(_) if gate.is_dark() => None,
        Err(error) => panic!("after {:?}: {error}", gate.failed()),
        Ok(done) => Some(done),
    }
}

/// Waits until the segment is filled, unless a call of that failed.
fn await_spare(dir: &Path, gate: &Gate) {
    let ahead = dir.join("wal").join(format!("{SPARE}.db-wal"));
    let deadline = Instant::now() + PATIENCE;
    while gate.failed().is_none() && std::fs::metadata(&ahead).map_or(0, |file| file.len()) < SEGMENT_BYTES {
        assert!(Instant::now() < deadline, "no segment is made ready");
        std::thread::yield_now();
    }
}

fn open_at_last(dir: &Path, gate: &Gate, with_spares: bool) -> Option<Log> {
    let first = open(dir, with_spares).or_else(|error| {
        assert!(matches!(error, OpenError::Storage { .. }), "after {:?}: {error}", gate.failed());
        assert!(gate.failed().is_some(), "no call failed, and there is an error: {error}");
        open(dir, with_spares)
    });
    match first {
        Err(_) if gate.is_dark() => None,
        Err(error) => panic!("after {:?}: {error}", gate.failed()),
        Ok(log) => Some(log),
    }
}

fn open(dir: &Path, with_spares: bool) -> Result<Log, OpenError> {
    let (tell, words) = unbounded();
    let options = WalOptions {
        segment_bytes: SEGMENT_BYTES,
        // What it does, when, is up to a thread of its own.
        spare_after_ms: if with_spares { 0 } else { 3_600_000 },
        cache_bytes: 0,
        checkpoint_ms: 3_600_000,
        fold_after_ms: 0,
        retry_min_ms: 1,
        retry_max_ms: 4,
        ..WalOptions::default()
    };
    let names = ["only".to_owned()];
    let setup = Setup { dir, options, instances: &names, new_cluster: "c" };
    let (wal, recovered) = Wal::open(&setup, Box::new(move |what| drop(tell.send(what))))?;
    Ok(Log { wal, recovered, words })
}

fn lane() -> Lane {
    Lane::Collection(CollectionId(1))
}

fn answer() -> Answer {
    Answer { status: 201, body: b"{}".to_vec() }
}

/// Small ones, some that fill a segment, and some with a file of their own.
fn body(ticket: u64) -> Vec<u8> {
    let len = match ticket % 3 {
        0 => 200,
        1 => 40_000,
        _ => 270_000,
    };
    let mut body = vec![0; len];
    fastrand::Rng::with_seed(ticket).fill(&mut body);
    body
}

fn entry(ticket: u64) -> NewEntry {
    let transaction = Transaction {
        id: format!("tx-{ticket}"),
        fingerprint: 0,
        method: "POST".to_owned(),
        path: "/".to_owned(),
        accepted_ms: 1,
    };
    let head = EntryHead { lane: lane(), op: Op::DeleteWhere, transaction: Some(transaction), body_bytes: 0 };
    NewEntry { head, body: body(ticket).into(), ticket }
}
