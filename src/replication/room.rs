//! The log has little room left: who is down for long holds it no more.
//!
//! An instance that is down keeps in the log whatever it misses. Before that fills the log, the collections in which it
//! misses something are marked: they are divergent there, and copied to it again when it is back. Only where another
//! instance that is up can be the source. (I8) Where nobody can be marked the log refuses writes when it is full.

use super::core::{Availability, Core};
use super::event::Action;
use super::lane::LaneState;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::Lane;

/// Why, for people, and the mark by which these collections are known.
pub(super) const REASON: &str =
    "the instance was down for so long that the log had no more room for what it missed (wal.max_bytes)";

impl Core {
    /// Marks the instance that is down and misses most, if that is what fills the log.
    pub(super) fn make_room(&mut self) {
        if !self.settings.rebuild || self.gives_up() {
            return;
        }
        let down = |instance: &InstanceId| {
            matches!(self.instances[instance.index()].availability, Availability::Down(_))
        };
        let all: usize = self.lanes.values().map(|lane| lane.entries.len()).sum();
        let held = |instance: &InstanceId| -> usize {
            self.lanes.values().map(|lane| held_by(lane, *instance)).sum()
        };
        let most = self.instance_ids().filter(down).map(|instance| (held(&instance), instance)).max();
        let Some((_, instance)) = most.filter(|(held, _)| *held * 2 >= all) else { return };
        let lanes = self.lanes.iter().filter(|(key, lane)| {
            // Of one that was not made there yet nobody knows whether it may be there already.
            matches!(key, Lane::Collection(id) if self.is_copy_known(*id, instance))
                && held_by(lane, instance) > 0
                && self.is_served_beside(key, lane, instance)
        });
        let keys: Vec<Lane> = lanes.map(|(key, _)| key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        for key in &keys {
            self.give_up(key, instance, REASON.to_owned());
        }
        self.actions.push(Action::Marked { instance, collections: keys.len() });
    }

    /// True for a living collection whose copy on an instance has an id there.
    fn is_copy_known(&self, id: CollectionId, instance: InstanceId) -> bool {
        self.catalog.living(id).is_some_and(|known| known.real_ids.contains_key(&instance))
    }

    /// True while what was given up last has not made room yet.
    fn gives_up(&self) -> bool {
        let undurable = |lane: &LaneState| {
            lane.at.iter().any(|at| at.divergent.as_ref().is_some_and(|divergence| !divergence.durable))
        };
        self.lanes.values().any(undurable)
    }

    /// True where another instance is up, and can be the lane's source.
    fn is_served_beside(&self, key: &Lane, lane: &LaneState, instance: InstanceId) -> bool {
        let sound = |other: InstanceId| {
            let at = &lane.at[other.index()];
            self.is_up(other) && at.divergent.is_none() && !at.tainted && !self.holds_poison(key, other)
        };
        self.instance_ids().any(|other| other != instance && sound(other))
    }

    /// How many collections of an instance are marked.
    pub(super) fn marked_on(&self, instance: InstanceId) -> usize {
        let marked = |lane: &&LaneState| {
            let divergent = lane.at[instance.index()].divergent.as_ref();
            divergent.is_some_and(|divergence| divergence.reason == REASON)
        };
        self.lanes.values().filter(marked).count()
    }
}

/// Entries of a lane that are kept for an instance.
fn held_by(lane: &LaneState, instance: InstanceId) -> usize {
    if lane.at[instance.index()].given_up() { 0 } else { lane.pending_at(instance) }
}
