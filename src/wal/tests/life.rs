//! Appending, reading bodies, asking for transactions.

use super::support::{answer, decision, entry, head, logged_head, noise, open, open_with, outcome, quiet};
use crate::chroma::ids::InstanceId;
use crate::wal::record::brief::ENTRY_BYTES;
use crate::wal::record::{Decision, Lsn, Record, Verdict};
use crate::wal::shared::now_ms as log_now;
use crate::wal::{AppendError, Committed, LogError, TransactionState, WalOptions};

#[test]
fn a_group_gets_consecutive_numbers_and_bodies_come_back_from_memory_and_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.wal.append(vec![entry(10, "ten"), entry(11, ""), entry(12, "twelve")]).unwrap();
    let heads = vec![
        (Lsn(1), logged_head(10, 3), 10),
        (Lsn(2), logged_head(11, 0), 11),
        (Lsn(3), logged_head(12, 6), 12),
    ];
    assert_eq!(log.next(), Committed::Entries(heads));
    assert_eq!(log.wal.cached_body(Lsn(3)).unwrap(), "twelve");
    drop(log);

    let log = open(dir.path());
    assert_eq!(log.wal.cached_body(Lsn(3)), None, "memory does not survive");
    assert_eq!(log.wal.body(Lsn(1)).unwrap(), "ten");
    assert_eq!(log.wal.body(Lsn(2)).unwrap(), "");
    assert_eq!(log.wal.body(Lsn(3)).unwrap(), "twelve");
    assert_eq!(log.wal.body(Lsn(4)), Err(LogError::Unknown(Lsn(4))));
    assert_eq!(log.log(13, "thirteen"), Lsn(4), "numbers go on");
}

#[test]
fn large_bodies_come_back_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [(256 << 10) - 1, 256 << 10, 20_000_000, 40 << 20];
    let log = open(dir.path());
    for (ticket, len) in (1..).zip(sizes) {
        assert_eq!(log.log(ticket, noise(ticket, len)), Lsn(ticket));
    }
    drop(log);
    let log = open(dir.path());
    for (ticket, len) in (1..).zip(sizes) {
        assert!(log.wal.body(Lsn(ticket)).unwrap() == noise(ticket, len), "{len} bytes differ");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("wal/bodies")).unwrap().count(), 3);
}

#[test]
fn a_group_with_one_large_body_is_one_group() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.wal.append(vec![entry(1, "small"), entry(2, noise(2, 300_000)), entry(3, "small")]).unwrap();
    let Committed::Entries(entries) = log.next() else { panic!() };
    assert_eq!(entries.iter().map(|(lsn, ..)| lsn.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(log.wal.body(Lsn(2)).unwrap() == noise(2, 300_000));
}

#[test]
fn a_transaction_is_found_before_and_after_the_checkpoint_and_across_both() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let lsn = log.log(1, "x");
    let check = |log: &super::support::Log, state, status: Option<u16>| {
        let found = log.wal.transaction("tx-1").unwrap().expect("known");
        assert_eq!((found.lsn, found.state), (lsn, state));
        assert_eq!(found.answer, status.map(answer));
        assert_eq!(found.decided_ms.is_some(), state == TransactionState::Rejected);
        let sent = head(1).transaction.unwrap();
        assert_eq!((found.fingerprint, found.path), (sent.fingerprint, sent.path));
        assert_eq!((found.accepted_ms, found.lane), (sent.accepted_ms, head(1).lane));
    };
    check(&log, TransactionState::Logged, None);
    log.wal.checkpoint().unwrap();
    check(&log, TransactionState::Logged, None);
    log.note(vec![Record::Suspect { lsn, instance: InstanceId(0), answer: answer(500) }]);
    check(&log, TransactionState::Logged, None);
    log.wal.checkpoint().unwrap();
    check(&log, TransactionState::Logged, None);
    let verdict = Verdict::Rejected { answer: answer(400), fixes_dimension: None };
    log.note(vec![outcome(0, lsn, vec![Decision { lsn, verdict }])]);
    check(&log, TransactionState::Rejected, Some(400));
    log.wal.checkpoint().unwrap();
    check(&log, TransactionState::Rejected, Some(400));
    drop(log);
    check(&open(dir.path()), TransactionState::Rejected, Some(400));
    assert_eq!(open(dir.path()).wal.transaction("tx-2").unwrap(), None);
}

#[test]
fn the_first_verdict_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let lsn = log.log(1, "x");
    log.note(vec![outcome(0, lsn, vec![decision(lsn)])]);
    let verdict = Verdict::Rejected { answer: answer(400), fixes_dimension: None };
    log.note(vec![outcome(1, lsn, vec![Decision { lsn, verdict }])]);
    let state = |log: &super::support::Log| log.wal.transaction("tx-1").unwrap().unwrap().state;
    assert_eq!(state(&log), TransactionState::Committed);
    drop(log);
    let log = open(dir.path());
    assert_eq!(state(&log), TransactionState::Committed);
    assert_eq!(log.recovered.decisions, [(lsn, decision(lsn).verdict.ruling())]);
}

#[test]
fn finished_transactions_are_kept_up_to_a_number_and_unfinished_ones_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for ticket in 1..=10 {
        let lsn = log.log(ticket, "x");
        if ticket != 3 {
            log.settle(lsn);
        }
    }
    drop(log);
    let options = WalOptions { keep_transactions: 4, ..quiet() };
    let log = open_with(dir.path(), options, |engine| Box::new(engine));
    log.wal.checkpoint().unwrap();
    let known: Vec<u64> =
        (1..=10).filter(|n| log.wal.transaction(&format!("tx-{n}")).unwrap().is_some()).collect();
    assert_eq!(known, [3, 7, 8, 9, 10]);
    drop(log);
    let options = WalOptions { keep_s: 0, ..quiet() };
    let decided_ms = log_now();
    while log_now() <= decided_ms {
        std::thread::yield_now();
    }
    let log = open_with(dir.path(), options, |engine| Box::new(engine));
    log.wal.checkpoint().unwrap();
    let known: Vec<u64> =
        (1..=10).filter(|n| log.wal.transaction(&format!("tx-{n}")).unwrap().is_some()).collect();
    assert_eq!(known, [3]);
}

#[test]
fn at_a_limit_the_appender_is_told_which() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { max_bytes: 10, ..quiet() };
    let log = open_with(dir.path(), options, |engine| Box::new(engine));
    let lsn = log.log(1, noise(1, 10));
    let full = log.wal.append(vec![entry(2, "x")]);
    assert_eq!(full, Err(AppendError::LogFull { max_bytes: 10 }));
    log.settle(lsn);
    log.log(2, "x");
    log.wal.close();
    assert_eq!(log.wal.append(vec![entry(3, "x")]), Err(AppendError::Closed));
}

#[test]
fn what_waits_in_memory_has_a_limit_that_a_restart_knows_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { max_memory_bytes: 3 * ENTRY_BYTES, ..quiet() };
    let mut log = open_with(dir.path(), options.clone(), |engine| Box::new(engine));
    let lsns: Vec<Lsn> = (1..=3).map(|ticket| log.log(ticket, "x")).collect();
    let full = Err(AppendError::MemoryFull { max_bytes: 3 * ENTRY_BYTES });
    for _ in 0..2 {
        assert_eq!(log.wal.stats().pending_memory_bytes, 3 * ENTRY_BYTES);
        assert_eq!(log.wal.append(vec![entry(4, "x")]), full);
        drop(log);
        log = open_with(dir.path(), options.clone(), |engine| Box::new(engine));
    }
    log.settle(lsns[1]);
    log.log(4, "x");
    assert_eq!(log.wal.append(vec![entry(5, "x")]), full);
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_writes_but_outcomes() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).log(1, "x");
    let options = WalOptions { min_free_bytes: u64::MAX, ..quiet() };
    let log = open_with(dir.path(), options, |engine| Box::new(engine));
    assert!(matches!(log.wal.append(vec![entry(2, "x")]), Err(AppendError::DiskLow { .. })));
    log.note(vec![outcome(0, Lsn(1), vec![decision(Lsn(1))])]);
    assert!(log.wal.stats().free_bytes.is_some());
}

#[test]
fn the_figures_say_what_is_pending_and_since_when() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let first = log.log(1, noise(1, 1_000));
    log.log(2, noise(2, 300_000));
    let stats = log.wal.stats();
    assert_eq!((stats.pending_entries, stats.pending_bytes), (2, 301_000));
    assert_eq!(stats.oldest_accepted_ms, Some(1_001));
    assert_eq!((stats.durable_lsn, stats.durable_seq, stats.covered_seq), (Lsn(2), 2, 0));
    assert_eq!((stats.appended_entries, stats.durable_entries), (2, 2));
    assert_eq!((stats.queued_entries, stats.queued_bytes, stats.available), (0, 0, true));
    assert_eq!((stats.commits.count, stats.segments), (2, 1));
    assert!(stats.disk_bytes > 301_000);
    log.settle(first);
    log.wal.checkpoint().unwrap();
    let stats = log.wal.stats();
    assert_eq!((stats.pending_entries, stats.oldest_accepted_ms), (1, Some(1_002)));
    assert_eq!(stats.covered_seq, stats.durable_seq);
}
