//! Entries and lanes that nobody needs any more.

use super::core::Core;
use super::event::Action;
use crate::wal::record::Lane;

impl Core {
    /// Removes entries that every instance has, and lanes that hold nothing worth keeping.
    pub(super) fn finish(&mut self, key: &Lane) {
        let (preferred, rebuilds) = (self.preferred(), self.settings.rebuild);
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let mut lsns = Vec::new();
        while let Some(first) = lane.entries.front() {
            let lsn = first.lsn;
            // A drop tells a divergent copy to go.
            let ends = rebuilds && lane.dropped_at == Some(lsn);
            let applied = lane.at.iter().all(|at| at.applied_durable >= lsn || (at.given_up() && !ends));
            if !applied || lsn > lane.decided {
                break;
            }
            lane.entries.pop_front();
            lane.finished = lsn;
            if !self.poisoned.get(&lsn).is_some_and(|poisoned| poisoned.kept) {
                lsns.push(lsn);
            }
            self.accepted.forget(lsn);
        }
        lane.ages.forget(lane.finished);
        let others = lane.forget_finished();
        let idle = lane.entries.is_empty() && lane.at.iter().all(|at| at.in_flight.is_none());
        let plain = lane.at.iter().all(|at| at.divergent.is_none() && at.stops_at.is_none());
        let keep = !idle || !plain || lane.leader != preferred;
        if !keep {
            self.lanes.remove(key);
        }
        for lsn in others {
            self.schema.forget(lsn);
        }
        if !lsns.is_empty() {
            self.actions.push(Action::Finished { lsns });
        }
    }
}
