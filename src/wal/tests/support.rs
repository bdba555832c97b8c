//! A log in a directory, and its words.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, unbounded};

use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::{
    Answer, Decision, Encoding, EntryHead, Lane, Lsn, Op, Outcome, Record, RecordKind, RecordWrite,
    Transaction, Verdict,
};
use crate::wal::segment::SegmentEngine;
use crate::wal::{Committed, Engine, NewEntry, OpenError, Recovered, Setup, Wal, WalOptions};

/// Far longer than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Log {
    pub wal: Wal,
    pub recovered: Recovered,
    pub told: Receiver<Committed>,
}

/// Options under which nothing happens by time alone.
pub fn quiet() -> WalOptions {
    WalOptions {
        spare_after_ms: 3_600_000,
        checkpoint_ms: 3_600_000,
        retry_min_ms: 1,
        retry_max_ms: 4,
        ..WalOptions::default()
    }
}

pub fn open(dir: &Path) -> Log {
    open_with(dir, quiet(), |engine| Box::new(engine))
}

pub fn open_with(
    dir: &Path,
    options: WalOptions,
    wrap: impl FnOnce(SegmentEngine) -> Box<dyn Engine>,
) -> Log {
    try_open(dir, options, &["a", "b"], wrap).unwrap()
}

pub fn try_open(
    dir: &Path,
    options: WalOptions,
    instances: &[&str],
    wrap: impl FnOnce(SegmentEngine) -> Box<dyn Engine>,
) -> Result<Log, OpenError> {
    let (tell, told) = unbounded();
    let instances: Vec<String> = instances.iter().map(|name| (*name).to_owned()).collect();
    let setup = Setup { dir, options, instances: &instances, new_cluster: "fresh-cluster" };
    let on_commit = Box::new(move |what| drop(tell.send(what)));
    let (wal, recovered) = Wal::open_with(&setup, on_commit, wrap)?;
    Ok(Log { wal, recovered, told })
}

impl Log {
    /// The next word of the log.
    pub fn next(&self) -> Committed {
        self.told.recv_timeout(PATIENCE).expect("the log says nothing")
    }

    /// Appends one entry and waits until it is durable.
    pub fn log(&self, ticket: u64, body: impl Into<Bytes>) -> Lsn {
        self.wal.append(vec![entry(ticket, body)]).unwrap();
        match self.next() {
            Committed::Entries(entries) => {
                assert_eq!((entries.len(), entries[0].2), (1, ticket));
                entries[0].0
            }
            other => panic!("expected the entry, got {other:?}"),
        }
    }

    /// Hands over records and waits until they are durable.
    pub fn note(&self, records: Vec<Record>) {
        let number = self.wal.record(records);
        assert_eq!(self.next(), Committed::Records { upto: number });
    }

    /// Both instances have applied it: the log may forget it.
    pub fn settle(&self, lsn: Lsn) {
        self.note(vec![outcome(0, lsn, vec![decision(lsn)]), outcome(1, lsn, vec![])]);
        self.wal.finished(&[lsn]);
    }
}

pub fn collection() -> CollectionId {
    CollectionId(0x00c0_ffee)
}

pub fn lane() -> Lane {
    Lane::Collection(collection())
}

pub fn head(ticket: u64) -> EntryHead {
    EntryHead {
        lane: lane(),
        op: Op::Records(RecordWrite {
            kind: RecordKind::Add,
            encoding: Encoding::Lists,
            count: 1,
            dimension: Some(3),
            ids: Some(vec![ticket]),
            provable: true,
        }),
        transaction: Some(Transaction {
            id: format!("tx-{ticket}"),
            fingerprint: u128::from(ticket) << 64 | 7,
            method: "POST".to_owned(),
            path: "/api/v2/add?x=1".to_owned(),
            accepted_ms: 1_000 + ticket,
        }),
        body_bytes: 0,
    }
}

pub fn entry(ticket: u64, body: impl Into<Bytes>) -> NewEntry {
    NewEntry { head: head(ticket), body: body.into(), ticket }
}

/// The head as the log gives it back.
pub fn logged_head(ticket: u64, body_bytes: usize) -> EntryHead {
    EntryHead { body_bytes: body_bytes as u64, ..head(ticket) }
}

pub fn answer(status: u16) -> Answer {
    Answer { status, body: format!("{{\"status\":{status}}}").into_bytes() }
}

pub fn decision(lsn: Lsn) -> Decision {
    Decision { lsn, verdict: Verdict::Committed(answer(201)) }
}

pub fn outcome(instance: u8, applied: Lsn, decisions: Vec<Decision>) -> Record {
    Record::Outcome(Outcome {
        lane: lane(),
        instance: InstanceId(instance),
        applied,
        decisions,
        changes: vec![],
    })
}

/// A body that differs everywhere from its neighbours.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut body = vec![0; len];
    random.fill(&mut body);
    body
}
