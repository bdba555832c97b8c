//! The leader's pause for the senders that it has just answered.

use super::bench::{A, B, Bench, add};
use crate::replication::event::{Delivery, Event};
use crate::wal::record::Lsn;

/// Takes long enough to be worth a pause.
const TOOK_MS: u64 = 30;

impl Bench {
    /// Logs so many adds of ids from this on.
    fn add_many(&mut self, from: u64, count: u64) -> Vec<Lsn> {
        (from..from + count).map(|id| self.log(add(&[id]))).collect()
    }

    /// The leader answers what is under way there after a while, durably.
    fn answer(&mut self, delivery: &Delivery) {
        self.now_ms += TOOK_MS;
        self.succeed(delivery, 201);
        self.save();
    }

    /// A run of this many, on its way to the leader.
    fn with_run(entries: u64) -> (Self, Delivery) {
        let mut bench = Self::with_collection();
        bench.log(add(&[10]));
        let lone = bench.take(A);
        bench.add_many(20, entries);
        bench.answer(&lone);
        let run = bench.take(A);
        assert_eq!(run.entries.len() as u64, entries);
        (bench, run)
    }

    fn sends_to_leader(&self) -> bool {
        self.deliveries.iter().any(|delivery| delivery.instance == A)
    }
}

#[test]
fn clients_that_were_answered_and_clients_that_waited_share_the_next_run() {
    let (mut bench, run) = Bench::with_run(10);
    let waited = bench.add_many(100, 6);
    bench.answer(&run);
    assert!(!bench.sends_to_leader(), "ten were answered and may come back");
    let back = bench.add_many(200, 8);
    assert_eq!(bench.take(A).entries, [waited, back].concat(), "nearly all of sixteen are there");
}

#[test]
fn who_does_not_come_back_is_not_waited_for_any_longer_than_a_request_costs() {
    let (mut bench, run) = Bench::with_run(10);
    let waited = bench.add_many(100, 6);
    bench.answer(&run);
    let wake_ms = bench.core.next_wake_ms().expect("the pause has an end");
    assert!(wake_ms > bench.now_ms && wake_ms <= bench.now_ms + 25);
    bench.now_ms = wake_ms;
    bench.feed(Event::Wake);
    let next = bench.take(A);
    assert_eq!(next.entries, waited);
    assert_eq!(bench.core.next_wake_ms(), None);
    bench.add_many(300, 6);
    bench.answer(&next);
    assert!(bench.sends_to_leader(), "the pause was in vain, so the next runs go without");
}

#[test]
fn a_few_clients_wait_for_nobody() {
    let (mut bench, run) = Bench::with_run(3);
    let next = bench.log(add(&[100]));
    bench.answer(&run);
    assert_eq!(bench.take(A).entries, [next]);
}

#[test]
fn a_full_run_waits_for_nobody() {
    let (mut bench, run) = Bench::with_run(10);
    let ids: Vec<u64> = (1_000..1_500).collect();
    let large = bench.log(add(&ids));
    bench.answer(&run);
    assert_eq!(bench.take(A).entries, [large], "no room for the ten who were answered");
}

#[test]
fn a_leader_that_took_over_does_not_pause_for_what_another_answered() {
    let (mut bench, run) = Bench::with_run(10);
    let waited = bench.add_many(100, 6);
    let behind = bench.take(B);
    bench.answer(&run);
    bench.succeed(&behind, 201);
    bench.save();
    let copy = bench.take(B);
    assert_eq!(copy.entries, run.entries, "who follows does not pause");
    assert!(!bench.sends_to_leader());
    bench.down(A);
    bench.succeed(&copy, 201);
    bench.save();
    assert_eq!(bench.take(B).entries, waited, "it decides now");
}

#[test]
fn a_lone_writer_is_seen_everywhere_at_once() {
    let mut bench = Bench::with_collection();
    for id in 100..110 {
        bench.log(add(&[id]));
        let decides = bench.take(A);
        bench.answer(&decides);
        let copy = bench.take(B);
        assert_eq!(copy.entries, decides.entries);
        bench.succeed(&copy, 201);
        bench.save();
    }
}
