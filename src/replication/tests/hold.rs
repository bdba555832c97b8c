//! A lane stands still on some instances, so that what they have can be compared.

use super::bench::{A, B, Bench, ID, add};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::replication::event::{Action, Event};
use crate::replication::hold::{HoldId, NotHeld};
use crate::wal::record::{Lane, Lsn, Op};

const HOLD: HoldId = HoldId(1);

fn hold(bench: &mut Bench, instances: &[InstanceId]) {
    let (lane, instances) = (Lane::Collection(ID), instances.to_vec());
    bench.feed(Event::Hold { hold: HOLD, lane, instances, for_ms: 1_000 });
}

fn told(bench: &Bench) -> Vec<Result<Lsn, NotHeld>> {
    let told = bench.others.iter().filter_map(|action| match action {
        Action::Held { position, .. } => Some(Ok(*position)),
        Action::HoldEnded { why, .. } => Some(Err(*why)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_lane_at_rest_is_held_at_once_and_takes_nothing_until_it_is_released() {
    let mut bench = Bench::with_collection();
    hold(&mut bench, &[A, B]);
    assert_eq!(told(&bench), [Ok(Lsn(2))]);
    let write = bench.log(add(&[2]));
    assert!(bench.deliveries.is_empty());
    bench.feed(Event::Release { hold: HOLD });
    assert_eq!(bench.take(A).entries, [write]);
    assert_eq!(told(&bench).len(), 1, "a hold that was released in time is not told of again");
}

#[test]
fn all_that_was_sent_to_one_is_applied_on_each_before_it_is_had() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let leader = bench.take(A);
    let run: Vec<Lsn> = (3..6).map(|id| bench.log(add(&[id]))).collect();
    hold(&mut bench, &[A, B]);
    bench.succeed(&leader, 201);
    bench.save();
    assert!(told(&bench).is_empty(), "the other one lacks it");
    let follower = bench.take(B);
    assert_eq!(follower.entries, leader.entries);
    bench.succeed(&follower, 201);
    assert!(told(&bench).is_empty(), "it is not on disk yet");
    bench.save();
    assert_eq!(told(&bench), [Ok(leader.entries[0])]);
    assert!(bench.deliveries.is_empty(), "{run:?} wait");
}

#[test]
fn a_run_ends_where_the_hold_begins() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let first = bench.take(A);
    bench.down(B);
    bench.succeed(&first, 201);
    bench.save();
    bench.log(add(&[3]));
    let second = bench.take(A);
    bench.up(B);
    let late = bench.take(B);
    hold(&mut bench, &[B]);
    bench.succeed(&second, 201);
    bench.save();
    bench.succeed(&late, 201);
    bench.save();
    assert_eq!(told(&bench), [Ok(first.entries[0])], "the leader goes on, the held one does not");
    assert!(bench.deliveries.is_empty());
    bench.log(add(&[4]));
    assert_eq!(bench.take(A).instance, A);
}

#[test]
fn what_was_perhaps_sent_is_part_of_the_position() {
    let mut bench = Bench::with_collection();
    let lost = bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.lose(&leader);
    bench.up(A);
    let again = bench.take(A);
    hold(&mut bench, &[A]);
    bench.succeed(&again, 201);
    bench.save();
    assert_eq!(told(&bench), [Ok(lost)]);
}

#[test]
fn it_ends_when_its_time_is_over_and_the_lane_goes_on() {
    let mut bench = Bench::with_collection();
    hold(&mut bench, &[A]);
    let write = bench.log(add(&[2]));
    bench.tick_at(999);
    assert_eq!(told(&bench).len(), 1);
    bench.tick_at(1_000);
    assert_eq!(told(&bench).last(), Some(&Err(NotHeld::Expired)));
    assert_eq!(bench.take(A).entries, [write]);
}

#[test]
fn it_ends_with_an_instance_that_may_have_changed() {
    let mut bench = Bench::with_collection();
    hold(&mut bench, &[A, B]);
    bench.down(B);
    assert_eq!(told(&bench).last(), Some(&Err(NotHeld::Lost { instance: B })));
}

#[test]
fn an_instance_is_held_once_and_only_in_a_collection_that_exists() {
    let mut bench = Bench::with_collection();
    hold(&mut bench, &[A]);
    let (lane, instances) = (Lane::Collection(ID), vec![A, B]);
    bench.feed(Event::Hold { hold: HoldId(2), lane, instances, for_ms: 10 });
    assert_eq!(told(&bench).last(), Some(&Err(NotHeld::Busy)));
    let (lane, instances) = (Lane::Collection(CollectionId(99)), vec![A]);
    bench.feed(Event::Hold { hold: HoldId(3), lane, instances, for_ms: 10 });
    assert_eq!(told(&bench).last(), Some(&Err(NotHeld::Gone)));
}

#[test]
fn a_drop_waits_for_the_end_of_the_hold() {
    let mut bench = Bench::with_collection();
    hold(&mut bench, &[B]);
    let dropped = bench.log(Op::DropCollection);
    let leader = bench.take(A);
    assert_eq!(leader.entries, [dropped]);
    bench.succeed(&leader, 200);
    bench.save();
    assert_eq!(told(&bench).last(), Some(&Err(NotHeld::Gone)), "what is read from now on proves nothing");
    assert_eq!(bench.take(B).entries, [dropped]);
}
