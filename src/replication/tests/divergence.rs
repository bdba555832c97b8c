//! An instance contradicts the verdicts of a lane: it serves the lane no more, and is not waited for.

use std::sync::Arc;

use super::bench::{A, B, Bench, ID, add};
use crate::chroma::ids::InstanceId;
use crate::replication::core::Core;
use crate::replication::event::{Action, DeliveryOutcome, DownReason, Event, What};
use crate::replication::outcome::RETRY_MS;
use crate::replication::recover::Recovery;
use crate::wal::record::brief::{Brief, Ruling, Work};
use crate::wal::record::{Answer, Lane, Lsn, Op};

/// A bench on which B has just refused what A had committed; nothing of that is durable yet.
fn contradicted() -> Bench {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    let follower = bench.take(B);
    bench.reject(&follower, None);
    bench
}

fn finished(bench: &Bench) -> Vec<Lsn> {
    let lsns = bench.others.iter().filter_map(|action| match action {
        Action::Finished { lsns } => Some(lsns.clone()),
        _ => None,
    });
    lsns.flatten().collect()
}

#[test]
fn it_serves_the_lane_no_more() {
    let mut bench = contradicted();
    bench.save();
    assert_eq!(bench.read(), [A]);
    bench.log(add(&[3]));
    bench.finish_all(201);
    assert_eq!(bench.core.view().instances[1].divergent.len(), 1);
    assert_eq!(bench.core.view().pending, 0, "it no longer holds the log");
}

#[test]
fn it_holds_the_log_until_that_is_durable() {
    let mut bench = contradicted();
    bench.others.clear();
    bench.feed(Event::Tick);
    assert_eq!(bench.read(), [A], "nobody reads there meanwhile");
    assert_eq!(finished(&bench), [], "a crash now would send it there again");
    bench.save();
    assert_eq!(finished(&bench), [Lsn(3)]);
}

#[test]
fn a_restart_remembers_it_though_nothing_is_pending() {
    let mut bench = contradicted();
    bench.save();
    let lane = Lane::Collection(ID);
    let recovery = Recovery {
        catalog: bench.core.catalog().clone(),
        positions: [((lane.clone(), A), Lsn(3)), ((lane.clone(), B), Lsn(2))].into(),
        divergent: vec![(lane, B, "it refused what was committed".to_owned())],
        ..Recovery::default()
    };
    let (core, _) = Core::recover(bench.core.settings.clone(), 1_000, recovery);
    (bench.core, bench.now_ms) = (core, 1_000);
    bench.up(A);
    bench.up(B);
    assert_eq!(bench.read(), [A]);
    bench.log(add(&[3]));
    let next = bench.take(A);
    bench.end(
        &next,
        DeliveryOutcome::Success { answer: Answer { status: 201, body: b"{}".to_vec() }, real_id: None },
    );
    assert!(bench.deliveries.is_empty(), "nothing is sent there");
}

#[test]
fn one_that_goes_on_refusing_what_was_committed_without_an_answer_to_it_is_given_up() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    let mut refused = 0;
    while bench.core.view().instances[1].divergent.is_empty() {
        assert!(refused < 20, "it would go on for ever");
        let follower = bench.take(B);
        let answer = Some(Answer { status: 500, body: b"Error in compaction".to_vec() });
        bench.end(&follower, DeliveryOutcome::Doubt { detail: "500".to_owned(), answer });
        bench.up(B);
        bench.tick_at(bench.now_ms + 10_000);
        refused += 1;
    }
    assert!(refused > 5, "one that is busy for a while is not broken");
    bench.save();
    assert_eq!(finished(&bench), [Lsn(1), Lsn(2), Lsn(3)]);
    bench.feed(Event::InstanceDown { instance: A, reason: DownReason::Refused });
    bench.log(add(&[3]));
    assert!(bench.deliveries.is_empty(), "nobody asks it any more");
}

/// What a restart finds where A misses one committed write, and B is divergent.
fn missing_one(bench: &Bench, later: &[(Lsn, Op)]) -> Recovery {
    let lane = Lane::Collection(ID);
    let all = std::iter::once((Lsn(3), add(&[2]))).chain(later.iter().cloned());
    let brief = |(lsn, op)| Brief { lsn, lane: Arc::new(Lane::Collection(ID)), work: Work::of(op, 10) };
    Recovery {
        catalog: bench.core.catalog().clone(),
        entries: vec![all.map(brief).collect()],
        decisions: vec![(Lsn(3), Ruling::Committed)],
        positions: [A, B].map(|instance| ((lane.clone(), instance), Lsn(2))).into(),
        divergent: vec![(lane, B, "it refused what was committed".to_owned())],
        ..Recovery::default()
    }
}

/// A refuses the one that it misses until that is told.
fn refuse_on_and_on(bench: &mut Bench) {
    for _ in 0..20 {
        let refused = bench.take(A);
        assert_eq!(refused.entries, [Lsn(3)]);
        let answer = Some(Answer { status: 500, body: b"Error in compaction".to_vec() });
        bench.end(&refused, DeliveryOutcome::Doubt { detail: "500".to_owned(), answer });
        bench.up(A);
        bench.tick_at(bench.now_ms + 10_000);
        if bench.core.view().refused.iter().any(|refused| refused.lsn == Lsn(3)) {
            return;
        }
    }
    panic!("nobody is told");
}

#[test]
fn the_last_source_that_goes_on_refusing_is_asked_on_and_on_and_a_drop_passes_what_it_refuses() {
    for drops in [false, true] {
        let mut bench = Bench::with_collection();
        let later = [(Lsn(4), add(&[3])), (Lsn(5), Op::DropCollection)];
        let recovery = missing_one(&bench, if drops { &later } else { &later[..1] });
        let (core, _) = Core::recover(bench.core.settings.clone(), 0, recovery);
        bench.core = core;
        bench.up(A);
        refuse_on_and_on(&mut bench);
        bench.save();
        assert!(bench.core.view().instances[0].divergent.is_empty(), "the last source stays");
        let next = bench.take(A);
        assert_eq!(matches!(next.what, What::DropCollection { .. }), drops, "{next:?}");
    }
}

fn broken() -> DeliveryOutcome {
    DeliveryOutcome::BrokenCopy { detail: "its index does not load".to_owned() }
}

fn distrust(bench: &mut Bench, instance: InstanceId, copy: Option<u128>) {
    let reason = "its index does not load".to_owned();
    bench.feed(Event::Distrust { instance, collection: ID, copy, reason });
}

#[test]
fn a_leader_whose_copy_takes_no_writes_is_given_up_and_another_decides() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.end(&leader, broken());
    let other = bench.take(B);
    bench.succeed(&other, 201);
    bench.save();
    assert_eq!(bench.statuses(), [201]);
    assert_eq!(bench.read(), [B]);
    assert!(bench.deliveries.is_empty(), "nothing more is sent to the broken copy");
}

#[test]
fn the_last_source_is_not_given_up_though_its_copy_takes_no_writes() {
    let mut bench = Bench::with_collection();
    distrust(&mut bench, B, None);
    bench.save();
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.end(&leader, broken());
    distrust(&mut bench, A, Some(100));
    assert_eq!(bench.core.view().instances[0].divergent.len(), 0);
    bench.tick_at(RETRY_MS.1);
    let again = bench.take(A);
    assert!(again.doubt, "its server may have logged it");
    bench.succeed(&again, 201);
    bench.save();
    assert_eq!(bench.statuses(), [201]);
}

#[test]
fn what_a_read_told_of_a_copy_that_was_replaced_since_is_no_news() {
    let mut bench = Bench::with_collection();
    distrust(&mut bench, B, Some(77));
    assert_eq!(bench.read(), [A, B], "that copy is gone");
    distrust(&mut bench, B, Some(101));
    assert_eq!(bench.read(), [A]);
    bench.others.clear();
    let divergences = |bench: &Bench| bench.core.view().instances[1].divergent.len();
    let records = bench.records_so_far();
    distrust(&mut bench, B, Some(101));
    assert_eq!((divergences(&bench), bench.records_so_far()), (1, records), "it is known");
}
