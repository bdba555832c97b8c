//! The core after a restart: what the log tells, and doubt where it tells nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::core::{Core, Settings};
use super::event::{Action, LoggedEntry};
use super::lane::{Decided, Effect};
use crate::catalog::Catalog;
use crate::chroma::ids::InstanceId;
use crate::wal::record::{EntryHead, Lane, Lsn, Op, Verdict};

/// What the log held at the start.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    pub catalog: Catalog,
    /// Entries that may not be finished, in order; finished ones may be among them.
    pub entries: Vec<(Lsn, EntryHead)>,
    /// Their verdicts; those of finished ones may be missing.
    pub decisions: HashMap<Lsn, Verdict>,
    pub resolved: HashMap<Lsn, Vec<String>>,
    /// Applied positions; a missing one means that the lane's first entry is not applied there.
    pub positions: BTreeMap<(Lane, InstanceId), Lsn>,
    pub divergent: Vec<(Lane, InstanceId, String)>,
    pub suspects: Vec<(Lsn, InstanceId)>,
}

impl Core {
    /// Builds the core, and gives the actions that the state asks for at once.
    #[must_use]
    pub fn recover(settings: Settings, now_ms: u64, recovery: Recovery) -> (Self, Vec<Action>) {
        let mut core = Self::new(settings, recovery.catalog);
        core.now_ms = now_ms;
        let mut decided: BTreeMap<Lane, Lsn> = BTreeMap::new();
        for ((lane, _), lsn) in &recovery.positions {
            let furthest = decided.entry(lane.clone()).or_default();
            *furthest = (*furthest).max(*lsn);
        }
        let mut finished = Vec::new();
        core.schema.names_unknown = true;
        for (lsn, head) in recovery.entries {
            // Whoever applied it had its verdict; a verdict is forgotten only when the entry is finished.
            let applied = decided.get(&head.lane).is_some_and(|furthest| *furthest >= lsn);
            if applied && !recovery.decisions.contains_key(&lsn) {
                finished.push(lsn);
                continue;
            }
            core.logged(LoggedEntry { lsn, head: Arc::new(head), waited_for: false });
            let Some(lane) = core.lane_of.get(&lsn).and_then(|key| core.lanes.get_mut(key)) else {
                continue;
            };
            let Some(entry) = lane.entry_mut(lsn) else {
                continue;
            };
            entry.resolved = recovery.resolved.get(&lsn).cloned().map(Arc::new);
            let drops = entry.head.op == Op::DropCollection;
            if let Some(verdict) = recovery.decisions.get(&lsn) {
                let committed = matches!(verdict, Verdict::Committed(_));
                entry.verdict = Some(Decided { verdict: verdict.clone(), durable: true });
                lane.decided = lsn;
                if drops && committed {
                    lane.dropped_at = Some(lsn);
                }
            }
        }
        for (lsn, suspected) in recovery.suspects {
            let Some(lane) = core.lane_of.get(&lsn).and_then(|key| core.lanes.get_mut(key)) else { continue };
            if let Some(entry) = lane.entry_mut(lsn) {
                entry.suspect = Some(suspected);
                let refused = entry.effect() == Effect::Void;
                lane.at[suspected.index()].tainted |= refused;
            }
        }
        for (key, instance, reason) in recovery.divergent {
            if let Some(lane) = core.lanes.get_mut(&key) {
                lane.at[instance.index()].divergent = Some(reason);
            }
        }
        core.schema.names_unknown = false;
        core.stand(&recovery.positions);
        core.touch_all_lanes();
        if !finished.is_empty() {
            core.actions.push(Action::Finished { lsns: finished });
        }
        let actions = core.handle(now_ms, super::event::Event::Tick);
        (core, actions)
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
        }
    }
}
