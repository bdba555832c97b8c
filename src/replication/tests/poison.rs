//! Writes that an instance does not survive: suspected, tried, withdrawn.

use std::sync::Arc;

use super::bench::{A, B, Bench, ID, add, create, records};
use crate::chroma::ids::CollectionId;
use crate::replication::core::{Core, Settings};
use crate::replication::event::{Action, DeliveryOutcome, DownReason, Event, Reply};
use crate::replication::recover::Recovery;
use crate::wal::record::brief::{Brief, Ruling, Work};
use crate::wal::record::{Answer, Lane, Lsn, Op, RecordKind};

fn dead() -> DeliveryOutcome {
    DeliveryOutcome::DeadWriter { answer: Answer { status: 500, body: b"{}".to_vec() } }
}

/// A bench on which A died under a write, and its trial at B is under way.
fn on_trial() -> (Bench, Lsn) {
    let mut bench = Bench::with_collection();
    let suspect = bench.log(add(&[2]));
    let fatal = bench.take(A);
    bench.end(&fatal, dead());
    bench.feed(Event::InstanceDown { instance: A, reason: DownReason::CannotWrite });
    bench.save();
    (bench, suspect)
}

/// The same, after B failed in the rehearsal too and is back.
fn withdrawn() -> (Bench, Lsn) {
    let (mut bench, suspect) = on_trial();
    let trial = bench.take(B);
    bench.fail_rehearsal(&trial);
    bench.up(B);
    bench.save();
    (bench, suspect)
}

fn has_finished(bench: &Bench, lsn: Lsn) -> bool {
    bench.others.iter().any(|action| matches!(action, Action::Finished { lsns } if lsns.contains(&lsn)))
}

#[test]
fn a_write_under_a_death_is_rehearsed_elsewhere_and_answered_as_if_nothing_had_been() {
    let (mut bench, suspect) = on_trial();
    assert_eq!(bench.core.view().suspects, [suspect]);
    assert!(bench.replies.is_empty(), "its sender waits for the trial");
    let trial = bench.take(B);
    assert!(trial.rehearse && trial.entries == [suspect]);
    bench.succeed(&trial, 201);
    bench.save();
    assert_eq!(bench.statuses(), [201]);
    bench.up(A);
    let again = bench.take(A);
    assert!(!again.rehearse, "an instance has borne it");
}

#[test]
fn a_run_under_a_plain_crash_costs_one_rehearsal() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let run: Vec<Lsn> = (3..40).map(|id| bench.log(add(&[id]))).collect();
    let lone = bench.take(A);
    bench.succeed(&lone, 201);
    let crashed = bench.take(A);
    assert_eq!(crashed.entries, run);
    let behind = bench.log(add(&[90]));
    bench.die(&crashed);
    while let Some(delivery) = bench.deliveries.pop_front() {
        assert_eq!(delivery.rehearse, delivery.entries == run, "{delivery:?}");
        assert!(!delivery.rehearse || !delivery.entries.contains(&behind));
        bench.succeed(&delivery, 201);
        bench.save();
    }
    assert!(bench.statuses().iter().all(|status| *status == 201));
}

#[test]
fn a_lost_connection_alone_makes_no_suspect() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let lost = bench.take(A);
    bench.lose(&lost);
    bench.up(A);
    assert_eq!(bench.core.view().suspects, []);
    let again = bench.take(A);
    bench.succeed(&again, 201);
    bench.down(A);
    assert_eq!(bench.core.view().suspects, [], "it was not under way any more");
}

#[test]
fn a_hang_makes_no_suspect() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let _hung = bench.take(A);
    bench.feed(Event::InstanceDown { instance: A, reason: DownReason::Hung });
    assert!(!bench.take(B).rehearse);
}

#[test]
fn nothing_else_is_under_way_where_a_suspect_is_tried() {
    let mut bench = Bench::with_collection();
    let other = Lane::Collection(CollectionId(8));
    let named = |name: &str| match create(false) {
        Op::CreateCollection { tenant, database, get_or_create, .. } => {
            Op::CreateCollection { tenant, database, name: name.to_owned(), get_or_create }
        }
        op => op,
    };
    bench.log_in(other.clone(), named("other"));
    let creating = bench.take(A);
    let suspect = bench.log(add(&[2]));
    let fatal = bench.take(A);
    bench.succeed(&creating, 200);
    bench.save();
    let copying = bench.take(B);
    bench.end(&fatal, dead());
    bench.down(A);
    bench.save();
    assert!(bench.deliveries.is_empty(), "the trial waits for what is under way at B");
    bench.succeed(&copying, 200);
    bench.save();
    bench.log_in(other, add(&[5]));
    let trial = bench.take(B);
    assert!(trial.rehearse && trial.entries == [suspect]);
    assert!(bench.deliveries.is_empty(), "and everything else waits for the trial");
    bench.feed(Event::InstanceDown { instance: B, reason: DownReason::Hung });
    bench.up(B);
    assert!(bench.deliveries.is_empty(), "to its end, whatever is proven meanwhile");
    bench.succeed(&trial, 201);
    bench.save();
    assert!(!bench.take(B).rehearse);
}

#[test]
fn one_that_a_second_instance_does_not_survive_is_withdrawn_kept_and_told() {
    let (mut bench, suspect) = withdrawn();
    assert!(matches!(bench.replies[..], [(lsn, Reply::Poisoned(_))] if lsn == suspect));
    let told = |action: &Action| matches!(action, Action::Withdrawn { lsn } if *lsn == suspect);
    assert!(bench.others.iter().any(told));
    assert_eq!(bench.core.view().poisoned.iter().map(|one| one.lsn).collect::<Vec<_>>(), [suspect]);
    let behind = bench.log(add(&[3]));
    let next = bench.take(B);
    assert_eq!(next.entries, [behind], "the lane goes on without it");
    bench.succeed(&next, 201);
    bench.save();
    assert_eq!(bench.read(), [B]);
    bench.up(A);
    assert!(bench.deliveries.is_empty(), "A may hold it, and is to be rebuilt");
    assert_eq!(bench.core.view().instances[0].divergent.len(), 1);
    assert!(!has_finished(&bench, suspect), "it is kept");
    bench.feed(Event::Discard { lsn: suspect });
    assert!(!has_finished(&bench, suspect), "until it is durable that an operator gave it up");
    bench.save();
    assert!(has_finished(&bench, suspect));
    assert!(bench.core.view().poisoned.is_empty());
}

#[test]
fn a_bad_end_of_several_tells_nothing_of_each() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let run = [bench.log(add(&[3])), bench.log(add(&[4]))];
    let lone = bench.take(A);
    bench.succeed(&lone, 201);
    let crashed = bench.take(A);
    bench.die(&crashed);
    let copy = bench.take(B);
    bench.succeed(&copy, 201);
    bench.save();
    let both = bench.take(B);
    assert_eq!(both.entries, run);
    bench.fail_rehearsal(&both);
    assert!(bench.core.view().poisoned.is_empty());
    bench.up(B);
    bench.tick_at(10_000);
    let first = bench.take(B);
    assert!(first.rehearse && first.entries == [run[0]], "each is tried alone");
    bench.fail_rehearsal(&first);
    bench.up(B);
    bench.tick_at(20_000);
    bench.save();
    let second = bench.take(B);
    assert!(second.rehearse && second.entries == [run[1]]);
    bench.succeed(&second, 201);
    bench.save();
    assert_eq!(bench.statuses(), [201, 500, 201]);
}

#[test]
fn a_trial_whose_connection_breaks_is_repeated_unless_its_instance_died() {
    let (mut bench, _) = on_trial();
    let broken = |bench: &mut Bench| {
        let trial = bench.take(B);
        bench.end(&trial, DeliveryOutcome::Rehearsal { detail: "cut".to_owned(), answer: None });
    };
    broken(&mut bench);
    bench.up(B);
    bench.tick_at(10_000);
    assert!(bench.core.view().poisoned.is_empty());
    broken(&mut bench);
    bench.down(B);
    assert_eq!(bench.core.view().poisoned.len(), 1);
}

#[test]
fn a_trial_that_its_instance_survives_though_it_was_reported_down_decides() {
    let (mut bench, _) = on_trial();
    let trial = bench.take(B);
    bench.down(B);
    assert!(bench.core.view().poisoned.is_empty(), "the delivery is still under way");
    bench.succeed(&trial, 201);
    bench.save();
    assert_eq!(bench.statuses(), [201]);
}

#[test]
fn the_last_source_of_a_lane_that_holds_poison_is_left_alone_until_the_collection_is_dropped() {
    let (mut bench, _) = on_trial();
    let trial = bench.take(B);
    bench.end(&trial, dead());
    bench.down(B);
    bench.save();
    assert_eq!(bench.core.view().poisoned.len(), 1, "it was tried for real, alone");
    let (waits, predicate) = (bench.log(add(&[3])), bench.log(Op::DeleteWhere));
    bench.up(A);
    bench.up(B);
    assert!(bench.deliveries.is_empty() && bench.read().is_empty());
    let drop = bench.log(Op::DropCollection);
    for _ in 0..4 {
        bench.save();
        bench.finish_all(200);
    }
    let status = |lsn| bench.replies.iter().position(|(told, _)| *told == lsn).map(|at| bench.statuses()[at]);
    assert_eq!([waits, predicate, drop].map(status), [Some(404), Some(404), Some(200)]);
}

#[test]
fn a_queued_drop_decides_everything_before_it_that_a_suspect_is_among() {
    let (mut bench, suspect) = on_trial();
    let trial = bench.take(B);
    let predicate = bench.log(Op::DeleteWhere);
    let drop = bench.log(Op::DropCollection);
    bench.end(&trial, DeliveryOutcome::Rehearsal { detail: "cut".to_owned(), answer: None });
    bench.up(B);
    bench.tick_at(10_000);
    for _ in 0..4 {
        bench.save();
        bench.finish_all(200);
    }
    let told: Vec<Lsn> = bench.replies.iter().map(|(lsn, _)| *lsn).collect();
    assert_eq!((told, bench.statuses()), (vec![suspect, predicate, drop], vec![404, 404, 200]));
}

#[test]
fn what_is_sent_again_in_part_is_not_read_there_before_all_that_was_seen() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[9]));
    let upserts = [2, 2].map(|id| bench.log(records(RecordKind::Upsert, &[id], 2)));
    let lone = bench.take(A);
    bench.succeed(&lone, 201);
    bench.save();
    let copy = bench.take(B);
    bench.succeed(&copy, 201);
    bench.save();
    let run = bench.take(A);
    assert_eq!(run.entries, upserts);
    bench.read_ended(A);
    bench.die(&run);
    let both = bench.take(B);
    bench.fail_rehearsal(&both);
    bench.down(B);
    bench.up(A);
    bench.tick_at(10_000);
    let first = bench.take(A);
    assert_eq!(first.entries, [upserts[0]]);
    assert_eq!(bench.read(), [], "A has shown the second one");
    bench.succeed(&first, 200);
    bench.save();
    let second = bench.take(A);
    bench.succeed(&second, 200);
    bench.save();
    bench.tick_at(10_001);
    assert_eq!(bench.reads.len(), 1, "now it shows it again");
}

#[test]
fn a_restart_remembers_suspects_and_what_was_withdrawn() {
    let mut bench = Bench::with_collection();
    let brief = |(lsn, op)| Brief { lsn, lane: Arc::new(Lane::Collection(ID)), work: Work::of(op, 10) };
    let entries = [(Lsn(3), add(&[2])), (Lsn(4), add(&[3]))];
    let recovery = Recovery {
        catalog: bench.core.catalog().clone(),
        entries: vec![entries.into_iter().map(brief).collect()],
        decisions: vec![(Lsn(3), Ruling::Poisoned)],
        positions: [A, B].map(|instance| ((Lane::Collection(ID), instance), Lsn(3))).into(),
        divergent: vec![(Lane::Collection(ID), A, "it may hold #3".to_owned())],
        suspects: [(Lsn(3), A), (Lsn(4), A)].into(),
        ..Recovery::default()
    };
    let (core, actions) = Core::recover(bench.core.settings.clone(), 0, recovery);
    (bench.core, bench.others) = (core, actions);
    assert!(!has_finished(&bench, Lsn(3)));
    bench.up(A);
    bench.up(B);
    let trial = bench.take(B);
    assert!(trial.rehearse && trial.entries == [Lsn(4)]);
    assert_eq!(bench.core.view().poisoned.iter().map(|one| one.lsn).collect::<Vec<_>>(), [Lsn(3)]);
}

#[test]
fn one_that_has_no_collection_yet_does_not_hold_a_withdrawn_write() {
    let mut bench = Bench::with_collection();
    let brief = |(lsn, op)| Brief { lsn, lane: Arc::new(Lane::Collection(ID)), work: Work::of(op, 10) };
    let entries = [(Lsn(1), create(false)), (Lsn(2), add(&[1])), (Lsn(3), add(&[2]))];
    let recovery = Recovery {
        catalog: bench.core.catalog().clone(),
        entries: vec![entries.into_iter().map(brief).collect()],
        decisions: [1, 2].map(|lsn| (Lsn(lsn), Ruling::Committed)).into(),
        positions: [A, B].map(|instance| ((Lane::Collection(ID), instance), Lsn(2))).into(),
        suspects: [(Lsn(3), A)].into(),
        ..Recovery::default()
    };
    let settings = Settings { instances: 3, ..bench.core.settings.clone() };
    (bench.core, bench.others) = Core::recover(settings, 0, recovery);
    bench.up(A);
    let trial = bench.take(A);
    bench.fail_rehearsal(&trial);
    let divergent = bench.core.view().instances.iter().map(|at| at.divergent.len()).collect::<Vec<_>>();
    assert_eq!(divergent, [1, 1, 0], "the third one is still to be sent the collection itself");
}
