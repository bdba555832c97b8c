//! Which schema entries wait for which: they are ordered against each other only where their names meet.

use std::collections::{BTreeMap, BTreeSet};

use super::core::Core;
use super::lane::LaneState;
use crate::wal::record::{EntryHead, Lane, Lsn, Op};

/// A name that schema entries can meet in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Tenant(String),
    Database(String, String),
    Collection(String, String, String),
}

/// Unfinished schema entries by the names they touch.
#[derive(Debug, Default)]
pub(super) struct SchemaOrder {
    /// Entries that give or take the name.
    exclusive: BTreeMap<Name, BTreeSet<Lsn>>,
    /// Entries that need the name to stay as it is.
    shared: BTreeMap<Name, BTreeSet<Lsn>>,
    names: BTreeMap<Lsn, Vec<Name>>,
    /// Entries that wait, or waited, for others.
    dependents: BTreeSet<Lsn>,
    /// True while the log's entries are taken in again: what a collection was called before a rename that is not
    /// applied everywhere is not known then, so that it may be any name of its database.
    pub(super) names_unknown: bool,
}

impl SchemaOrder {
    /// Notes an entry; gives the unfinished ones that it comes after.
    fn add(&mut self, lsn: Lsn, exclusive: Vec<Name>, shared: Vec<Name>) -> Vec<Lsn> {
        let mut after = BTreeSet::new();
        for name in &exclusive {
            after.extend(self.exclusive.get(name).into_iter().flatten());
            after.extend(self.shared.get(name).into_iter().flatten());
        }
        for name in &shared {
            after.extend(self.exclusive.get(name).into_iter().flatten());
        }
        after.remove(&lsn);
        for (side, names) in [(&mut self.exclusive, &exclusive), (&mut self.shared, &shared)] {
            for name in names {
                side.entry(name.clone()).or_default().insert(lsn);
            }
        }
        self.names.insert(lsn, [exclusive, shared].concat());
        if !after.is_empty() {
            self.dependents.insert(lsn);
        }
        after.into_iter().collect()
    }

    /// Forgets a finished entry.
    pub(super) fn forget(&mut self, lsn: Lsn) {
        self.dependents.remove(&lsn);
        for name in self.names.remove(&lsn).unwrap_or_default() {
            for side in [&mut self.exclusive, &mut self.shared] {
                if let Some(lsns) = side.get_mut(&name) {
                    lsns.remove(&lsn);
                    if lsns.is_empty() {
                        side.remove(&name);
                    }
                }
            }
        }
    }

    /// Entries that wait, or waited, for others.
    pub(super) fn dependents(&self) -> impl Iterator<Item = Lsn> + use<> {
        self.dependents.clone().into_iter()
    }
}

impl Core {
    /// The lane that an entry goes to, made where there is none.
    pub(super) fn lane_entry(&mut self, key: &Lane, lsn: Lsn, op: &Op) -> &mut LaneState {
        let (leader, instances, now_ms) = (self.preferred(), self.settings.instances, self.now_ms);
        let catalog = &self.catalog;
        self.lanes.entry(key.clone()).or_insert_with(|| {
            let mut lane = LaneState::new(instances, leader, now_ms);
            let before = Lsn(lsn.0.saturating_sub(1));
            lane.decided = before;
            lane.at.iter_mut().for_each(|at| (at.applied, at.applied_durable) = (before, before));
            if let Lane::Collection(id) = key {
                let living = catalog.living(*id);
                lane.dimension = living.and_then(|collection| collection.dimension);
                let creates = matches!(op, Op::CreateCollection { .. });
                lane.dropped_at = (living.is_none() && !creates).then_some(Lsn(0));
            }
            lane
        })
    }

    /// The schema entries in other lanes that an entry waits for.
    pub(super) fn order_schema(&mut self, lsn: Lsn, head: &EntryHead) -> Vec<Lsn> {
        let (exclusive, shared) = match (&head.lane, &head.op) {
            (Lane::Tenant { tenant }, _) => (vec![Name::Tenant(tenant.clone())], vec![]),
            (Lane::Database { tenant, database }, _) => {
                (vec![Name::Database(tenant.clone(), database.clone())], vec![Name::Tenant(tenant.clone())])
            }
            (Lane::Collection(_), Op::CreateCollection { tenant, database, name, .. }) => {
                let lane = self.lane_entry(&head.lane, lsn, &head.op);
                lane.names.insert(name.clone());
                collection_names(tenant, database, [name.clone()])
            }
            (Lane::Collection(id), Op::ModifyCollection { .. } | Op::DropCollection) => {
                let Some(known) = self.catalog.known(*id) else {
                    return Vec::new();
                };
                let (tenant, database, current) =
                    (known.tenant.clone(), known.database.clone(), known.name.clone());
                let drops = head.op == Op::DropCollection;
                let lane = self.lane_entry(&head.lane, lsn, &head.op);
                lane.names.insert(current);
                match &head.op {
                    Op::ModifyCollection { new_name: Some(name) } => _ = lane.names.insert(name.clone()),
                    _ if drops => {}
                    _ => return Vec::new(),
                }
                let names = lane.names.clone();
                let (mut exclusive, shared) = collection_names(&tenant, &database, names);
                if self.schema.names_unknown {
                    exclusive.push(Name::Database(tenant, database));
                }
                (exclusive, shared)
            }
            (Lane::Collection(_), _) => return Vec::new(),
        };
        let mut after = self.schema.add(lsn, exclusive, shared);
        after.retain(|other| self.lane_of.get(other).is_some_and(|lane| *lane != head.lane));
        after
    }
}

fn collection_names(
    tenant: &str,
    database: &str,
    names: impl IntoIterator<Item = String>,
) -> (Vec<Name>, Vec<Name>) {
    let name = |name| Name::Collection(tenant.to_owned(), database.to_owned(), name);
    (names.into_iter().map(name).collect(), vec![Name::Database(tenant.to_owned(), database.to_owned())])
}
