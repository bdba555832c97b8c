//! Instances that follow: how much they take at a time, and whose records they wait for.

use super::bench::{A, B, Bench, add, records};
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::CollectionId;
use crate::replication::event::{Action, Delivery};
use crate::wal::record::{Lane, Op, RecordKind};

fn lane(number: u128) -> Lane {
    Lane::Collection(CollectionId(1_000 + number))
}

/// Collections that exist on both instances, with a dimension of 2.
fn with_collections(count: u128) -> Bench {
    let mut bench = Bench::new();
    for number in 0..count {
        let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
        let name = format!("name-{number}");
        bench.log_in(lane(number), Op::CreateCollection { tenant, database, name, get_or_create: false });
        bench.finish_all(201);
        bench.log_in(lane(number), add(&[1]));
        bench.finish_all(201);
    }
    bench
}

/// The deliveries under way at the instance that follows.
fn followed(bench: &Bench) -> Vec<&Delivery> {
    bench.deliveries.iter().filter(|delivery| delivery.instance == B).collect()
}

/// The leader's delivery in a lane succeeds, durably, and the next write of it comes at once.
fn decide_and_go_on(bench: &mut Bench, number: u128, id: u64) {
    let key = lane(number);
    let mine = |delivery: &Delivery| delivery.instance == A && delivery.lane == key;
    let place = bench.deliveries.iter().position(mine).expect("it is being decided");
    let delivery = bench.deliveries.remove(place).expect("just found");
    bench.succeed(&delivery, 201);
    bench.log_in(key, add(&[id]));
    bench.save();
}

#[test]
fn while_many_lanes_are_decided_what_a_follower_misses_in_one_goes_as_one_run_in_turn() {
    let mut bench = with_collections(6);
    (0..6).for_each(|number| _ = bench.log_in(lane(number), add(&[10])));
    (0..6).for_each(|number| decide_and_go_on(&mut bench, number, 11));
    (0..6).for_each(|number| decide_and_go_on(&mut bench, number, 12));
    assert_eq!(followed(&bench).len(), 1, "one at a time");
    let mut order = Vec::new();
    for _ in 0..6 {
        let delivery = bench.take(B);
        order.push((delivery.lane.clone(), delivery.entries.len()));
        bench.succeed(&delivery, 201);
        bench.save();
    }
    let expected = [(lane(0), 1), (lane(1), 2), (lane(2), 2), (lane(3), 2), (lane(4), 2), (lane(5), 2)];
    assert_eq!(order, expected, "what came meanwhile shares the request; the first lane waits again");
    let last = bench.take(B);
    assert_eq!((last.lane.clone(), last.entries.len()), (lane(0), 1));
    bench.succeed(&last, 201);
    bench.save();
    bench.finish_all(201);
    assert_eq!(bench.core.view().pending, 0, "nothing is left behind");
}

#[test]
fn few_lanes_are_followed_at_once() {
    let mut bench = with_collections(3);
    (0..3).for_each(|number| _ = bench.log_in(lane(number), add(&[10])));
    (0..3).for_each(|number| decide_and_go_on(&mut bench, number, 11));
    assert_eq!(followed(&bench).len(), 3);
}

#[test]
fn a_followers_record_is_hurried_only_where_the_next_write_waits_for_it() {
    for (next, waits) in [(2, true), (3, false)] {
        let mut bench = Bench::with_collection();
        for id in [2, next] {
            bench.log(records(RecordKind::Upsert, &[id], 2));
            let decided = bench.take(A);
            bench.succeed(&decided, 200);
            bench.save();
        }
        bench.others.clear();
        let first = bench.take(B);
        bench.succeed(&first, 200);
        let hurried = bench.others.iter().any(|action| matches!(action, Action::Hurry));
        assert_eq!((hurried, bench.deliveries.is_empty()), (waits, waits), "{next}");
        bench.save();
        bench.take(B);
    }
}
