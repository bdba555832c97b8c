//! What an instance does next in a lane.

use std::sync::Arc;

use super::core::Core;
use super::event::What;
use super::lane::LaneState;
use super::pending::{Effect, Pending};
use crate::catalog::change::CatalogChange;
use crate::chroma::error::{ApiError, CHROMA};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::chroma::rewrite::deleted_body;
use crate::wal::record::brief::Ruling;
use crate::wal::record::{Answer, Lane, Lsn, Op, Verdict};

/// An instance's next step in a lane.
pub(super) enum Step {
    /// Nothing now; whatever changes that touches the lane again.
    Wait,
    /// All up to this is void there, which must be durable before anything builds on it.
    Skip { upto: Lsn },
    /// The catalog alone decides the entry.
    Decide { lsn: Lsn, verdict: Verdict, changes: Vec<CatalogChange> },
    /// The entry is void, though not all before it is applied there.
    Refuse { lsn: Lsn, verdict: Verdict },
    Send {
        entries: Vec<Lsn>,
        /// All of them were decided before.
        decided: bool,
        what: What,
        probe_dimension: bool,
    },
}

impl Step {
    fn send(entry: &Pending, what: What) -> Self {
        Self::Send { entries: vec![entry.lsn], decided: entry.is_decided(), what, probe_dimension: false }
    }

    fn refuse(entry: &Pending, error: &ApiError) -> Self {
        Self::Decide { lsn: entry.lsn, verdict: rejection(error), changes: Vec::new() }
    }
}

fn rejection(error: &ApiError) -> Verdict {
    let answer = Answer { status: error.status, body: error.body() };
    Verdict::Rejected { answer, fixes_dimension: None }
}

impl Core {
    /// Chooses the next step; moves the applied position over what needs nothing there.
    pub(super) fn step(&mut self, key: &Lane, instance: InstanceId) -> Step {
        if !self.is_up(instance) {
            return Step::Wait;
        }
        let Some(lane) = self.lanes.get(key) else {
            return Step::Wait;
        };
        let at = &lane.at[instance.index()];
        if at.in_flight.is_some() || at.retry_at_ms > self.now_ms {
            return Step::Wait;
        }
        let own = if at.divergent.is_some() {
            self.target_step(key, instance)
        } else {
            self.source_step(key, instance)
        };
        if let Some(step) = own {
            return step;
        }
        let Some(lane) = self.lanes.get(key) else {
            return Step::Wait;
        };
        let before = lane.at[instance.index()].applied;
        if self.skip_voids(key, instance) > before {
            self.wake_dependents(key);
        }
        let Some(lane) = self.lanes.get(key) else {
            return Step::Wait;
        };
        let at = &lane.at[instance.index()];
        let next = lane.entries.get(lane.index_after(at.applied));
        let Some(entry) = next.filter(|entry| entry.lsn <= at.limit()) else {
            return Step::Wait;
        };
        if entry.is_cancelled() && entry.is_durable() {
            return Step::Skip { upto: entry.lsn };
        }
        if let Some(upto) = never_came(lane, entry, instance) {
            return Step::Skip { upto };
        }
        if lane.at[instance.index()].stops_before(entry.lsn) {
            return Step::Wait;
        }
        if let Some(step) = self.ends_broken(key, lane, instance) {
            return step;
        }
        let drops = || entry.is(&Op::DropCollection) || lane.is_dropped_after(entry.lsn);
        let ends = || lane.dropped_at.is_some() || drops();
        if self.holds_poison(key, instance) && !ends() {
            return Step::Wait;
        }
        if !self.may_go(lane, entry, instance) {
            self.hurry();
            return Step::Wait;
        }
        match entry.effect() {
            Effect::Apply => self.request(key, lane, entry, instance),
            Effect::FixDimension(dimension) => match self.real_id(key, instance) {
                Some(real_id) => Step::send(entry, What::FixDimension { dimension, real_id }),
                None => Step::Wait,
            },
            Effect::Undecided if !entry.is_decided() && lane.leader == instance => {
                self.decide(key, lane, entry, instance)
            }
            Effect::Undecided | Effect::Void => Step::Wait,
        }
    }

    /// The last source goes on refusing what was decided, and a drop of the collection waits: what is undecided before the
    /// drop is void, and the drop is sent past what is refused.
    fn ends_broken(&self, key: &Lane, lane: &LaneState, instance: InstanceId) -> Option<Step> {
        let Lane::Collection(id) = *key else { return None };
        let at = &lane.at[instance.index()];
        if lane.leader != instance || !at.is_broken() || !lane.is_dropped_after(at.applied) {
            return None;
        }
        let from = lane.index_after(lane.decided);
        let undecided = lane.entries.range(from..).find(|entry| !entry.is_decided());
        Some(match undecided {
            Some(entry) if !entry.is(&Op::DropCollection) => Step::Refuse {
                lsn: entry.lsn,
                verdict: rejection(&ApiError::collection_id_not_found(id.uuid())),
            },
            Some(drop) if lane.entries.get(from).is_some_and(|first| first.lsn == drop.lsn) => {
                let in_turn = drop.after().iter().all(|lsn| self.is_past(*lsn, instance));
                if in_turn { self.request(key, lane, drop, instance) } else { Step::Wait }
            }
            _ => Step::Wait,
        })
    }

    /// I3: the outcome there of every earlier write that it conflicts with is durable; and schema entries that it
    /// depends on are applied there.
    fn may_go(&self, lane: &LaneState, entry: &Pending, instance: InstanceId) -> bool {
        let at = &lane.at[instance.index()];
        let unsaved = lane.index_after(at.applied_durable)..lane.index_after(at.applied);
        // A withdrawal that a crash forgets would be tried again, after what went past it.
        let bars = |earlier: &Pending| entry.conflicts(earlier) || earlier.ruling() == Some(Ruling::Poisoned);
        if lane.entries.range(unsaved).any(bars) {
            return false;
        }
        // Of entries that were given up there, nobody knows any more who comes after them.
        let names = entry.takes_name() && self.rebuilds.block_names_on(instance);
        !names && entry.after().iter().all(|lsn| self.is_past(*lsn, instance))
    }

    /// Moves the position over entries that are void there: refused ones, and what a drop makes needless. Gives the
    /// position.
    fn skip_voids(&mut self, key: &Lane, instance: InstanceId) -> Lsn {
        let real_id = self.real_id(key, instance);
        let Some(lane) = self.lanes.get_mut(key) else {
            return Lsn(0);
        };
        loop {
            let at = &lane.at[instance.index()];
            let Some(entry) = lane.entries.get(lane.index_after(at.applied)) else {
                return at.applied;
            };
            let lsn = entry.lsn;
            let ends = lane.dropped_at.is_some_and(|dropped| lsn <= dropped);
            let void = match (real_id, entry.other()) {
                // Nobody else recorded a position beyond it.
                _ if entry.is_cancelled() => false,
                _ if entry.effect() == Effect::Void => true,
                _ if !ends => false,
                // Others may wait for the name that it gives away there.
                (Some(_), Some(Op::ModifyCollection { new_name: Some(_) } | Op::DropCollection)) => false,
                (Some(_), _) => true,
                // The create was void there too, and is finished.
                (None, Some(Op::DropCollection)) => at.unsaved.is_empty(),
                (None, _) => false,
            };
            if !void {
                return at.applied;
            }
            lane.at[instance.index()].skip_to(lsn);
            self.dirty.insert(key.clone());
        }
    }

    pub(super) fn real_id(&self, key: &Lane, instance: InstanceId) -> Option<u128> {
        match key {
            Lane::Collection(id) => self.catalog.real_id(*id, instance),
            Lane::Database { .. } | Lane::Tenant { .. } => None,
        }
    }

    /// The leader's step for an undecided entry.
    fn decide(&self, key: &Lane, lane: &LaneState, entry: &Pending, instance: InstanceId) -> Step {
        if let Lane::Collection(id) = key
            && (entry.is_on_trial() || lane.is_tainted() || self.holds_poison(key, instance))
            && lane.is_dropped_after(entry.lsn)
        {
            return Step::refuse(entry, &ApiError::collection_id_not_found(id.uuid()));
        }
        if let Lane::Collection(id) = key
            && lane.dropped_at.is_some_and(|dropped| dropped < entry.lsn)
        {
            return Step::refuse(entry, &self.gone(*id, entry));
        }
        match entry.other() {
            // Nobody may be able to try it: the copies of either may be untrusted.
            Some(Op::ModifyCollection { .. }) if self.lacks_existing(key, entry, instance) => {
                Step::refuse(entry, &ApiError::rename_taken())
            }
            // Another instance decides it, as soon as one is able to.
            Some(_) if self.lacks_existing(key, entry, instance) => Step::Wait,
            Some(Op::CreateCollection { tenant, database, name, get_or_create }) => self
                .decide_create(entry, instance, (tenant, database, name), *get_or_create)
                .unwrap_or_else(|| self.request(key, lane, entry, instance)),
            Some(op @ (Op::CreateDatabase | Op::DropDatabase | Op::CreateTenant)) => {
                match self.certain_refusal(key, op) {
                    Some(error) => Step::refuse(entry, &error),
                    None => self.request(key, lane, entry, instance),
                }
            }
            Some(Op::DropTenant) => self.decide_drop_tenant(key, entry),
            Some(Op::DeleteWhere) => self.decide_delete_where(key, lane, entry, instance),
            None if self.gathers(lane, instance) => Step::Wait,
            _ => self.request(key, lane, entry, instance),
        }
    }

    /// The catalog alone drops a tenant, unless somebody made a database in it meanwhile. On the instances it stays,
    /// empty, which nobody can see through us.
    fn decide_drop_tenant(&self, key: &Lane, entry: &Pending) -> Step {
        let changes = match key {
            Lane::Tenant { tenant } if self.catalog.databases(tenant).next().is_none() => {
                vec![CatalogChange::TenantDropped { tenant: tenant.clone() }]
            }
            _ => Vec::new(),
        };
        let answer = Answer { status: 200, body: b"{}".to_vec() };
        Step::Decide { lsn: entry.lsn, verdict: Verdict::Unchanged(answer), changes }
    }

    /// Chroma names the collection by what the path of the request names it.
    fn gone(&self, id: CollectionId, entry: &Pending) -> ApiError {
        match self.catalog.known(id) {
            Some(collection) if entry.is(&Op::DropCollection) => {
                ApiError::collection_not_found(&collection.name)
            }
            _ => ApiError::collection_id_not_found(id.uuid()),
        }
    }

    /// What the catalog alone decides of a create; `None` where the leader must.
    fn decide_create(
        &self,
        entry: &Pending,
        instance: InstanceId,
        (tenant, database, name): (&str, &str, &str),
        get_or_create: bool,
    ) -> Option<Step> {
        if self.catalog.database_id(tenant, database).is_none() {
            return Some(Step::refuse(entry, &ApiError::database_of_create_not_found(database)));
        }
        let existing = self.catalog.by_name(tenant, database, name)?;
        if !get_or_create {
            return Some(Step::refuse(entry, &ApiError::collection_exists(name)));
        }
        Some(match existing.real_ids.get(&instance) {
            Some(real_id) => Step::send(entry, What::Describe { id: existing.id, real_id: *real_id }),
            None => Step::Wait,
        })
    }

    fn certain_refusal(&self, key: &Lane, op: &Op) -> Option<ApiError> {
        match (key, op) {
            (Lane::Database { tenant, database }, Op::CreateDatabase) => {
                self.catalog.database_id(tenant, database).map(|_| ApiError::database_exists(database))
            }
            (Lane::Database { tenant, database }, _) => match self.catalog.database_id(tenant, database) {
                None => Some(ApiError::database_to_delete_not_found(database)),
                // A create was under way when the drop was taken in, so that nobody logged the collection's drop.
                Some(_) => self.catalog.collections(tenant, database).next().map(|(name, _)| {
                    let message =
                        format!("Collection [{name}] was just created in database [{database}]; try again");
                    ApiError::new(409, CHROMA, message)
                }),
            },
            (Lane::Tenant { tenant }, _) => {
                self.catalog.has_tenant(tenant).then(|| ApiError::tenant_exists(tenant))
            }
            (Lane::Collection(_), _) => None,
        }
    }

    /// I7: the ids are read on the leader when everything before is applied and saved there, made durable, and only
    /// then deleted.
    fn decide_delete_where(
        &self,
        key: &Lane,
        lane: &LaneState,
        entry: &Pending,
        instance: InstanceId,
    ) -> Step {
        match (entry.resolved(), self.real_id(key, instance)) {
            (Some(ids), _) if ids.is_empty() => {
                let answer = Answer { status: 200, body: deleted_body(0) };
                Step::Decide { lsn: entry.lsn, verdict: Verdict::Unchanged(answer), changes: Vec::new() }
            }
            (Some(_), _) => self.request(key, lane, entry, instance),
            (None, Some(real_id)) if !entry.is_resolving() => Step::send(entry, What::Resolve { real_id }),
            (None, _) => Step::Wait,
        }
    }

    /// The request that brings the entry, or the run that begins with it, to an instance.
    fn request(&self, key: &Lane, lane: &LaneState, entry: &Pending, instance: InstanceId) -> Step {
        if let Lane::Collection(id) = key
            && let Some(Op::CreateCollection { tenant, database, name, .. }) = entry.other()
        {
            let (tenant, database, name) = (tenant.clone(), database.clone(), name.clone());
            return Step::send(entry, What::CreateCollection { id: *id, tenant, database, name });
        }
        let what = match (key, entry.other()) {
            (Lane::Database { tenant, database }, _) => {
                let (tenant, database) = (tenant.clone(), database.clone());
                if entry.is(&Op::CreateDatabase) {
                    What::CreateDatabase { tenant, database }
                } else {
                    What::DropDatabase { tenant, database }
                }
            }
            (Lane::Tenant { tenant }, _) => What::CreateTenant { tenant: tenant.clone() },
            (Lane::Collection(id), other) => {
                let Some(real_id) = self.real_id(key, instance) else {
                    return Step::Wait;
                };
                if let Some(write) = entry.records() {
                    let entries = self.run(lane, entry, instance);
                    let decided = entry.is_decided();
                    let probe_dimension = lane.dimension.is_none() && !decided;
                    let what = What::Records { kind: write.kind, real_id };
                    return Step::Send { entries, decided, what, probe_dimension };
                }
                match other {
                    Some(Op::DeleteWhere) => match entry.resolved() {
                        Some(ids) => What::DeleteIds { ids: Arc::clone(ids), real_id },
                        None => return Step::Wait,
                    },
                    Some(Op::ModifyCollection { .. }) => What::ModifyCollection { real_id },
                    _ => match self.catalog.known(*id) {
                        Some(known) => What::DropCollection {
                            real_id,
                            tenant: known.tenant.clone(),
                            database: known.database.clone(),
                        },
                        None => return Step::Wait,
                    },
                }
            }
        };
        Step::send(entry, what)
    }
}

/// The drop of a collection whose create was never sent to the instance, so that there is nothing to create or drop.
/// Names that it would have held there are free for others; after a restart nobody could tell that it was never sent.
fn never_came(lane: &LaneState, entry: &Pending, instance: InstanceId) -> Option<Lsn> {
    let creates = matches!(entry.other(), Some(Op::CreateCollection { .. }));
    let unsent = lane.at[instance.index()].sent < entry.lsn;
    lane.dropped_at.filter(|dropped| creates && unsent && entry.lsn < *dropped)
}
