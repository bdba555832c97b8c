//! Writes that are taken back.

use std::sync::Arc;

use super::bench::{A, B, Bench, ID, add, create};
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::CollectionId;
use crate::replication::core::Core;
use crate::replication::event::{Action, DeliveryOutcome, Level, NotCancelled, ReadScope, Reply, What};
use crate::replication::recover::Recovery;
use crate::wal::record::brief::{Brief, Ruling, Work};
use crate::wal::record::{Answer, Lane, Lsn, Op};

/// A collection on both instances, which are down.
fn all_down() -> Bench {
    let mut bench = Bench::with_collection();
    bench.down(A);
    bench.down(B);
    bench
}

fn both_up(bench: &mut Bench) {
    bench.up(A);
    bench.up(B);
}

/// Everything that goes to an instance, until nothing is left, in order.
fn sent(bench: &mut Bench) -> Vec<Lsn> {
    let mut sent = Vec::new();
    loop {
        // Passing a cancelled write is a record too, and more may follow from it.
        (0..3).for_each(|_| bench.save());
        let Some(delivery) = bench.deliveries.pop_front() else { break };
        sent.extend(delivery.entries.clone());
        bench.succeed(&delivery, 201);
    }
    sent.sort_unstable();
    sent
}

#[test]
fn a_cancelled_write_goes_nowhere_and_its_sender_is_told_when_that_is_durable() {
    let mut bench = all_down();
    let lsn = bench.log(add(&[2]));
    assert_eq!(bench.cancel(lsn), None, "it is not durable yet");
    assert!(bench.replies.is_empty());
    bench.save();
    assert_eq!(bench.cancelled(lsn), Some(Ok(())));
    assert!(
        matches!(&bench.replies[..], [(told, Reply::Cancelled(answer))] if *told == lsn && answer.status == 409)
    );
    assert_eq!(bench.cancel(lsn), Some(Ok(())), "a repetition gets the same");
    both_up(&mut bench);
    assert_eq!(sent(&mut bench), []);
    assert_eq!(bench.core.view().pending, 0);
}

#[test]
fn a_cancelled_write_waits_for_nobody_and_nobody_for_it() {
    let mut bench = all_down();
    let [first, second, third] = [2, 3, 2].map(|id| bench.log(add(&[id])));
    bench.cancel(second);
    bench.save();
    assert_eq!(bench.cancelled(second), Some(Ok(())), "the first one is still open");
    assert_eq!(bench.core.view().undecided, 2);
    both_up(&mut bench);
    assert_eq!(sent(&mut bench), [first, first, third, third]);
    assert_eq!(bench.core.view().pending, 0);
    assert_eq!(bench.statuses(), [409, 201, 201]);
}

#[test]
fn what_was_sent_or_decided_or_is_not_known_stands() {
    let mut bench = Bench::with_collection();
    let lsn = bench.log(add(&[2]));
    assert_eq!(bench.cancel(lsn), Some(Err(NotCancelled::Sent { instance: A })));
    let leader = bench.take(A);
    bench.lose(&leader);
    assert_eq!(bench.cancel(lsn), Some(Err(NotCancelled::Sent { instance: A })), "it may have been executed");
    bench.up(A);
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    assert_eq!(bench.cancel(lsn), Some(Err(NotCancelled::Decided)), "the verdict is on its way to the disk");
    bench.save();
    assert_eq!(bench.cancel(lsn), Some(Err(NotCancelled::Decided)));
    sent(&mut bench);
    assert_eq!(bench.cancel(lsn), Some(Err(NotCancelled::Unknown)), "it is finished");
    assert_eq!(bench.statuses(), [201]);
}

#[test]
fn a_delete_by_predicate_can_be_taken_back_until_its_ids_are_read() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let before = bench.take(A);
    let early = bench.log(Op::DeleteWhere);
    let late = bench.log(Op::DeleteWhere);
    bench.cancel(early);
    bench.succeed(&before, 201);
    bench.save();
    bench.save();
    let reads = bench.take(A);
    assert_eq!((&reads.what, &reads.entries), (&What::Resolve { real_id: 100 }, &vec![late]));
    let sent = Some(Err(NotCancelled::Sent { instance: A }));
    assert_eq!(bench.cancel(late), sent);
    bench.end(&reads, DeliveryOutcome::Ids(vec!["x".to_owned()]));
    assert_eq!(bench.cancel(late), sent, "the ids are on their way to the disk");
}

#[test]
fn a_cancelled_create_frees_its_name() {
    let mut bench = Bench::new();
    bench.down(A);
    bench.down(B);
    let taken_back = bench.log(create(false));
    let other = bench.log_in(Lane::Collection(CollectionId(8)), create(false));
    bench.cancel(taken_back);
    both_up(&mut bench);
    assert_eq!(sent(&mut bench), [other, other]);
    assert!(bench.core.catalog().living(CollectionId(8)).is_some());
    assert!(bench.core.catalog().known(ID).is_none());
    assert_eq!(bench.core.view().pending, 0);
}

#[test]
fn a_cancelled_drop_leaves_the_collection_as_it_was() {
    let mut bench = all_down();
    let before = bench.log(add(&[2]));
    let drop = bench.log(Op::DropCollection);
    let after = bench.log(add(&[3]));
    bench.cancel(drop);
    both_up(&mut bench);
    assert_eq!(sent(&mut bench), [before, before, after, after]);
    let living = bench.core.catalog().living(ID).expect("it lives");
    assert_eq!(living.real_ids.len(), 2);
    assert_eq!(bench.read(), [A, B]);
    assert_eq!(bench.statuses(), [409, 201, 201]);
}

#[test]
fn a_cancelled_rename_leaves_both_names_as_they_were() {
    let mut bench = all_down();
    let rename = bench.log(Op::ModifyCollection { new_name: Some("other".to_owned()) });
    let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
    let op = Op::CreateCollection { tenant, database, name: "other".to_owned(), get_or_create: false };
    let create = bench.log_in(Lane::Collection(CollectionId(8)), op);
    bench.cancel(rename);
    both_up(&mut bench);
    assert_eq!(sent(&mut bench), [create, create], "it need not wait for the rename");
    assert_eq!(bench.core.catalog().living(ID).expect("it lives").name, "name");
}

#[test]
fn a_compound_write_is_taken_back_whole_or_not_at_all() {
    let database =
        Lane::Database { tenant: DEFAULT_TENANT.to_owned(), database: DEFAULT_DATABASE.to_owned() };
    let mut bench = all_down();
    let part = bench.log_part(Lane::Collection(ID), Op::DropCollection);
    let whole = bench.log_in(database.clone(), Op::DropDatabase);
    assert_eq!(bench.cancel_in(database.clone(), whole), None);
    bench.save();
    assert_eq!(bench.cancelled(whole), Some(Ok(())));
    both_up(&mut bench);
    assert_eq!(sent(&mut bench), []);
    assert!(bench.core.catalog().living(ID).is_some(), "{part} is cancelled too");
    let part = bench.log_part(Lane::Collection(ID), Op::DropCollection);
    let whole = bench.log_in(database.clone(), Op::DropDatabase);
    assert_eq!(bench.take(A).entries, [part]);
    assert_eq!(bench.cancel_in(database, whole), Some(Err(NotCancelled::Sent { instance: A })));
}

#[test]
fn a_drop_in_view_of_which_a_suspect_was_given_up_stands() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let fatal = bench.take(A);
    let answer = Answer { status: 500, body: b"{}".to_vec() };
    bench.end(&fatal, DeliveryOutcome::DeadWriter { answer });
    bench.save();
    let drop = bench.log(Op::DropCollection);
    bench.down(A);
    assert_eq!(bench.cancel(drop), Some(Err(NotCancelled::ReliedUpon)));
}

/// The log of a lane whose create and first add are applied on both instances, with these writes after them.
fn restarted(ops: Vec<Op>, decisions: Vec<(Lsn, Ruling)>) -> Bench {
    let mut bench = Bench::with_collection();
    let brief = |(lsn, op)| Brief { lsn, lane: Arc::new(Lane::Collection(ID)), work: Work::of(op, 10) };
    let recovery = Recovery {
        catalog: bench.core.catalog().clone(),
        entries: vec![(3..).map(Lsn).zip(ops).map(brief).collect()],
        decisions,
        positions: [A, B].map(|instance| ((Lane::Collection(ID), instance), Lsn(2))).into(),
        ..Recovery::default()
    };
    let (core, _) = Core::recover(bench.core.settings.clone(), 0, recovery);
    bench.core = core;
    bench
}

#[test]
fn what_was_in_the_log_at_the_start_stands() {
    let mut bench = restarted(vec![add(&[2])], Vec::new());
    assert_eq!(bench.cancel(Lsn(3)), Some(Err(NotCancelled::BeforeStart)));
}

#[test]
fn after_a_restart_a_cancelled_write_stays_cancelled() {
    let mut bench = restarted(vec![add(&[2]), add(&[3]), add(&[4])], vec![(Lsn(4), Ruling::Cancelled)]);
    assert_eq!(bench.core.view().undecided, 2, "the one before it is still open");
    both_up(&mut bench);
    assert_eq!(sent(&mut bench), [3, 3, 5, 5].map(Lsn));
    assert_eq!(bench.core.view().pending, 0);
}

#[test]
fn a_cancelled_write_is_finished_only_when_positions_beyond_it_are_on_disk() {
    let mut bench = all_down();
    let lsn = bench.log(add(&[2]));
    bench.cancel(lsn);
    bench.save();
    both_up(&mut bench);
    let finished =
        |bench: &Bench| bench.others.iter().any(|action| matches!(action, Action::Finished { .. }));
    assert!(!finished(&bench), "its verdict is forgotten then, and a restart would send it");
    bench.save();
    assert!(finished(&bench));
}

#[test]
fn a_weaker_read_never_waits_for_a_cancelled_write() {
    let mut bench = all_down();
    let lsn = bench.log(add(&[2]));
    bench.cancel(lsn);
    bench.save();
    bench.up(B);
    let scope = ReadScope::Collection { id: ID, ids: None };
    assert_eq!(bench.read_as(Level::Bounded { max_lag_ms: 0 }, scope), [B]);
    assert_eq!(bench.read(), [B]);
}
