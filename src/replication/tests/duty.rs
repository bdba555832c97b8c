//! What an operator wants of an instance: to be drained, to be left alone, to decide first.

use super::bench::{A, B, Bench, add};
use crate::chroma::ids::InstanceId;
use crate::replication::core::Core;
use crate::replication::event::{Action, Event};
use crate::replication::recover::Recovery;
use crate::wal::record::duty::{Duties, Duty, DutyChange};

fn want(bench: &mut Bench, instance: InstanceId, duty: Duty) {
    bench.feed(Event::Duty { change: DutyChange::Duty(instance, duty) });
    bench.save();
}

/// A write that is answered and applied everywhere; gives who decided it.
fn write(bench: &mut Bench, id: u64) -> InstanceId {
    bench.log(add(&[id]));
    let leader = bench.deliveries.front().expect("it is sent").instance;
    bench.finish_all(201);
    leader
}

fn rests(bench: &Bench, instance: InstanceId, wanted: bool) -> bool {
    bench.others.iter().any(
        |action| matches!(action, Action::Rest { instance: at, rests } if *at == instance && *rests == wanted),
    )
}

#[test]
fn one_that_is_drained_follows_and_neither_decides_nor_answers() {
    let mut bench = Bench::with_collection();
    want(&mut bench, A, Duty::Drain);
    assert_eq!((write(&mut bench, 2), bench.read()), (B, vec![B]));
    assert_eq!(bench.core.view().instances[A.index()].pending, 0, "it follows");
    want(&mut bench, A, Duty::Serve);
    bench.tick_at(20_000);
    assert_eq!((write(&mut bench, 3), bench.read()), (A, vec![A, B]));
}

#[test]
fn what_is_under_way_at_one_that_is_drained_ends_there() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let begun = bench.take(A);
    let next = bench.log(add(&[3]));
    want(&mut bench, A, Duty::Drain);
    assert!(bench.deliveries.is_empty(), "it is not sent twice");
    bench.succeed(&begun, 201);
    bench.save();
    let copy = bench.take(B);
    bench.succeed(&copy, 201);
    bench.save();
    assert_eq!(bench.take(B).entries, [next], "the next one is decided elsewhere");
}

#[test]
fn one_that_is_drained_answers_and_decides_where_nobody_else_can() {
    let mut bench = Bench::with_collection();
    want(&mut bench, A, Duty::Drain);
    bench.down(B);
    assert_eq!(bench.read(), [A]);
    bench.log(add(&[2]));
    let decided = bench.take(A);
    bench.succeed(&decided, 201);
    bench.save();
    assert_eq!(bench.statuses(), [201]);
}

#[test]
fn one_in_maintenance_gets_nothing_whatever_it_is_and_all_of_it_afterwards() {
    let mut bench = Bench::with_collection();
    want(&mut bench, A, Duty::Maintenance);
    assert!(rests(&bench, A, true));
    bench.up(A);
    bench.log(add(&[2]));
    let decided = bench.take(B);
    bench.succeed(&decided, 201);
    bench.save();
    assert!(bench.deliveries.is_empty());
    assert_eq!(bench.core.view().instances[A.index()].state, "maintenance");
    want(&mut bench, A, Duty::Serve);
    assert!(rests(&bench, A, false) && bench.deliveries.is_empty(), "first it is proven to be well");
    bench.up(A);
    assert_eq!(bench.take(A).entries, decided.entries);
}

#[test]
fn the_one_that_is_promoted_decides_first() {
    let mut bench = Bench::with_collection();
    bench.feed(Event::Duty { change: DutyChange::Preferred(Some(B)) });
    bench.save();
    bench.tick_at(20_000);
    assert_eq!(write(&mut bench, 2), B);
    bench.down(B);
    bench.log(add(&[3]));
    assert_eq!(bench.take(A).instance, A, "where it can");
}

#[test]
fn what_two_operators_want_at_once_holds_both() {
    let mut bench = Bench::with_collection();
    bench.feed(Event::Duty { change: DutyChange::Duty(A, Duty::Drain) });
    bench.feed(Event::Duty { change: DutyChange::Duty(B, Duty::Maintenance) });
    assert!(!bench.core.duties_hold());
    bench.save();
    assert!(bench.core.duties_hold());
    let wanted = [A, B].map(|instance| bench.core.duties().of(instance));
    assert_eq!(wanted, [Duty::Drain, Duty::Maintenance]);
}

#[test]
fn a_restart_remembers_what_was_wanted() {
    let mut bench = Bench::with_collection();
    let duties = Duties::default().with(A, Duty::Maintenance);
    let recovery = Recovery { catalog: bench.core.catalog().clone(), duties, ..Recovery::default() };
    (bench.core, bench.others) = Core::recover(bench.core.settings.clone(), 0, recovery);
    assert!(rests(&bench, A, true));
    bench.up(A);
    bench.up(B);
    assert_eq!(bench.read(), [B]);
}
