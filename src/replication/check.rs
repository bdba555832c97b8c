//! The invariants, asserted after every event, in the product as in the simulator.
//!
//! The chain of positions per lane: `appended >= durable >= decided >= applied on every instance not marked for
//! rebuild >= truncated`. Entries reach the core when they are durable, and leave it when they are truncated, so of
//! the chain `decided >= applied >= truncated` is left to assert here; the log asserts the rest.

use super::core::Core;
use super::lane::LaneState;
use super::pending::Effect;
use crate::chroma::ids::InstanceId;
use crate::wal::record::Lane;

/// Entries of a lane that are counted after every event.
const COUNTED: usize = 64;

impl Core {
    pub(super) fn assert_invariants(&self) {
        let in_flight: usize = self.instances.iter().map(|instance| instance.in_flight).sum();
        assert_eq!(in_flight, self.deliveries.len(), "deliveries under way are counted");
        let following: usize = self.instances.iter().map(|instance| instance.following.in_flight).sum();
        assert_eq!(in_flight, self.deciding + following, "each decides or follows");
        for delivery in self.deliveries.values() {
            let Some(lane) = self.lanes.get(&delivery.lane) else {
                continue;
            };
            assert_lane(&delivery.lane, lane);
        }
    }
}

fn assert_lane(key: &Lane, lane: &LaneState) {
    let truncated = lane.finished;
    for (index, at) in lane.at.iter().enumerate() {
        assert!(
            at.applied_durable <= at.applied,
            "{key:?}: instance {index} saved {} and applied {}",
            at.applied_durable,
            at.applied
        );
        if at.divergent.is_none() {
            assert!(
                at.applied >= truncated,
                "{key:?}: instance {index} at {} misses {truncated}",
                at.applied
            );
        }
        let next = lane.index_after(at.applied);
        if lane.entries.len() <= COUNTED {
            let behind = lane.entries.range(next..).filter(|entry| entry.effect() != Effect::Void).count();
            let instance = InstanceId(u8::try_from(index).unwrap_or(u8::MAX));
            assert_eq!(behind, lane.pending_at(instance), "{key:?}: pending on instance {index}");
        }
        if let Some(last) = next.checked_sub(1).and_then(|last| lane.entries.get(last)) {
            assert!(last.is_decided(), "{key:?}: instance {index} applied {} without verdict", last.lsn);
        }
    }
    if let Some(entry) = lane.entries.get(lane.index_after(lane.decided).wrapping_sub(1)) {
        assert!(entry.is_durable(), "{key:?}: {} is not decided before {}", entry.lsn, lane.decided);
    }
    if let Some(entry) = lane.entries.get(lane.index_after(lane.decided)) {
        assert!(!entry.is_durable(), "{key:?}: {} is decided beyond {}", entry.lsn, lane.decided);
    }
    assert!(
        lane.at.iter().any(|at| at.divergent.is_none()),
        "{key:?}: the last instance able to be a source is never given up"
    );
}
