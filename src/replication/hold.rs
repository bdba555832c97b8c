//! Holds: a lane stands still at one position on some instances, so that what they have can be listed and compared.
//!
//! Nothing beyond the position is sent to them. It covers everything that was ever sent to one of them, so that nothing
//! later can be half visible there. The hold is *had* as soon as each of them has applied everything up to the
//! position, durably, with nothing under way. It ends when it is released, when its time is over, and as soon as one of
//! the instances may not be what it was: then what was read under it proves nothing.
//!
//! Where the lane's leader is held, writes wait; so a hold has a short time to live. Reads go on.

use std::collections::BTreeMap;

use super::core::Core;
use super::event::Action;
use super::lane::LaneState;
use crate::chroma::ids::InstanceId;
use crate::wal::record::{Lane, Lsn};

/// Names a hold. Chosen by who asks for it, never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub u64);

/// Why a hold can't be had, or ended before it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// One of the instances is held in this lane already.
    Busy,
    /// The collection does not exist (any more).
    Gone,
    /// One of the instances is not up, or does not follow the lane.
    Lost { instance: InstanceId },
    /// The time is over.
    Expired,
}

/// A hold that is asked for or had.
#[derive(Clone, Debug)]
struct Hold {
    lane: Lane,
    instances: Vec<InstanceId>,
    position: Lsn,
    until_ms: u64,
    is_had: bool,
}

/// The holds of all lanes.
#[derive(Debug, Default)]
pub(super) struct Holds(BTreeMap<HoldId, Hold>);

impl Core {
    /// Stops a lane on some instances for at most `for_ms`, the wait for it included. [`Action::Held`] comes when it
    /// stands still, [`Action::HoldEnded`] once, in any case but a release in time.
    pub(super) fn hold(&mut self, id: HoldId, key: Lane, instances: Vec<InstanceId>, for_ms: u64) {
        let ended = |why| Action::HoldEnded { hold: id, why };
        if matches!(&key, Lane::Collection(id) if self.catalog.living(*id).is_none()) {
            return self.actions.push(ended(NotHeld::Gone));
        }
        let next = Lsn(self.accepted.last().0 + 1);
        let lane = self.lane_entry(&key, next, false);
        if instances.iter().any(|instance| lane.at[instance.index()].stops_at.is_some()) {
            return self.actions.push(ended(NotHeld::Busy));
        }
        let position = instances.iter().map(|instance| reached(lane, *instance)).max().unwrap_or_default();
        for instance in &instances {
            lane.at[instance.index()].stops_at = Some(position);
        }
        let until_ms = self.now_ms + for_ms;
        self.dirty.insert(key.clone());
        self.holds.0.insert(id, Hold { lane: key, instances, position, until_ms, is_had: false });
    }

    /// Ends a hold. Nothing happens where it has ended already.
    pub(super) fn release(&mut self, id: HoldId) {
        if let Some(hold) = self.holds.0.remove(&id) {
            self.let_go(&hold);
        }
    }

    /// Ends the holds that can't go on.
    pub(super) fn end_holds(&mut self) {
        let over = self.holds.0.iter().filter_map(|(id, hold)| Some((*id, self.ends(hold)?)));
        for (hold, why) in over.collect::<Vec<_>>() {
            self.release(hold);
            self.actions.push(Action::HoldEnded { hold, why });
        }
    }

    /// Tells of the holds that are had now.
    pub(super) fn tell_holds(&mut self) {
        for (id, hold) in &mut self.holds.0 {
            let stands = |lane: &LaneState| hold.instances.iter().all(|at| stands(lane, *at, hold.position));
            if !hold.is_had && self.lanes.get(&hold.lane).is_some_and(stands) {
                hold.is_had = true;
                self.actions.push(Action::Held { hold: *id, position: hold.position });
            }
        }
    }

    fn ends(&self, hold: &Hold) -> Option<NotHeld> {
        let Some(lane) = self.lanes.get(&hold.lane).filter(|lane| lane.dropped_at.is_none()) else {
            return Some(NotHeld::Gone);
        };
        let follows = |instance: &InstanceId| {
            let at = &lane.at[instance.index()];
            self.is_up(*instance) && at.divergent.is_none() && !at.tainted
        };
        match hold.instances.iter().find(|instance| !follows(instance)) {
            Some(instance) => Some(NotHeld::Lost { instance: *instance }),
            None => (self.now_ms >= hold.until_ms).then_some(NotHeld::Expired),
        }
    }

    fn let_go(&mut self, hold: &Hold) {
        if let Some(lane) = self.lanes.get_mut(&hold.lane) {
            hold.instances.iter().for_each(|instance| lane.at[instance.index()].stops_at = None);
            self.dirty.insert(hold.lane.clone());
        }
    }
}

/// The last entry of a lane that an instance has, or may have got.
fn reached(lane: &LaneState, instance: InstanceId) -> Lsn {
    let at = &lane.at[instance.index()];
    let last = lane.entries.back().map_or(at.applied, |entry| entry.lsn);
    at.applied.max(at.sent.min(last))
}

fn stands(lane: &LaneState, instance: InstanceId, position: Lsn) -> bool {
    let at = &lane.at[instance.index()];
    at.in_flight.is_none() && at.applied_durable >= position
}
