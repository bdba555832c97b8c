//! Reads that are content with less than everything.

use std::sync::Arc;

use super::bench::{A, B, Bench, ID, add, create, records};
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::InstanceId;
use crate::replication::core::Core;
use crate::replication::event::{Action, DeliveryOutcome, Event, Level, ReadScope};
use crate::replication::recover::Recovery;
use crate::wal::record::brief::{Brief, Ruling, Work};
use crate::wal::record::{Answer, Lane, Lsn, Op, RecordKind};

const WHOLE: ReadScope = ReadScope::Collection { id: ID, ids: None };

fn list() -> ReadScope {
    ReadScope::Database { tenant: DEFAULT_TENANT.to_owned(), database: DEFAULT_DATABASE.to_owned() }
}

fn bounded(bench: &mut Bench, max_lag_ms: u64) -> Vec<InstanceId> {
    bench.read_as(Level::Bounded { max_lag_ms }, WHOLE)
}

/// A bench on which A decided a write at 1 s, and B does not have it.
fn lagging() -> Bench {
    let mut bench = Bench::with_collection();
    bench.tick_at(1_000);
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    bench
}

#[test]
fn a_bounded_read_takes_an_instance_until_what_it_misses_is_too_old() {
    let mut bench = lagging();
    bench.tick_at(1_499);
    assert_eq!(bench.read(), [A]);
    assert_eq!(bounded(&mut bench, 500), [A, B]);
    bench.tick_at(1_500);
    assert_eq!(bounded(&mut bench, 500), [A]);
    let follower = bench.take(B);
    bench.succeed(&follower, 201);
    assert_eq!(bounded(&mut bench, 500), [A, B]);
}

#[test]
fn nothing_may_be_missing_within_no_time() {
    let mut bench = lagging();
    assert_eq!(bounded(&mut bench, 0), [A]);
    assert_eq!(bounded(&mut bench, 1), [A, B]);
}

#[test]
fn the_lag_is_that_of_the_oldest_write_that_the_read_can_see() {
    let mut bench = lagging();
    bench.tick_at(1_500);
    bench.log(add(&[3]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    bench.tick_at(1_600);
    let of = |id: u64| ReadScope::Collection { id: ID, ids: Some(vec![id]) };
    let level = Level::Bounded { max_lag_ms: 300 };
    assert_eq!(bench.read_as(level, WHOLE), [A], "the older one counts");
    assert_eq!(bench.read_as(level, of(2)), [A]);
    assert_eq!(bench.read_as(level, of(3)), [A, B], "only the younger one can be seen");
    assert_eq!(bench.read_as(level, of(9)), [A, B]);
}

#[test]
fn a_refused_write_makes_no_lag_and_an_undecided_one_neither() {
    let mut bench = Bench::with_collection();
    bench.tick_at(1_000);
    bench.log(add(&[2]));
    let refused = bench.take(A);
    bench.reject(&refused, None);
    bench.save();
    bench.log(add(&[3]));
    bench.tick_at(9_000);
    assert_eq!(bounded(&mut bench, 1), [A, B]);
}

#[test]
fn any_instance_serves_a_read_that_wants_no_more_but_none_that_is_down_or_lacks_the_collection() {
    let mut bench = lagging();
    bench.tick_at(1_000_000);
    assert_eq!(bench.read_as(Level::Any, WHOLE), [A, B]);
    bench.down(A);
    assert_eq!(bench.read_as(Level::Any, WHOLE), [B]);
    assert_eq!(bench.read(), [], "a strong one waits for B to catch up");
    let mut bench = Bench::new();
    bench.log(create(false));
    let made = bench.take(A);
    bench.succeed(&made, 200);
    bench.save();
    let id = bench.core.catalog().all_living()[0].id;
    let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
    for scope in [ReadScope::Collection { id, ids: None }, ReadScope::Database { tenant, database }] {
        assert_eq!(bench.read_as(Level::Any, scope), [A], "B does not hold it");
    }
}

#[test]
fn an_instance_that_diverged_or_may_hold_a_withdrawn_suspect_serves_nobody() {
    let mut bench = lagging();
    let follower = bench.take(B);
    bench.reject(&follower, None);
    bench.save();
    assert_eq!(bench.read_as(Level::Any, WHOLE), [A]);
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let fatal = bench.take(A);
    let answer = Answer { status: 500, body: b"{}".to_vec() };
    bench.end(&fatal, DeliveryOutcome::DeadWriter { answer });
    bench.log(Op::DropCollection);
    bench.save();
    bench.down(A);
    bench.save();
    bench.up(A);
    assert!(!bench.read_as(Level::Any, WHOLE).contains(&A), "A may hold what was withdrawn");
}

#[test]
fn what_was_decided_before_the_start_is_older_than_any_bound() {
    let mut bench = lagging();
    let ops = [create(false), add(&[1]), records(RecordKind::Add, &[2], 2)];
    let brief = |(lsn, op)| Brief { lsn, lane: Arc::new(Lane::Collection(ID)), work: Work::of(op, 10) };
    let recovery = Recovery {
        catalog: bench.core.catalog().clone(),
        entries: vec![(1..).map(Lsn).zip(ops).map(brief).collect()],
        decisions: vec![(Lsn(3), Ruling::Committed)],
        positions: [((Lane::Collection(ID), A), Lsn(3)), ((Lane::Collection(ID), B), Lsn(2))].into(),
        ..Recovery::default()
    };
    let (core, _) = Core::recover(bench.core.settings.clone(), 1_000, recovery);
    bench.core = core;
    bench.up(A);
    bench.up(B);
    assert_eq!(bounded(&mut bench, u64::MAX), [A]);
    assert_eq!(bench.read_as(Level::Any, WHOLE), [A, B]);
}

#[test]
fn a_weaker_read_waits_where_no_instance_is_good_enough_and_is_then_refused() {
    let mut bench = lagging();
    bench.down(A);
    bench.tick_at(3_000);
    assert_eq!(bounded(&mut bench, 500), []);
    let follower = bench.take(B);
    bench.succeed(&follower, 201);
    assert!(matches!(bench.reads[..], [Action::ReadFrom { .. }]), "B has caught up");
    let mut bench = lagging();
    bench.down(A);
    bench.tick_at(3_000);
    assert_eq!(bounded(&mut bench, 500), []);
    bench.tick_at(8_000);
    assert!(matches!(bench.reads[..], [Action::ReadRefused { .. }]));
}

#[test]
fn what_a_weaker_read_may_have_shown_binds_nobody() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    assert_eq!(bench.read_as(Level::Any, WHOLE), [A, B], "A has a write under way, and is as good");
    assert_eq!(bench.read(), [B, A]);
    bench.feed(Event::ReadEnded { instance: A, scope: WHOLE });
    assert_eq!(bench.read(), [A], "a strong one binds");
    assert_eq!(bench.read_as(Level::Any, WHOLE), [A, B]);
}

#[test]
fn a_list_of_collections_waits_for_all_writes_and_then_is_content_with_all_names() {
    let mut bench = lagging();
    assert_eq!(bench.read_as(Level::Strong, list()), [A], "B's may lack a key of the metadata");
    bench.down(A);
    assert_eq!(bench.read_as(Level::Strong, list()), []);
    bench.tick_at(bench.now_ms + 99);
    assert_eq!(bench.core.view().waiting_reads, 1, "B may have the write soon");
    bench.tick_at(bench.now_ms + 1);
    assert!(
        matches!(&bench.reads[..], [Action::ReadFrom { quiet, busy, .. }] if [&quiet[..], &busy[..]].concat() == [B])
    );
}

#[test]
fn a_list_of_collections_goes_on_as_soon_as_the_last_write_is_there() {
    let mut bench = lagging();
    bench.down(A);
    assert_eq!(bench.read_as(Level::Strong, list()), []);
    let follower = bench.take(B);
    bench.succeed(&follower, 201);
    assert!(matches!(&bench.reads[..], [Action::ReadFrom { quiet, .. }] if quiet[..] == [B]));
}

#[test]
fn where_a_part_of_a_run_is_sent_again_nobody_reads_before_the_rest_is() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let lone = bench.take(A);
    let run = [5, 5].map(|id| bench.log(records(RecordKind::Upsert, &[id], 2)));
    let apart = bench.log(records(RecordKind::Upsert, &[6], 2));
    bench.succeed(&lone, 201);
    bench.save();
    let follower = bench.take(B);
    bench.succeed(&follower, 201);
    bench.save();
    let whole = bench.take(A);
    assert_eq!(whole.entries, [run[0], run[1], apart]);
    bench.lose(&whole);
    bench.core.settings.run_records = 1;
    bench.down(B);
    bench.up(A);
    let first = bench.take(A);
    assert_eq!(first.entries, [run[0]]);
    assert!(bench.read_as(Level::Any, WHOLE).is_empty(), "its records may be those of both at once");
    bench.succeed(&first, 200);
    bench.save();
    let second = bench.take(A);
    assert_eq!(second.entries, [run[1]]);
    bench.succeed(&second, 200);
    assert_eq!(bench.read_as(Level::Any, WHOLE), [A], "the one left conflicts with none of them");
}
