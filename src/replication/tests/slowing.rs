//! An instance that is up and falls behind further and further slows what is acknowledged.

use super::bench::{A, B, Bench, add};
use crate::replication::event::{Action, Event};
use crate::wal::record::Lsn;

/// A bench on which B is up and misses a write since the time 0.
fn lagging() -> Bench {
    let mut bench = Bench::with_collection();
    bench.core.settings.max_lag_ms = 5_000;
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    bench.replies.clear();
    bench
}

/// A write is committed by A; B is still busy with an earlier one.
fn commit(bench: &mut Bench, id: u64) -> Lsn {
    let lsn = bench.log(add(&[id]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    lsn
}

fn tick_until(bench: &mut Bench, last_ms: u64) {
    while bench.now_ms < last_ms {
        bench.tick_at(bench.now_ms + 500);
    }
}

#[test]
fn acknowledgements_wait_for_one_that_falls_behind_further_and_further_and_longer_with_it() {
    let mut bench = lagging();
    tick_until(&mut bench, 4_000);
    commit(&mut bench, 3);
    assert_eq!(bench.statuses(), [201], "it lags by less than it may");
    tick_until(&mut bench, 7_000);
    commit(&mut bench, 4);
    assert_eq!(bench.statuses(), [201], "now it waits");
    assert_eq!(bench.core.view().slowed_by.map(|(by, _)| by), Some(B));
    let (_, first_ms) = bench.core.view().slowed_by.expect("just seen");
    bench.tick_at(bench.now_ms + first_ms);
    assert_eq!(bench.statuses(), [201, 201], "not for ever");
    tick_until(&mut bench, 40_000);
    let (_, then_ms) = bench.core.view().slowed_by.expect("it still lags");
    assert_eq!(then_ms, 5_000);
    commit(&mut bench, 5);
    bench.finish_all(201);
    assert_eq!(bench.statuses().len(), 3, "all have it");
    tick_until(&mut bench, 60_000);
    assert_eq!(bench.core.view().slowed_by, None);
    let told = bench.others.iter().filter(|action| matches!(action, Action::Slowed { .. })).count();
    assert_eq!(told, 2, "once when it began and once when it ended");
}

#[test]
fn one_that_catches_up_slows_nobody() {
    let mut bench = lagging();
    bench.down(B);
    for second in 1..=100 {
        bench.tick_at(second * 1_000);
        commit(&mut bench, 1_000 + second);
    }
    bench.core.settings.run_records = 30;
    bench.up(B);
    // The one that was under way, and three runs.
    for second in 101..=104 {
        let behind = bench.take(B);
        bench.succeed(&behind, 201);
        bench.save();
        bench.tick_at(second * 1_000);
        assert_eq!(bench.core.view().slowed_by, None, "at {second} s");
    }
}

#[test]
fn an_operator_releases_one_that_lags_until_it_has_caught_up() {
    let mut bench = lagging();
    tick_until(&mut bench, 10_000);
    assert!(bench.core.view().slowed_by.is_some());
    bench.feed(Event::LetLag { instance: B });
    assert_eq!(bench.core.view().slowed_by, None);
    tick_until(&mut bench, 20_000);
    commit(&mut bench, 3);
    assert_eq!(bench.statuses(), [201], "at once");
    bench.finish_all(201);
    tick_until(&mut bench, 22_000);
    commit(&mut bench, 4);
    tick_until(&mut bench, 40_000);
    assert!(bench.core.view().slowed_by.is_some(), "it is waited for again");
}
