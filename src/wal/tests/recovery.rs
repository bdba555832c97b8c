//! What is there after a restart.

use super::support::{answer, collection, decision, head, lane, logged_head, open, outcome};
use crate::catalog::Catalog;
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::NewEntry;
use crate::wal::record::brief::{Brief, Work};
use crate::wal::record::rebuild::{RebuildStep, Stage, StoredRebuild};
use crate::wal::record::{Lane, Lsn, Op, Outcome, Record};

#[test]
fn every_kind_of_record_survives() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert_eq!(log.recovered.cluster, "fresh-cluster");
    assert_eq!((log.recovered.next_lsn, log.recovered.entries.len()), (Lsn(1), 0));
    let (one, two, three) = (log.log(1, "a"), log.log(2, "b"), log.log(3, "c"));
    let ids = vec!["x".to_owned(), "y".to_owned()];
    log.note(vec![
        outcome(0, two, vec![decision(one)]),
        outcome(1, one, vec![]),
        Record::Resolved { lsn: two, ids: ids.clone() },
        Record::Divergent { lane: lane(), instance: InstanceId(1), reason: "its disk".to_owned() },
        Record::Suspect { lsn: three, instance: InstanceId(0), answer: answer(500) },
        Record::Suspect { lsn: two, instance: InstanceId(0), answer: answer(500) },
        Record::Discarded { lsn: two },
        Record::Joined { instance: InstanceId(1) },
        Record::Marker { instance: InstanceId(1), counter: 42 },
        rebuild(RebuildStep::Listed { from: one, name: "c".to_owned(), ids: 5 }),
        rebuild(RebuildStep::Created { real_id: 9 }),
    ]);
    let crashed = as_after_a_crash(dir.path());
    for _ in 0..2 {
        // The first time the records are replayed, the second time everything comes from the checkpoint.
        let log = open(crashed.path());
        let recovered = &log.recovered;
        assert_eq!(recovered.cluster, "fresh-cluster");
        assert_eq!(recovered.next_lsn, Lsn(4));
        let briefs: Vec<_> = (1..=3).map(|n| Brief::of(Lsn(n), logged_head(n, 1))).collect();
        assert_eq!(recovered.entries, [briefs]);
        assert_eq!(recovered.decisions, [(one, decision(one).verdict.ruling())]);
        assert_eq!(recovered.resolved[&two], ids);
        assert_eq!(recovered.positions, [(lane(), InstanceId(0), two), (lane(), InstanceId(1), one)]);
        assert_eq!(recovered.divergent, [(lane(), InstanceId(1), "its disk".to_owned())]);
        let (instance, name, stage) = (InstanceId(1), "c".to_owned(), Stage::Created);
        let wanted = StoredRebuild { lane: lane(), instance, from: one, name, ids: 5, stage };
        assert_eq!((&recovered.rebuilds[..], &recovered.lost[..]), (&[wanted][..], &[][..]));
        assert_eq!(recovered.suspects, [(three, InstanceId(0), answer(500))]);
        let names: Vec<_> =
            recovered.instances.iter().map(|i| (i.name.as_str(), i.joined, i.marker_counter)).collect();
        assert_eq!(names, [("a", false, 0), ("b", true, 42)]);
    }
}

fn rebuild(step: RebuildStep) -> Record {
    Record::Rebuild { lane: lane(), instance: InstanceId(1), step }
}

#[test]
fn a_rebuild_that_ended_leaves_a_position_and_no_divergence() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let lsn = log.log(1, "a");
    log.note(vec![
        Record::Divergent { lane: lane(), instance: InstanceId(1), reason: "its disk".to_owned() },
        rebuild(RebuildStep::Listed { from: lsn, name: "c".to_owned(), ids: 0 }),
        rebuild(RebuildStep::Copied),
        rebuild(RebuildStep::Ended { applied: lsn }),
    ]);
    drop(log);
    let recovered = &open(dir.path()).recovered;
    assert_eq!((recovered.divergent.len(), recovered.rebuilds.len()), (0, 0));
    assert_eq!(recovered.positions, [(lane(), InstanceId(1), lsn)]);
}

#[test]
fn an_instance_that_lost_its_state_has_no_copy_and_no_marker_until_it_joins_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let id = CollectionId(1);
    let created = CatalogChange::CollectionCreated {
        id,
        tenant: "default_tenant".to_owned(),
        database: "default_database".to_owned(),
        name: "c".to_owned(),
    };
    let copies = (0..2).map(|n| CatalogChange::RealId { id, instance: InstanceId(n), real_id: 7 });
    let changes = std::iter::once(created).chain(copies).collect();
    let (lane, instance, why) = (Lane::Collection(id), InstanceId(1), "it is empty".to_owned());
    log.note(vec![
        Record::Joined { instance },
        Record::Marker { instance, counter: 42 },
        Record::Outcome(Outcome {
            lane: lane.clone(),
            instance,
            applied: Lsn(1),
            decisions: vec![],
            changes,
        }),
        Record::Rebuild {
            lane: lane.clone(),
            instance,
            step: RebuildStep::Listed { from: Lsn(1), name: "c".to_owned(), ids: 0 },
        },
        Record::Lost { instance, reason: why.clone() },
    ]);
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.recovered.lost, [(instance, why.clone())]);
    assert_eq!(log.recovered.divergent, [(lane, instance, why)]);
    assert_eq!(log.recovered.rebuilds, []);
    let known = &log.recovered.instances[1];
    assert_eq!((known.joined, known.marker_counter), (false, 0));
    log.note(vec![Record::Joined { instance }]);
    drop(log);
    let recovered = &open(dir.path()).recovered;
    assert_eq!((recovered.lost.len(), recovered.divergent.len()), (0, 1));
}

/// A copy of the directory as a crash would leave it: the running log's files, as they are.
fn as_after_a_crash(dir: &std::path::Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for sub in ["", "wal", "wal/bodies"] {
        std::fs::create_dir_all(copy.path().join(sub)).unwrap();
        for file in std::fs::read_dir(dir.join(sub)).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), copy.path().join(sub).join(file.file_name())).unwrap();
            }
        }
    }
    copy
}

#[test]
fn finished_entries_do_not_come_back_as_decisions_and_their_lane_ends_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let lsn = log.log(1, "a");
    log.settle(lsn);
    log.wal.checkpoint().unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.recovered.entries.iter().flatten().count(), 1, "still in the segment");
    assert!(log.recovered.decisions.is_empty());
    assert_eq!(log.recovered.positions.len(), 2);
    log.wal.finished(&[lsn]);
    log.wal.checkpoint().unwrap();
    drop(log);
    let log = open(dir.path());
    assert!(log.recovered.entries.is_empty());
    assert!(log.recovered.positions.is_empty(), "no such collection lives");
    assert_eq!(log.recovered.next_lsn, Lsn(2), "a number is never used again");
}

#[test]
fn a_verdict_that_the_checkpoint_holds_goes_when_its_entry_is_finished_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let lsn = log.log(1, "a");
    log.note(vec![outcome(0, lsn, vec![decision(lsn)])]);
    log.wal.checkpoint().unwrap();
    log.wal.finished(&[lsn]);
    log.wal.checkpoint().unwrap();
    drop(log);
    let conn = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let kept = || conn.query_row("SELECT count(*) FROM decision", [], |row| row.get::<_, u64>(0)).unwrap();
    assert_eq!(kept(), 0);
    // As a crash leaves it when an entry's segment went before the checkpoint held its verdict.
    let verdict = crate::wal::codec::encode(&decision(Lsn(99)).verdict).unwrap();
    conn.execute("INSERT INTO decision VALUES (99, ?1)", [verdict]).unwrap();
    assert!(open(dir.path()).recovered.decisions.is_empty());
    assert_eq!(kept(), 0);
}

#[test]
fn a_living_lane_keeps_its_positions() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let lsn = log.log(1, "a");
    log.note(vec![Record::Outcome(Outcome {
        lane: lane(),
        instance: InstanceId(0),
        applied: lsn,
        decisions: vec![decision(lsn)],
        changes: vec![CatalogChange::CollectionCreated {
            id: collection(),
            tenant: "t".to_owned(),
            database: "d".to_owned(),
            name: "n".to_owned(),
        }],
    })]);
    drop(log);
    let log = open(dir.path());
    log.wal.finished(&[lsn]);
    log.wal.checkpoint().unwrap();
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.recovered.positions, [(lane(), InstanceId(0), lsn)]);
}

#[test]
fn the_catalog_of_the_checkpoint_is_the_fold_of_all_changes() {
    let seed =
        std::env::var("ISOCHROME_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());

    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Catalog::default();
    for _ in 0..12 {
        let log = open(dir.path());
        let mut restored = Catalog::default();
        log.recovered.changes.iter().for_each(|change| restored.apply(change));
        assert_eq!(restored, expected, "ISOCHROME_SEED={seed}");
        let mut kept = vec![];
        for _ in 0..random.usize(1..12) {
            if let Some(change) = change(&mut random, &expected) {
                expected.apply(&change);
                kept.push(change);
            }
        }
        log.note(vec![Record::Outcome(Outcome {
            lane: Lane::Tenant { tenant: "t".to_owned() },
            instance: InstanceId(0),
            applied: Lsn(0),
            decisions: vec![],
            changes: kept,
        })]);
    }
}

/// A change that may happen to any catalog: names do not clash among the living.
fn change(random: &mut fastrand::Rng, catalog: &Catalog) -> Option<CatalogChange> {
    let pick = |random: &mut fastrand::Rng, from: &[&str]| from[random.usize(..from.len())].to_owned();
    let tenant = pick(random, &["default_tenant", "t1"]);
    let database = pick(random, &["default_database", "d1", "d2"]);
    let name = pick(random, &["x", "y", "z"]);
    let id = CollectionId(random.u128(1..9));
    Some(match random.u8(..10) {
        0 => CatalogChange::TenantCreated { tenant },
        1 if catalog.databases(&tenant).next().is_none() => CatalogChange::TenantDropped { tenant },
        2 => CatalogChange::DatabaseCreated { tenant, database, id: random.u128(..) },
        3 if catalog.collections(&tenant, &database).next().is_none() => {
            CatalogChange::DatabaseDropped { tenant, database }
        }
        4 | 5 if catalog.by_name(&tenant, &database, &name).is_none() && catalog.known(id).is_none() => {
            CatalogChange::CollectionCreated { id, tenant, database, name }
        }
        6 => {
            let known = catalog.living(id)?;
            catalog.by_name(&known.tenant, &known.database, &name).is_none().then_some(())?;
            CatalogChange::CollectionRenamed { id, name }
        }
        7 if catalog.living(id).is_some() => CatalogChange::CollectionDropped { id },
        8 => CatalogChange::RealId { id, instance: InstanceId(random.u8(..2)), real_id: random.u128(..) },
        9 if catalog.known(id).is_some_and(|known| known.dropped) => {
            CatalogChange::CollectionForgotten { id }
        }
        _ => CatalogChange::Dimension { id, dimension: 3 },
    })
}

#[test]
fn parts_of_a_compound_write_have_no_transaction_and_still_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let part = |ticket| NewEntry {
        head: crate::wal::record::EntryHead { op: Op::DropCollection, transaction: None, ..head(ticket) },
        body: bytes::Bytes::new(),
        ticket,
    };
    log.wal.append(vec![part(1), part(2)]).unwrap();
    log.next();
    drop(log);
    let log = open(dir.path());
    let works: Vec<_> = log.recovered.entries.iter().flatten().map(|entry| &entry.work).collect();
    assert_eq!(works, [&Work::of(Op::DropCollection, 0); 2]);
}
