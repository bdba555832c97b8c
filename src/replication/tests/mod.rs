//! Each behaviour of the core as a short story. The simulator tells the long ones.

mod bench;
mod board;
mod cancel;
mod divergence;
mod duty;
mod follow;
mod gather;
mod hold;
mod levels;
mod poison;
mod rebuild;
mod room;
mod schema;

use super::core::Settings;
use super::event::{Action, DeliveryOutcome, DownReason, Event, Level, ReadScope, Reply, What};
use crate::wal::record::{Answer, Lsn, Op, RecordKind};
use bench::{A, B, Bench, add, create, records};

#[test]
fn a_write_is_answered_when_its_verdict_is_durable_and_shipped_only_then() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let at_leader = bench.take(A);
    bench.succeed(&at_leader, 201);
    assert!(bench.replies.is_empty(), "the verdict is not durable yet");
    assert!(bench.deliveries.is_empty(), "nothing is shipped before the verdict is durable");
    bench.save();
    assert_eq!(bench.statuses(), [201]);
    assert_eq!(bench.take(B).entries, at_leader.entries);
}

#[test]
fn what_waits_while_a_request_is_under_way_forms_the_next_run() {
    let mut bench = Bench::with_collection();
    let first = bench.log(add(&[2]));
    let rest: Vec<Lsn> = (3..40).map(|id| bench.log(add(&[id]))).collect();
    let lone = bench.take(A);
    assert_eq!(lone.entries, [first], "a lone write waits for nobody");
    bench.succeed(&lone, 201);
    assert_eq!(bench.take(A).entries, rest);
}

#[test]
fn a_write_waits_for_the_durable_outcome_of_one_that_it_conflicts_with() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    bench.log(records(RecordKind::Upsert, &[2], 2));
    let first = bench.take(A);
    bench.succeed(&first, 201);
    assert!(bench.deliveries.is_empty(), "the same record, and the outcome is not on disk");
    bench.save();
    assert_eq!(bench.take(A).what, What::Records { kind: RecordKind::Upsert, real_id: 100 });
}

#[test]
fn writes_of_different_kinds_and_wrong_dimensions_share_no_request() {
    let mut bench = Bench::with_collection();
    let lone = bench.log(add(&[2]));
    let wrong = bench.log(records(RecordKind::Add, &[3], 9));
    let right = bench.log(add(&[4]));
    let other = bench.log(records(RecordKind::Delete, &[5], 2));
    let mut order = Vec::new();
    while let Some(delivery) = bench.deliveries.pop_front() {
        if delivery.instance == A {
            order.push(delivery.entries.clone());
        }
        if delivery.entries == [wrong] {
            bench.reject(&delivery, None);
        } else {
            bench.succeed(&delivery, 201);
        }
        bench.save();
    }
    assert_eq!(order, [vec![lone], vec![wrong], vec![right], vec![other]]);
    assert_eq!(bench.statuses().iter().filter(|status| **status == 400).count(), 1);
}

#[test]
fn while_the_dimension_is_unset_a_write_with_embeddings_goes_alone() {
    let mut bench = Bench::new();
    bench.log(create(false));
    bench.finish_all(201);
    let first = bench.log(add(&[1]));
    bench.log(add(&[2]));
    bench.log(add(&[3]));
    let delivery = bench.take(A);
    assert_eq!(delivery.entries, [first]);
    assert!(delivery.probe_dimension);
    bench.succeed(&delivery, 201);
    assert_eq!(bench.take(A).entries.len(), 2);
}

#[test]
fn a_rejected_run_is_split_until_the_culprit_stands_alone() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[90]));
    let run: Vec<Lsn> = (0..16).map(|n| bench.log(add(&[100 + n]))).collect();
    let culprit = run[11];
    let mut requests = 0;
    while let Some(delivery) = bench.deliveries.pop_front() {
        requests += usize::from(delivery.instance == A);
        if delivery.instance == A && delivery.entries.contains(&culprit) {
            bench.reject(&delivery, None);
        } else {
            bench.succeed(&delivery, 201);
        }
        bench.save();
    }
    assert_eq!(bench.replies.len(), 17);
    let refused: Vec<Lsn> = bench
        .replies
        .iter()
        .filter(|(_, reply)| matches!(reply, Reply::Verdict(answer) if answer.status == 400))
        .map(|(lsn, _)| *lsn)
        .collect();
    assert_eq!(refused, [culprit]);
    assert!(requests < 15, "{requests} requests are more than halving needs");
}

#[test]
fn a_refused_write_that_fixed_the_dimension_is_replaced_by_that_on_the_others() {
    let mut bench = Bench::new();
    bench.log(create(false));
    bench.finish_all(201);
    bench.log(add(&[1]));
    let delivery = bench.take(A);
    bench.reject(&delivery, Some(3));
    bench.save();
    assert_eq!(bench.take(B).what, What::FixDimension { dimension: 3, real_id: 101 });
}

#[test]
fn when_the_leader_dies_the_next_one_applies_what_it_misses_and_decides() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let first = bench.take(A);
    bench.succeed(&first, 201);
    bench.save();
    let second = bench.log(add(&[3]));
    let lost = bench.take(A);
    bench.lose(&lost);
    assert_eq!(
        bench.deliveries.len(),
        1,
        "only the first write's copy is under way, while the leader is checked"
    );
    bench.down(A);
    let catching_up = bench.take(B);
    assert_eq!(catching_up.entries, first.entries);
    bench.succeed(&catching_up, 201);
    bench.save();
    let decides = bench.take(B);
    assert_eq!(decides.entries, [second]);
    bench.succeed(&decides, 201);
    bench.save();
    assert_eq!(bench.statuses(), [201, 201]);
    bench.up(A);
    let again = bench.take(A);
    assert!(again.doubt && again.entries == [second], "what was in doubt is sent again");
}

#[test]
fn a_request_that_stays_unanswered_keeps_its_lane_there() {
    let mut bench = Bench::with_collection();
    let first = bench.log(add(&[2]));
    let hung = bench.take(A);
    bench.feed(Event::InstanceDown { instance: A, reason: DownReason::Hung });
    let decides = bench.take(B);
    bench.succeed(&decides, 201);
    bench.save();
    bench.log(add(&[3]));
    bench.finish_all(201);
    bench.up(A);
    assert!(bench.deliveries.is_empty(), "the old request is still unanswered");
    bench.succeed(&hung, 201);
    bench.save();
    assert!(bench.take(A).entries > vec![first]);
}

#[test]
fn without_an_instance_a_write_waits_and_is_then_told_that_its_fate_is_open() {
    let mut bench = Bench::with_collection();
    bench.down(A);
    bench.down(B);
    bench.log(add(&[2]));
    bench.tick_at(4_999);
    assert!(bench.replies.is_empty());
    bench.tick_at(5_000);
    assert_eq!(bench.statuses(), [503]);
    bench.tick_at(24 * 3_600_000);
    bench.up(B);
    bench.finish_all(201);
    assert_eq!(bench.core.view().instances[1].pending, 0, "it is applied, however late");
    assert_eq!(bench.statuses(), [503], "and answered once");
}

#[test]
fn other_times_hold_for_those_that_wait_already() {
    let mut bench = Bench::with_collection();
    bench.down(A);
    bench.down(B);
    bench.log(add(&[2]));
    let settings = Settings { write_wait_ms: 10, instances: 7, ..bench.core.settings.clone() };
    bench.feed(Event::Configured { settings: Box::new(settings) });
    bench.tick_at(9);
    assert!(bench.replies.is_empty());
    bench.tick_at(10);
    assert_eq!(bench.statuses(), [503]);
    assert_eq!(bench.core.instance_ids().count(), 2, "the instances are those of the start");
}

#[test]
fn a_write_whose_verdict_waits_for_the_disk_is_not_answered_with_an_error() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let delivery = bench.take(A);
    bench.succeed(&delivery, 201);
    bench.tick_at(60_001);
    assert!(bench.replies.is_empty());
    bench.save();
    assert_eq!(bench.statuses(), [201]);
}

#[test]
fn acknowledging_all_waits_for_those_that_are_up_and_forgets_one_that_goes_down() {
    let mut bench = Bench::with(true);
    bench.make_collection();
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    assert!(bench.replies.is_empty());
    bench.down(B);
    assert_eq!(bench.statuses(), [201]);
}

#[test]
fn a_predicate_is_resolved_after_everything_before_it_and_deleted_as_ids() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    bench.log(Op::DeleteWhere);
    let before = bench.take(A);
    assert!(bench.deliveries.is_empty());
    bench.succeed(&before, 201);
    assert!(bench.deliveries.is_empty(), "the outcome before it is not on disk");
    bench.save();
    let resolve = bench.take(A);
    assert_eq!(resolve.what, What::Resolve { real_id: 100 });
    bench.end(&resolve, DeliveryOutcome::Ids(vec!["x".to_owned(), "y".to_owned()]));
    assert!(bench.deliveries.iter().all(|delivery| delivery.instance == B), "the ids are not on disk");
    bench.save();
    let delete = bench.take(A);
    assert!(matches!(&delete.what, What::DeleteIds { ids, .. } if ids.len() == 2));
    bench.succeed(&delete, 200);
    bench.save();
    let answer = Answer { status: 200, body: b"{\"deleted\":2}".to_vec() };
    assert_eq!(bench.replies.last().map(|(_, reply)| reply.clone()), Some(Reply::Verdict(answer)));
}

#[test]
fn a_predicate_without_a_match_is_answered_without_a_delete() {
    let mut bench = Bench::with_collection();
    bench.log(Op::DeleteWhere);
    let resolve = bench.take(A);
    bench.end(&resolve, DeliveryOutcome::Ids(Vec::new()));
    bench.save();
    bench.save();
    assert!(bench.deliveries.is_empty());
    assert_eq!(bench.statuses(), [200]);
}

#[test]
fn what_a_drop_makes_needless_is_not_sent_to_one_that_returns_after_a_day() {
    let mut bench = Bench::with_collection();
    bench.down(B);
    for id in 2..100 {
        bench.log(add(&[id]));
    }
    bench.log(Op::DropCollection);
    bench.finish_all(200);
    bench.tick_at(24 * 3_600_000);
    bench.up(B);
    let only = bench.take(B);
    assert!(matches!(only.what, What::DropCollection { real_id: 101, .. }));
    bench.succeed(&only, 200);
    bench.save();
    assert_eq!(bench.core.view().pending, 0);
    let late = bench.log(add(&[1]));
    bench.save();
    assert!(bench.deliveries.is_empty());
    assert!(
        bench
            .replies
            .iter()
            .any(|(lsn, reply)| *lsn == late
                && matches!(reply, Reply::Verdict(answer) if answer.status == 404))
    );
}

#[test]
fn an_instance_whose_proof_began_before_a_loss_is_not_up() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let lost = bench.take(A);
    bench.lose(&lost);
    let asked = bench.others.iter().find_map(|action| match action {
        Action::Recheck { instance: A, proof, .. } => Some(*proof),
        _ => None,
    });
    bench.feed(Event::InstanceUp { instance: A, proof: asked.unwrap_or(1) - 1 });
    assert!(bench.deliveries.is_empty());
    bench.feed(Event::InstanceUp { instance: A, proof: asked.unwrap_or(1) });
    assert!(bench.take(A).doubt);
}

#[test]
fn a_read_goes_only_where_every_committed_write_is_applied() {
    let mut bench = Bench::with_collection();
    assert_eq!(bench.read(), [A, B]);
    bench.log(add(&[2]));
    assert_eq!(bench.read(), [B, A], "B has nothing undecided under way, and is preferred");
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    assert_eq!(bench.read(), [A]);
    let follower = bench.take(B);
    bench.succeed(&follower, 201);
    assert_eq!(bench.read(), [A, B]);
}

#[test]
fn what_one_instance_may_have_shown_binds_the_others() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    bench.read_ended(A);
    assert_eq!(bench.read(), [A], "an answer of A may have shown the write that B does not have");
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    let follower = bench.take(B);
    bench.succeed(&follower, 201);
    assert_eq!(bench.read(), [A, B]);
}

#[test]
fn reads_are_refused_at_once_without_an_instance_and_after_a_wait_behind_a_lagging_one() {
    let mut bench = Bench::with_collection();
    bench.log(add(&[2]));
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    bench.save();
    bench.down(A);
    assert_eq!(bench.read(), []);
    assert!(bench.reads.is_empty(), "B is catching up");
    bench.tick_at(5_000);
    assert_eq!(bench.reads.len(), 1);
    bench.down(B);
    bench.reads.clear();
    bench.feed(Event::Read {
        read: super::event::ReadId(2),
        scope: ReadScope::Constant,
        level: Level::Strong,
    });
    assert!(matches!(bench.reads[..], [Action::ReadRefused { .. }]));
}
