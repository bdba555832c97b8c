//! Instances come to a data directory, and go.

use std::path::Path;

use super::support::{answer, collection, decision, lane, open, outcome, quiet, try_open};
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::InstanceId;
use crate::wal::record::duty::{Duties, Duty};
use crate::wal::record::{Lsn, Outcome, Record};
use crate::wal::roster::{add, remove};

fn numbers(dir: &Path, names: &[&str]) -> Vec<(u8, String)> {
    let log = try_open(dir, quiet(), names, |engine| Box::new(engine)).unwrap();
    log.recovered.instances.iter().map(|known| (known.id.0, known.name.clone())).collect()
}

fn numbered(names: &[&str]) -> Vec<(u8, String)> {
    (0..).zip(names.iter().map(|name| (*name).to_owned())).collect()
}

/// A log whose collection is on these of its instances.
fn in_use(dir: &Path, names: &[&str], holders: &[u8]) -> Lsn {
    let log = try_open(dir, quiet(), names, |engine| Box::new(engine)).unwrap();
    let lsn = log.log(1, "body");
    let created = CatalogChange::CollectionCreated {
        id: collection(),
        tenant: "t".to_owned(),
        database: "d".to_owned(),
        name: "n".to_owned(),
    };
    let held = holders.iter().map(|number| CatalogChange::RealId {
        id: collection(),
        instance: InstanceId(*number),
        real_id: 70 + u128::from(*number),
    });
    let changes = std::iter::once(created).chain(held).collect();
    let instances = || (0_u8..).map(InstanceId).take(names.len());
    let mut records: Vec<Record> = instances().map(|instance| Record::Joined { instance }).collect();
    let (instance, decisions) = (InstanceId(holders[0]), vec![decision(lsn)]);
    records.push(Record::Outcome(Outcome { lane: lane(), instance, applied: lsn, decisions, changes }));
    records.extend(holders[1..].iter().map(|holder| outcome(*holder, lsn, vec![])));
    let last = instances().last().unwrap();
    records.push(Record::Duties(Duties::default().with(last, Duty::Drain)));
    log.note(records);
    lsn
}

#[test]
fn a_directory_that_met_no_instance_knows_those_of_the_configuration_and_keeps_them_later() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(numbers(dir.path(), &["one"]), numbered(&["one"]));
    assert_eq!(numbers(dir.path(), &["three", "two"]), numbered(&["three", "two"]));
    in_use(dir.path(), &["three", "two"], &[0, 1]);
    assert_eq!(numbers(dir.path(), &["two", "four"]), numbered(&["three", "two"]));
}

#[test]
fn one_that_is_added_lacks_everything_and_is_to_be_filled() {
    let dir = tempfile::tempdir().unwrap();
    in_use(dir.path(), &["a", "b"], &[0, 1]);
    assert_eq!(add(dir.path(), "c").unwrap(), ["a", "b", "c"]);
    assert!(add(dir.path(), "c").unwrap_err().to_string().contains("already"));
    let log = open(dir.path());
    assert_eq!(log.recovered.lost, [(InstanceId(2), "it is new".to_owned())]);
    assert_eq!(log.recovered.divergent, [(lane(), InstanceId(2), "it is new".to_owned())]);
    assert!(!log.recovered.instances[2].joined);
}

#[test]
fn those_behind_one_that_is_removed_move_up_with_all_that_is_known_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let lsn = in_use(dir.path(), &["a", "b", "c"], &[1, 2]);
    assert_eq!(remove(dir.path(), "a").unwrap(), ["b", "c"]);
    let log = open(dir.path());
    let recovered = &log.recovered;
    assert_eq!(recovered.positions, [0, 1].map(|number| (lane(), InstanceId(number), lsn)));
    let real_id = |number| CatalogChange::RealId {
        id: collection(),
        instance: InstanceId(number),
        real_id: 71 + u128::from(number),
    };
    assert!(recovered.changes.contains(&real_id(0)) && recovered.changes.contains(&real_id(1)));
    assert_eq!(recovered.duties.of(InstanceId(1)), Duty::Drain);
    assert_eq!(recovered.instances.iter().map(|known| known.name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn a_suspicion_of_one_that_is_removed_names_one_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    let lsn = in_use(dir.path(), &["a", "b", "c"], &[0, 1]);
    let (instance, answer) = (InstanceId(2), answer(500));
    let log = open(dir.path());
    log.note(vec![Record::Suspect { lsn, instance, answer: answer.clone() }]);
    drop(log);
    remove(dir.path(), "c").unwrap();
    assert_eq!(open(dir.path()).recovered.suspects, [(lsn, InstanceId(0), answer)]);
}

#[test]
fn the_last_one_that_has_a_collection_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    in_use(dir.path(), &["a", "b"], &[1]);
    let refused = remove(dir.path(), "b").unwrap_err().to_string();
    assert!(refused.contains("the collection n whole"), "{refused}");
    assert!(remove(dir.path(), "x").unwrap_err().to_string().contains("there are a, b"));
    assert_eq!(remove(dir.path(), "a").unwrap(), ["b"]);
    assert!(remove(dir.path(), "b").unwrap_err().to_string().contains("only instance"));
}

#[test]
fn nothing_is_made_where_no_log_is() {
    let dir = tempfile::tempdir().unwrap();
    assert!(add(dir.path(), "a").unwrap_err().to_string().contains("no data directory"));
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}
