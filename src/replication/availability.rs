//! Instances come and go.

use super::core::{Availability, Core};
use super::event::DownReason;
use crate::chroma::ids::InstanceId;
use crate::wal::record::duty::Duty;

impl Core {
    /// True while it takes requests.
    pub(super) fn is_up(&self, instance: InstanceId) -> bool {
        self.instances[instance.index()].availability == Availability::Up
    }

    /// An instance is proven to be well.
    pub(super) fn instance_up(&mut self, instance: InstanceId, proof: u64) {
        if self.duties.of(instance) == Duty::Maintenance {
            return;
        }
        let state = &mut self.instances[instance.index()];
        if state.lost.is_none() && proof >= state.proofs && state.availability != Availability::Up {
            state.availability = Availability::Up;
            state.trials.proven(self.next_delivery);
            self.touch_all_lanes();
            self.moved.everything();
        }
    }

    /// An instance takes no requests.
    pub(super) fn instance_down(&mut self, instance: InstanceId, reason: DownReason) {
        self.instances[instance.index()].availability = Availability::Down(reason);
        if matches!(reason, DownReason::Refused | DownReason::CannotWrite) {
            self.died(instance);
        }
        if reason == DownReason::LostState {
            self.board.distrust();
            self.note_lost(instance, "it came back without what it had acknowledged");
        }
        self.touch_all_lanes();
        self.moved.everything();
    }

    /// Looks again at every lane in which something is pending.
    pub(super) fn touch_all_lanes(&mut self) {
        let busy = self.lanes.iter().filter(|(_, lane)| !lane.entries.is_empty());
        self.dirty.extend(busy.map(|(key, _)| key.clone()));
        self.dirty.extend(self.rebuilds.lanes().cloned());
    }
}
