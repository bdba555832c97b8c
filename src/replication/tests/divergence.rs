//! An instance contradicts the verdicts of a lane: it serves the lane no more, and is not waited for.

use super::bench::{A, B, Bench, ID, add};
use crate::replication::core::Core;
use crate::replication::event::{Action, DeliveryOutcome, Event};
use crate::replication::recover::Recovery;
use crate::wal::record::{Answer, Lane, Lsn};

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
