//! Which schema entries wait for which: they are ordered against each other only where their names meet.

use std::collections::{BTreeMap, BTreeSet};

use super::core::Core;
use super::lane::LaneState;
use crate::wal::record::{Lane, Lsn, Op};

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
    /// The lanes of these entries, and the names.
    noted: BTreeMap<Lsn, (Lane, Vec<Name>)>,
    /// Entries that wait, or waited, for entries of these lanes ...
    waits: BTreeMap<Lsn, BTreeSet<Lane>>,
    /// ... and who waits for a lane, with the waiting one's own.
    waited_for: BTreeMap<Lane, BTreeMap<Lsn, Lane>>,
    /// True while the log's entries are taken in again: what a collection was called before a rename that is not
    /// applied everywhere is not known then, so that it may be any name of its database.
    pub(super) names_unknown: bool,
}

impl SchemaOrder {
    /// Notes an entry; gives the unfinished ones that it comes after.
    fn add(&mut self, lsn: Lsn, lane: &Lane, exclusive: Vec<Name>, shared: Vec<Name>) -> Vec<Lsn> {
        let mut after = BTreeSet::new();
        for name in &exclusive {
            after.extend(self.exclusive.get(name).into_iter().flatten());
            after.extend(self.shared.get(name).into_iter().flatten());
        }
        for name in &shared {
            after.extend(self.exclusive.get(name).into_iter().flatten());
        }
        after.retain(|other| self.lane_of(*other).is_some_and(|other| other != lane));
        for (side, names) in [(&mut self.exclusive, &exclusive), (&mut self.shared, &shared)] {
            for name in names {
                side.entry(name.clone()).or_default().insert(lsn);
            }
        }
        self.noted.insert(lsn, (lane.clone(), [exclusive, shared].concat()));
        let lanes: BTreeSet<Lane> = after.iter().filter_map(|other| self.lane_of(*other).cloned()).collect();
        for other in &lanes {
            self.waited_for.entry(other.clone()).or_default().insert(lsn, lane.clone());
        }
        if !lanes.is_empty() {
            self.waits.insert(lsn, lanes);
        }
        after.into_iter().collect()
    }

    /// Forgets a finished entry.
    pub(super) fn forget(&mut self, lsn: Lsn) {
        for other in self.waits.remove(&lsn).unwrap_or_default() {
            if let Some(waiting) = self.waited_for.get_mut(&other) {
                waiting.remove(&lsn);
                if waiting.is_empty() {
                    self.waited_for.remove(&other);
                }
            }
        }
        let Some((_, names)) = self.noted.remove(&lsn) else { return };
        for name in names {
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

    /// The unfinished entries of other lanes up to one that give or take a collection's name, or its database.
    pub(super) fn before(
        &self,
        lane: &Lane,
        (tenant, database, name): (&str, &str, &str),
        upto: Lsn,
    ) -> Vec<Lsn> {
        let names = [
            Name::Collection(tenant.to_owned(), database.to_owned(), name.to_owned()),
            Name::Database(tenant.to_owned(), database.to_owned()),
        ];
        let known = names.iter().filter_map(|name| self.exclusive.get(name)).flatten();
        known.copied().filter(|lsn| *lsn <= upto && self.lane_of(*lsn) != Some(lane)).collect()
    }

    /// The lanes of entries that wait, or waited, for entries of a lane.
    pub(super) fn dependents(&self, lane: &Lane) -> impl Iterator<Item = &Lane> {
        self.waited_for.get(lane).into_iter().flat_map(BTreeMap::values)
    }

    /// The lane of an unfinished entry that touches names.
    pub(super) fn lane_of(&self, lsn: Lsn) -> Option<&Lane> {
        self.noted.get(&lsn).map(|(lane, _)| lane)
    }
}

impl Core {
    /// The lane that an entry goes to, made where there is none.
    pub(super) fn lane_entry(&mut self, key: &Lane, lsn: Lsn, creates: bool) -> &mut LaneState {
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
                lane.dropped_at = (living.is_none() && !creates).then_some(Lsn(0));
            }
            lane
        })
    }

    /// The schema entries in other lanes that an entry waits for.
    pub(super) fn order_schema(&mut self, lsn: Lsn, key: &Lane, op: &Op) -> Vec<Lsn> {
        let (exclusive, shared) = match (key, op) {
            (Lane::Tenant { tenant }, _) => (vec![Name::Tenant(tenant.clone())], vec![]),
            (Lane::Database { tenant, database }, _) => {
                (vec![Name::Database(tenant.clone(), database.clone())], vec![Name::Tenant(tenant.clone())])
            }
            (Lane::Collection(_), Op::CreateCollection { tenant, database, name, .. }) => {
                let lane = self.lane_entry(key, lsn, true);
                lane.names.insert(name.clone());
                collection_names(tenant, database, [name.clone()])
            }
            (Lane::Collection(id), Op::ModifyCollection { .. } | Op::DropCollection) => {
                let Some(known) = self.catalog.known(*id) else {
                    return Vec::new();
                };
                let (tenant, database, current) =
                    (known.tenant.clone(), known.database.clone(), known.name.clone());
                let drops = *op == Op::DropCollection;
                let lane = self.lane_entry(key, lsn, false);
                lane.names.insert(current);
                match op {
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
        self.schema.add(lsn, key, exclusive, shared)
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
