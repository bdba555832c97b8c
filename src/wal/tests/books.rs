//! The books in memory, by themselves.

use std::cell::Cell;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::support::{decision, entry, head, outcome};
use crate::wal::fresh::{Fresh, look_up};
use crate::wal::ledger::{Ledger, Unfinished, held};
use crate::wal::queue::Item;
use crate::wal::record::{Lsn, Record};
use crate::wal::{NewEntry, StoredTransaction, TransactionState, lock_unpoisoned};

/// The record of an entry as the writer stamps it.
fn stamped(lsn: u64, new: NewEntry) -> Record {
    let Item::Group(mut group) = Item::group(vec![new]) else { panic!() };
    let Record::Entry(mut entry) = group.remove(0).record else { panic!() };
    entry.lsn = Lsn(lsn);
    Record::Entry(entry)
}

#[test]
fn a_segment_may_go_when_it_is_sealed_and_finished_and_covered_and_not_before() {
    let now = Instant::now();
    let mut ledger = Ledger::new(0, 0, Lsn(0));
    ledger.open_segment(1, now);
    ledger.durable(1, 1, held(&stamped(1, entry(1, "abc"))));
    ledger.durable(1, 2, None);
    let memory_bytes = head(1).op.memory_bytes();
    let one = Unfinished { entries: 1, bytes: 3, memory_bytes, oldest: Some(Lsn(1)) };
    assert_eq!((ledger.unfinished(), ledger.droppable()), (one, vec![]));
    ledger.open_segment(2, now);
    ledger.finish(&[Lsn(1), Lsn(1), Lsn(9)]);
    assert_eq!((ledger.unfinished(), ledger.droppable()), (Unfinished::default(), vec![]), "not covered");
    ledger.cover(1);
    assert!(ledger.droppable().is_empty(), "its last record is not covered");
    ledger.cover(2);
    assert_eq!(ledger.droppable(), [1], "and never the one being written");
    assert_eq!(ledger.oldest_stored(), Lsn(1), "finished, but still there");
    assert_eq!(ledger.take_finished().lsns, [Lsn(1)]);
    ledger.drop_segments(&[1]);
    assert_eq!(ledger.oldest_stored(), Lsn(2));
}

#[test]
fn a_segment_is_folded_once_when_it_has_waited() {
    let now = Instant::now();
    let wait = Duration::from_secs(10);
    let mut ledger = Ledger::new(0, 0, Lsn(0));
    ledger.open_segment(1, now);
    assert_eq!(ledger.foldable(now + wait, wait), None, "it is being written");
    ledger.open_segment(2, now);
    assert_eq!(ledger.foldable(now + wait / 2, wait), None);
    assert_eq!(ledger.foldable(now + wait, wait), Some(1));
    ledger.folded(1);
    assert_eq!(ledger.foldable(now + wait, wait), None);
}

#[test]
#[should_panic(expected = "the checkpoint is ahead of the log")]
fn the_checkpoint_never_passes_the_log() {
    Ledger::new(5, 5, Lsn(0)).cover(6);
}

#[test]
fn a_verdict_is_known_until_the_checkpoint_holds_it() {
    let mut fresh = Fresh::default();
    fresh.note(1, 0, &stamped(1, entry(1, "")));
    fresh.note(2, 77, &outcome(0, Lsn(1), vec![decision(Lsn(1))]));
    let mut checkpointed = fresh.get("tx-1").unwrap();
    assert_eq!((checkpointed.state, checkpointed.decided_ms), (TransactionState::Committed, Some(77)));
    fresh.forget(1);
    assert_eq!(fresh.get("tx-1"), None, "the checkpoint has it now, as it was logged");
    checkpointed.state = TransactionState::Logged;
    checkpointed.decided_ms = None;
    fresh.complete(&mut checkpointed);
    assert_eq!(checkpointed.state, TransactionState::Committed);
}

#[test]
fn a_lookup_across_a_checkpoint_sees_what_moved_behind_its_back() {
    let fresh = Mutex::new(Fresh::default());
    let looked = Cell::new(0);
    let lookup = look_up(&fresh, "tx-1", |id| {
        looked.set(looked.get() + 1);
        let mut fresh = lock_unpoisoned(&fresh);
        if looked.get() > 1 {
            return Ok(fresh_transaction(id));
        }
        // It is logged after we looked into memory, and moves after we looked into the checkpoint.
        fresh.note(1, 0, &stamped(1, entry(1, "")));
        fresh.forget(1);
        Ok(None)
    });
    assert_eq!((lookup, looked.get()), (Ok(fresh_transaction("tx-1")), 2));
}

fn fresh_transaction(id: &str) -> Option<StoredTransaction> {
    assert_eq!(id, "tx-1");
    let Record::Entry(entry) = stamped(1, entry(1, "")) else { panic!() };
    StoredTransaction::logged(entry.lsn, &entry.head)
}
