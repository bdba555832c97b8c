//! What operators and senders see of the core.

use serde::Serialize;

use super::core::{Availability, Core};
use super::lane::LaneState;
use super::leadership::Move;
use super::pending::Effect;
use super::poison::Poisoned;
use super::rebuild::RebuildView;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::duty::Duty;
use crate::wal::record::{Lane, Lsn, Op};

/// An entry's state on one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StateThere {
    Applied,
    Pending,
    Void,
    Divergent,
}

/// One instance as the core sees it.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceView {
    pub instance: InstanceId,
    /// `up`, `checking`, or why it is down: `refused`, `hung`, `cannot write`, `lost state`,
    /// `not ours`, `fenced`, `handing over`.
    pub state: &'static str,
    /// What an operator wants of it.
    pub duty: Duty,
    pub in_flight: usize,
    /// Writes that are logged and neither applied nor void there.
    pub pending: usize,
    /// The first of them.
    pub oldest_pending: Option<Lsn>,
    /// Lanes that can't be brought to the verdicts there.
    pub divergent: Vec<(String, String)>,
    /// Collections that are brought back there.
    pub rebuilds: Vec<RebuildView>,
    /// How many of them are marked because it was down for longer than the log could hold what it missed.
    pub marked: usize,
    /// Lanes that it decides now, of those with something pending.
    pub leads: usize,
}

/// A withdrawn write that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoisonedView {
    pub lsn: Lsn,
    /// The lane in words.
    pub lane: String,
    /// The last instance that died, or stopped writing, under the write itself.
    pub instance: InstanceId,
    /// That instance is the last one that has the collection, which takes nothing and is not read until it is dropped,
    /// or the write is discarded.
    pub blocks: bool,
}

/// A committed write that the last instance which has its collection goes on refusing: the collection is behind there,
/// and takes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedView {
    pub lsn: Lsn,
    /// The lane in words.
    pub lane: String,
    pub instance: InstanceId,
}

/// The whole at a moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CoreView {
    pub instances: Vec<InstanceView>,
    /// Writes that are not applied or void on every instance.
    pub pending: usize,
    /// Writes without a verdict.
    pub undecided: usize,
    pub oldest_pending: Option<Lsn>,
    /// Writes without a verdict that were under way when an instance died or stopped writing.
    pub suspects: Vec<Lsn>,
    /// Writes that were withdrawn because instances did not survive them, and are kept.
    pub poisoned: Vec<PoisonedView>,
    pub refused: Vec<RefusedView>,
    pub waiting_reads: usize,
    /// Everything before it has its verdict; `None` where nothing is undecided.
    pub oldest_undecided: Option<Lsn>,
    /// How often the decision of a lane with something pending moved, by reason.
    pub moves: Vec<(&'static str, u64)>,
    /// The instance that lags so much that acknowledgements wait for it, and how long at most.
    pub slowed_by: Option<(InstanceId, u64)>,
}

impl Core {
    /// The whole at this moment. Costs a walk over the lanes that have something pending.
    #[must_use]
    pub fn view(&self) -> CoreView {
        CoreView {
            instances: self.instance_ids().map(|instance| self.instance_view(instance)).collect(),
            pending: self.lanes.values().map(|lane| lane.entries.len()).sum(),
            undecided: self.lanes.values().map(LaneState::undecided).sum(),
            oldest_pending: self.lanes.values().filter_map(|lane| Some(lane.entries.front()?.lsn)).min(),
            suspects: self.lanes.values().flat_map(LaneState::undecided_suspects).collect(),
            poisoned: self.poisoned_view(),
            refused: self.refused_view(),
            waiting_reads: self.reads.len(),
            oldest_undecided: self.lanes.values().filter_map(LaneState::oldest_undecided).min(),
            moves: Move::WORDS.into_iter().zip(self.moves).collect(),
            slowed_by: self.slowing.by.map(|by| (by, self.slowing.delay_ms)),
        }
    }

    fn poisoned_view(&self) -> Vec<PoisonedView> {
        let view = |(lsn, poisoned): (&Lsn, &Poisoned)| {
            let Poisoned { lane, instance, .. } = poisoned;
            let lives = matches!(lane, Lane::Collection(id) if self.catalog.living(*id).is_some());
            let blocks = lives && self.holds_poison(lane, *instance);
            PoisonedView { lsn: *lsn, lane: format!("{lane:?}"), instance: *instance, blocks }
        };
        self.poisoned.iter().filter(|(_, poisoned)| poisoned.kept).map(view).collect()
    }

    fn refused_view(&self) -> Vec<RefusedView> {
        let of_lane = |(key, lane): (&Lane, &LaneState)| {
            let refusing = self.instance_ids().find(|instance| {
                let at = &lane.at[instance.index()];
                at.is_broken() && at.divergent.is_none() && !self.has_other_source(key, *instance)
            })?;
            let lsn = lane.oldest_pending_at(refusing)?;
            Some(RefusedView { lsn, lane: format!("{key:?}"), instance: refusing })
        };
        self.lanes.iter().filter_map(of_lane).collect()
    }

    fn instance_view(&self, instance: InstanceId) -> InstanceView {
        let state = &self.instances[instance.index()];
        let mut view = InstanceView {
            instance,
            state: match state.availability {
                Availability::Up => "up",
                Availability::Checking => "checking",
                Availability::Down(reason) => reason.word(),
            },
            duty: self.duties.of(instance),
            in_flight: state.in_flight,
            pending: 0,
            oldest_pending: None,
            divergent: Vec::new(),
            rebuilds: self.rebuild_views(instance),
            marked: self.marked_on(instance),
            leads: 0,
        };
        for (key, lane) in &self.lanes {
            let at = &lane.at[instance.index()];
            if let Some(divergence) = &at.divergent {
                view.divergent.push((format!("{key:?}"), divergence.reason.clone()));
            }
            view.leads += usize::from(lane.leader == instance && !lane.entries.is_empty());
            view.pending += lane.pending_at(instance);
            let oldest = lane.oldest_pending_at(instance);
            view.oldest_pending = view.oldest_pending.into_iter().chain(oldest).min();
        }
        view
    }

    /// Where an entry stands on each instance; `None` when it is finished everywhere.
    #[must_use]
    pub fn entry_view(&self, lane: &Lane, lsn: Lsn) -> Option<Vec<(InstanceId, StateThere)>> {
        let lane = self.lanes.get(lane)?;
        let entry = lane.entry(lsn)?;
        let there = |instance: InstanceId| {
            let at = &lane.at[instance.index()];
            match entry.effect() {
                Effect::Void => StateThere::Void,
                _ if at.divergent.is_some() => StateThere::Divergent,
                _ if at.applied >= lsn => StateThere::Applied,
                _ if lane.dropped_at.is_some_and(|dropped| lsn < dropped) => StateThere::Void,
                _ => StateThere::Pending,
            }
        };
        Some(self.instance_ids().map(|instance| (instance, there(instance))).collect())
    }

    /// Why a lane on an instance can't be brought to the verdicts, where it can't.
    #[must_use]
    pub fn divergence(&self, lane: &Lane, instance: InstanceId) -> Option<String> {
        let at = self.lanes.get(lane)?.at.get(instance.index())?;
        at.divergent.as_ref().map(|divergence| divergence.reason.clone())
    }

    /// True where an instance has applied every entry up to this one, durably, in all lanes that it follows.
    #[must_use]
    pub fn has_settled(&self, instance: InstanceId, upto: Lsn) -> bool {
        self.lanes.values().all(|lane| {
            let at = &lane.at[instance.index()];
            let first = lane.entries.get(lane.index_after(at.applied_durable));
            at.divergent.is_some() || first.is_none_or(|entry| entry.lsn > upto)
        })
    }

    /// True where a collection that an instance does not know may be missing rightly: it was dropped, or a drop of
    /// it or of its database is not finished everywhere.
    #[must_use]
    pub fn explains_missing(&self, id: CollectionId) -> bool {
        let Some(collection) = self.catalog.living(id) else {
            return true;
        };
        let database =
            Lane::Database { tenant: collection.tenant.clone(), database: collection.database.clone() };
        let holds = |lane: &Lane, op: &Op| {
            let mut others = self.lanes.get(lane).into_iter().flat_map(|lane| lane.others_after(Lsn(0)));
            others.any(|entry| entry.is(op) && !entry.is_cancelled())
        };
        holds(&Lane::Collection(id), &Op::DropCollection) || holds(&database, &Op::DropDatabase)
    }
}
