//! An instance that is down for long is marked before what it misses fills the log; one that only lags slows others.

use super::bench::{A, B, Bench, add};
use crate::replication::event::{Action, Event};
use crate::wal::record::Lsn;

fn with_rebuild() -> Bench {
    let mut bench = Bench::with_collection();
    bench.core.settings.rebuild = true;
    bench
}

/// Writes that one instance has and the other, which is down, misses.
fn missed(bench: &mut Bench, count: u64) {
    bench.down(B);
    for id in 0..count {
        bench.log(add(&[100 + id]));
        bench.finish_all(201);
    }
}

fn marked(bench: &Bench) -> usize {
    bench
        .others
        .iter()
        .filter(|action| matches!(action, Action::Marked { instance: B, collections: 1 }))
        .count()
}

#[test]
fn one_that_is_down_while_the_log_fills_is_marked_once_and_holds_it_no_more() {
    let mut bench = with_rebuild();
    missed(&mut bench, 20);
    assert_eq!(bench.core.view().pending, 20, "kept for it");
    bench.feed(Event::LogFilling);
    bench.feed(Event::LogFilling);
    assert_eq!(marked(&bench), 1);
    assert_eq!(bench.core.view().pending, 20, "a crash now would send it there again");
    bench.save();
    let view = bench.core.view();
    assert_eq!((view.pending, view.instances[1].marked, view.instances[1].rebuilds.len()), (0, 1, 1));
    bench.feed(Event::LogFilling);
    assert_eq!(marked(&bench), 1, "it holds nothing any more");
    bench.log(add(&[500]));
    bench.finish_all(201);
    bench.feed(Event::LogFilling);
    assert_eq!((marked(&bench), bench.core.view().pending), (1, 0), "nor what comes later");
}

#[test]
fn who_is_up_or_misses_little_or_is_the_last_source_is_not_marked() {
    let mut bench = with_rebuild();
    bench.log(add(&[2]));
    bench.feed(Event::LogFilling);
    assert_eq!(marked(&bench), 0, "both are up");
    bench.finish_all(201);

    missed(&mut bench, 3);
    bench.down(A);
    bench.feed(Event::LogFilling);
    assert_eq!(marked(&bench), 0, "nobody who is up has it");

    let mut bench = with_rebuild();
    bench.down(A);
    for id in 0..5 {
        bench.log(add(&[100 + id]));
        bench.finish_all(201);
    }
    bench.up(A);
    bench.down(B);
    bench.log(add(&[200]));
    bench.feed(Event::LogFilling);
    assert_eq!(marked(&bench), 0, "what fills the log is kept for the other one");
}

#[test]
fn where_nothing_is_rebuilt_nobody_is_marked() {
    let mut bench = Bench::with_collection();
    missed(&mut bench, 5);
    bench.feed(Event::LogFilling);
    assert_eq!((marked(&bench), bench.core.view().pending), (0, 5));
}

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

#[test]
fn a_collection_that_was_made_while_it_was_down_is_not_marked() {
    let mut bench = Bench::new();
    bench.core.settings.rebuild = true;
    bench.down(B);
    bench.make_collection();
    missed(&mut bench, 5);
    bench.feed(Event::LogFilling);
    assert_eq!(marked(&bench), 0, "nobody knows whether it is there already");
}

#[test]
fn a_copy_that_is_divergent_is_no_source_for_another() {
    let mut bench = with_rebuild();
    bench.down(A);
    bench.log(add(&[2]));
    bench.finish_all(201);
    bench.up(A);
    let late = bench.take(A);
    bench.reject(&late, None);
    bench.save();
    missed(&mut bench, 3);
    bench.feed(Event::LogFilling);
    assert_eq!(marked(&bench), 0, "it is the last one that has everything");
}

#[test]
fn without_a_limit_nobody_waits_for_one_that_lags() {
    let mut bench = lagging();
    bench.core.settings.max_lag_ms = 0;
    tick_until(&mut bench, 60_000);
    commit(&mut bench, 3);
    assert_eq!((bench.statuses(), bench.core.view().slowed_by), (vec![201], None));
}

#[test]
fn the_delay_stays_while_the_lag_shrinks() {
    let mut bench = lagging();
    tick_until(&mut bench, 3_000);
    commit(&mut bench, 3);
    tick_until(&mut bench, 10_000);
    let slowed = bench.core.view().slowed_by;
    assert!(slowed.is_some());
    let behind = bench.take(B);
    bench.succeed(&behind, 201);
    bench.save();
    bench.tick_at(11_000);
    assert_eq!(bench.core.view().slowed_by, slowed, "8 s after 10 s");
}

#[test]
fn neither_a_divergent_copy_nor_a_write_without_verdict_slows_anybody() {
    let mut bench = lagging();
    let behind = bench.take(B);
    bench.reject(&behind, None);
    bench.save();
    commit(&mut bench, 3);
    tick_until(&mut bench, 20_000);
    assert_eq!(bench.core.view().slowed_by, None, "its copy is given up");

    let mut bench = Bench::with_collection();
    bench.core.settings.max_lag_ms = 5_000;
    bench.log(add(&[2]));
    tick_until(&mut bench, 8_000);
    assert_eq!(bench.core.view().slowed_by, None, "nobody misses what is not committed");
}
