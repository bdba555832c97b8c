//! The log under many hands at once, through its public face.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is the test's verdict, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, unbounded};
use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::wal::record::{
    Answer, Decision, EntryHead, Lane, Lsn, Op, Outcome, Record, Transaction, Verdict,
};
use isochrome::wal::{Committed, NewEntry, Recovered, Setup, TransactionState, Wal, WalOptions};

const WRITERS: u64 = 8;
const WRITES: u64 = 60;

fn lane(writer: u64) -> Lane {
    Lane::Collection(CollectionId(u128::from(writer)))
}

fn body(ticket: u64) -> Vec<u8> {
    let len = if ticket.is_multiple_of(20) { 270_000 } else { 3_000 };
    let mut body = vec![0; len];
    fastrand::Rng::with_seed(ticket).fill(&mut body);
    body
}

fn write(ticket: u64) -> NewEntry {
    NewEntry {
        head: EntryHead {
            lane: lane(ticket / WRITES),
            op: Op::DeleteWhere,
            transaction: Some(Transaction {
                id: ticket.to_string(),
                fingerprint: 0,
                method: "POST".to_owned(),
                path: "/".to_owned(),
                accepted_ms: 1,
            }),
            body_bytes: 0,
        },
        body: body(ticket).into(),
        ticket,
    }
}

fn open(dir: &Path) -> (Wal, Recovered, Receiver<Committed>) {
    let (tell, told) = unbounded();
    let names = ["only".to_owned()];
    let setup = Setup {
        dir,
        options: WalOptions {
            segment_bytes: 300_000,
            checkpoint_ms: 1,
            fold_after_ms: 3,
            cache_bytes: 50_000,
            ..WalOptions::default()
        },
        instances: &names,
        new_cluster: "c",
    };
    let (wal, recovered) = Wal::open(&setup, Box::new(move |what| drop(tell.send(what)))).unwrap();
    (wal, recovered, told)
}

/// Reads each committed body back, decides it and lets it go; gives tickets by LSN.
fn decide_all(wal: &Wal, told: &Receiver<Committed>) -> BTreeMap<Lsn, u64> {
    let mut known = BTreeMap::new();
    let (mut handed, mut durable) = (0, 0);
    let mut undecided: Vec<(u64, Lsn)> = vec![];
    while known.len() < usize::try_from(WRITERS * WRITES).unwrap() || durable < handed {
        match told.recv().unwrap() {
            Committed::Entries(entries) => {
                for (lsn, head, ticket) in entries {
                    assert!(wal.body(lsn).unwrap() == body(ticket), "{lsn} differs");
                    known.insert(lsn, ticket);
                    let verdict = Verdict::Committed(Answer { status: 200, body: vec![] });
                    handed = wal.record(vec![Record::Outcome(Outcome {
                        lane: head.lane,
                        instance: InstanceId(0),
                        applied: lsn,
                        decisions: vec![Decision { lsn, verdict }],
                        changes: vec![],
                    })]);
                    undecided.push((handed, lsn));
                }
            }
            Committed::Records { upto } => {
                durable = upto;
                let done: Vec<Lsn> =
                    undecided.iter().filter(|(number, _)| *number <= upto).map(|(_, lsn)| *lsn).collect();
                undecided.retain(|(number, _)| *number > upto);
                wal.finished(&done);
            }
            other => panic!("{other:?}"),
        }
    }
    known
}

#[test]
fn many_writers_lookups_and_checkpoints_at_once_agree_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _, told) = open(dir.path());
    let ended = AtomicBool::new(false);
    let known = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let wal = &wal;
            scope.spawn(move || {
                for ticket in writer * WRITES..(writer + 1) * WRITES {
                    wal.append(vec![write(ticket)]).unwrap();
                }
            });
        }
        scope.spawn(|| {
            // A transaction that was once decided is never seen undecided or unknown again.
            let mut decided = vec![false; usize::try_from(WRITERS * WRITES).unwrap()];
            while !ended.load(Ordering::Relaxed) {
                for (ticket, decided) in decided.iter_mut().enumerate() {
                    let state = wal.transaction(&ticket.to_string()).unwrap().map(|found| found.state);
                    assert!(!*decided || state == Some(TransactionState::Committed), "{ticket}: {state:?}");
                    *decided = state == Some(TransactionState::Committed);
                }
            }
        });
        let known = decide_all(&wal, &told);
        ended.store(true, Ordering::Relaxed);
        known
    });
    let lsns: Vec<u64> = known.keys().map(|lsn| lsn.0).collect();
    assert_eq!(lsns, (1..=WRITERS * WRITES).collect::<Vec<_>>(), "no gap, no repetition");
    wal.checkpoint().unwrap();
    let stats = wal.stats();
    assert_eq!((stats.pending_entries, stats.segments), (0, 1));
    assert!(stats.commits.count < WRITERS * WRITES * 2, "commits were shared: {stats:?}");
    drop(wal);

    let (wal, recovered, _) = open(dir.path());
    assert_eq!(recovered.next_lsn, Lsn(WRITERS * WRITES + 1));
    let body_files = std::fs::read_dir(dir.path().join("wal/bodies")).unwrap().count();
    assert_eq!(body_files, 0);
    for ticket in 0..WRITERS * WRITES {
        let found = wal.transaction(&ticket.to_string()).unwrap().unwrap();
        assert_eq!(found.state, TransactionState::Committed);
        assert_eq!(known[&found.lsn], ticket);
    }
}
