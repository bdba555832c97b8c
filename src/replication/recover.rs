//! The core after a restart: what the log tells, and doubt where it tells nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::core::{Core, Settings};
use super::event::Action;
use super::lane::{Divergence, LaneState};
use super::pending::Effect;
use crate::catalog::Catalog;
use crate::chroma::ids::InstanceId;
use crate::wal::record::brief::{Brief, Ruling};
use crate::wal::record::duty::Duties;
use crate::wal::record::rebuild::StoredRebuild;
use crate::wal::record::{Lane, Lsn, Op};

/// What the log held at the start.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    pub catalog: Catalog,
    /// The last entry of all, finished or not.
    pub last_logged: Lsn,
    /// Entries that may not be finished, in order, in groups that are given back one by one; finished ones may be
    /// among them.
    pub entries: Vec<Vec<Brief>>,
    /// Their verdicts, in order; those of finished ones may be missing.
    pub decisions: Vec<(Lsn, Ruling)>,
    pub resolved: HashMap<Lsn, Vec<String>>,
    /// Applied positions; a missing one means that the lane's first entry is not applied there.
    pub positions: BTreeMap<(Lane, InstanceId), Lsn>,
    pub divergent: Vec<(Lane, InstanceId, String)>,
    /// Rebuilds of some of them that were under way.
    pub rebuilds: Vec<StoredRebuild>,
    /// Instances that lost their state and are to be prepared.
    pub lost: Vec<InstanceId>,
    pub suspects: BTreeMap<Lsn, InstanceId>,
    pub duties: Duties,
}

impl Core {
    /// Builds the core, and gives the actions that the state asks for at once.
    #[must_use]
    pub fn recover(settings: Settings, now_ms: u64, mut recovery: Recovery) -> (Self, Vec<Action>) {
        let mut core = Self::new(settings, std::mem::take(&mut recovery.catalog));
        core.now_ms = now_ms;
        core.take_duties(recovery.duties);
        core.accepted.recovered(recovery.last_logged);
        let mut decided: BTreeMap<Lane, Lsn> = BTreeMap::new();
        for ((lane, _), lsn) in &recovery.positions {
            let furthest = decided.entry(lane.clone()).or_default();
            *furthest = (*furthest).max(*lsn);
        }
        core.last = recovery.positions.values().copied().max().unwrap_or_default();
        let mut finished = Vec::new();
        core.schema.names_unknown = true;
        for Brief { lsn, lane: key, work } in recovery.entries.into_iter().flatten() {
            // Whoever applied it had its verdict; a verdict is forgotten only when the entry is finished.
            let applied = decided.get(&*key).is_some_and(|furthest| *furthest >= lsn);
            let ruling = ruling(&recovery.decisions, lsn);
            if applied && ruling.is_none() {
                finished.push(lsn);
                continue;
            }
            core.accepted.recovered(lsn);
            let suspect = recovery.suspects.get(&lsn).copied();
            if let (Some(Ruling::Poisoned), Some(instance)) = (ruling, suspect) {
                core.recover_poisoned(lsn, (*key).clone(), instance);
            }
            core.append(lsn, &key, work);
            let Some(lane) = core.lanes.get_mut(&*key) else { continue };
            lane.recover_last(ruling, recovery.resolved.remove(&lsn), suspect);
        }
        core.diverge_again(recovery.divergent, &recovery.positions, &recovery.rebuilds);
        core.schema.names_unknown = false;
        core.stand(&recovery.positions);
        core.touch_all_lanes();
        recovery.lost.into_iter().for_each(|instance| core.prepare(instance));
        if !finished.is_empty() {
            core.actions.push(Action::Finished { lsns: finished });
        }
        let actions = core.handle(now_ms, super::event::Event::Tick);
        (core, actions)
    }

    /// Lanes that can't be brought to the verdicts somewhere, also those in which nothing is pending: nobody may read
    /// them there.
    fn diverge_again(
        &mut self,
        divergent: Vec<(Lane, InstanceId, String)>,
        positions: &BTreeMap<(Lane, InstanceId), Lsn>,
        rebuilds: &[StoredRebuild],
    ) {
        let mut again = Vec::new();
        for (key, instance, reason) in divergent {
            let ended = matches!(&key, Lane::Collection(id) if self.catalog.living(*id).is_none());
            if ended && !self.lanes.contains_key(&key) {
                continue;
            }
            let there = |instance| positions.get(&(key.clone(), instance)).copied().unwrap_or_default();
            let last = self.instance_ids().map(there).max().unwrap_or_default();
            let at = &mut self.lane_entry(&key, Lsn(last.0 + 1), false).at[instance.index()];
            at.divergent = Some(Divergence { reason, durable: true });
            again.push((key, instance));
        }
        for stored in rebuilds {
            self.resume_rebuild(stored);
        }
        for (key, instance) in &again {
            self.begin_rebuild(key, *instance);
        }
    }

    /// Sets the positions. What comes after them may have been sent, and may have been seen.
    fn stand(&mut self, positions: &BTreeMap<(Lane, InstanceId), Lsn>) {
        let instances: Vec<_> = self.instance_ids().collect();
        for (key, lane) in &mut self.lanes {
            let last = lane.entries.back().map_or(Lsn(0), |entry| entry.lsn);
            for instance in &instances {
                let at = &mut lane.at[instance.index()];
                let applied = positions.get(&(key.clone(), *instance)).copied().unwrap_or_default();
                at.applied = at.applied.max(applied);
                at.applied_durable = at.applied;
                (at.sent, at.seen, at.doubt) = (last, last, true);
            }
            lane.pass_cancelled();
        }
    }
}

impl LaneState {
    /// What the log tells of the entry that was just appended.
    fn recover_last(
        &mut self,
        ruling: Option<Ruling>,
        resolved: Option<Vec<String>>,
        suspect: Option<InstanceId>,
    ) {
        let Some(entry) = self.entries.back_mut() else { return };
        let lsn = entry.lsn;
        if let Some(ids) = resolved {
            entry.resolve(Arc::new(ids));
        }
        if let Some(ruling) = ruling {
            entry.settled(ruling);
            if ruling != Ruling::Cancelled {
                self.decided = lsn;
            }
            if entry.is(&Op::DropCollection) && ruling == Ruling::Committed {
                self.dropped_at = Some(lsn);
            }
        }
        let void = entry.effect() == Effect::Void;
        if let Some(suspected) = suspect {
            entry.set_suspect(suspected);
            self.suspects.insert(lsn);
            let refused = void && ruling != Some(Ruling::Poisoned);
            self.at[suspected.index()].tainted |= refused;
        }
        if void {
            self.note_void(lsn);
        }
    }
}

fn ruling(decisions: &[(Lsn, Ruling)], lsn: Lsn) -> Option<Ruling> {
    let place = decisions.binary_search_by_key(&lsn, |(decided, _)| *decided).ok()?;
    Some(decisions[place].1)
}
