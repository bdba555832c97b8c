//! Short stories of creates, renames and drops that meet.

use super::bench::{A, B, Bench, ID, add, create};
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::CollectionId;
use crate::replication::event::{DeliveryOutcome, Reply, What};
use crate::wal::record::{Answer, Lane, Op};

/// A collection besides the bench's own.
const OTHER: Lane = Lane::Collection(CollectionId(8));

fn database() -> Lane {
    Lane::Database { tenant: DEFAULT_TENANT.to_owned(), database: DEFAULT_DATABASE.to_owned() }
}

fn rename(name: &str) -> Op {
    Op::ModifyCollection { new_name: Some(name.to_owned()) }
}

#[test]
fn a_rename_before_a_drop_is_made_so_that_the_next_owner_of_the_name_finds_it_free() {
    let mut bench = Bench::with_collection();
    bench.down(B);
    bench.log(rename("elsewhere"));
    bench.log_in(OTHER, create(false));
    bench.log(Op::DropCollection);
    bench.finish_all(200);
    bench.up(B);
    assert!(matches!(bench.take(B).what, What::ModifyCollection { real_id: 101 }));
    assert!(bench.deliveries.is_empty(), "the name is not free yet");
}

#[test]
fn a_database_is_not_deleted_with_a_collection_that_was_created_meanwhile() {
    let mut bench = Bench::new();
    bench.log(create(false));
    let delete = bench.log_in(database(), Op::DropDatabase);
    bench.finish_all(200);
    let answer = bench.replies.iter().find(|(lsn, _)| *lsn == delete);
    assert!(matches!(answer, Some((_, Reply::Verdict(answer))) if answer.status == 409));
    assert!(bench.core.catalog().living(ID).is_some());
}

#[test]
fn a_description_is_asked_for_where_the_described_collection_lives() {
    let mut bench = Bench::with_collection();
    bench.log_in(OTHER, create(true));
    let home = Some((DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned()));
    let describe = bench.take(A);
    assert!(matches!(describe.what, What::Describe { id: ID, .. }));
    assert_eq!(describe.home, home);

    let mut bench = Bench::new();
    bench.log(create(false));
    bench.finish_all(200);
    bench.log(add(&[1]));
    let probing = bench.take(A);
    assert!(probing.probe_dimension);
    assert_eq!(probing.home, home);
}

#[test]
fn writes_of_other_lanes_in_between_leave_a_lane_in_order() {
    let mut bench = Bench::with_collection();
    bench.log_in(
        OTHER,
        Op::CreateCollection {
            tenant: DEFAULT_TENANT.to_owned(),
            database: DEFAULT_DATABASE.to_owned(),
            name: "other".to_owned(),
            get_or_create: false,
        },
    );
    bench.finish_all(200);
    // The second instance leads, which keeps the lane while it is empty.
    bench.down(A);
    bench.log(add(&[2]));
    bench.finish_all(201);
    bench.up(A);
    bench.finish_all(201);
    bench.log_in(OTHER, add(&[1]));
    bench.finish_all(201);
    bench.log(add(&[3]));
    bench.finish_all(201);
    assert_eq!(bench.core.view().pending, 0);
}

#[test]
fn a_missing_collection_is_explained_by_a_drop_that_is_not_finished() {
    let mut bench = Bench::with_collection();
    assert!(!bench.core.explains_missing(ID));
    bench.log(Op::DropCollection);
    assert!(bench.core.explains_missing(ID), "under way");
    let drop = bench.take(A);
    let answer = Answer { status: 200, body: b"{}".to_vec() };
    bench.end(&drop, DeliveryOutcome::Success { answer, real_id: None });
    assert!(bench.core.explains_missing(ID), "done there, and not yet durable");
    bench.save();
    assert!(bench.core.explains_missing(ID), "dropped");
}
