//! Lanes that stand still for a moment: what the instances of a hold have is the state at its position.

use std::collections::BTreeMap;

use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::replication::event::{Delivery, Event};
use isochrome::replication::hold::{HoldId, NotHeld};
use isochrome::wal::record::Lsn;

use crate::check::{assert_same, lane_of};
use crate::model::{Collection, RealId};
use crate::trouble::instance;
use crate::world::{Own, World};

/// The holds that this run of Isochrome asked for.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    pub(crate) asked: BTreeMap<HoldId, Held>,
    last: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Held {
    collection: RealId,
    instances: Vec<InstanceId>,
    /// Where it stands, once it does.
    position: Option<Lsn>,
    until_ms: u64,
}

impl World {
    /// Asks for a hold of some collection on some instances.
    pub(crate) fn sometimes_hold(&mut self) {
        let percent = self.plan.hold_percent;
        if self.healed || !self.chance(percent) {
            return;
        }
        let Some(core) = &self.core else { return };
        let living: Vec<RealId> = core.catalog().all_living().iter().map(|found| found.id.0).collect();
        let Some(collection) = self.random.choice(living) else { return };
        let mut instances: Vec<InstanceId> = (0..self.servers.len()).map(instance).collect();
        instances.retain(|_| self.random.u8(..3) > 0);
        if instances.is_empty() {
            return;
        }
        let for_ms = self.random.u64(1..500);
        self.holds.last += 1;
        let hold = HoldId(self.holds.last);
        let until_ms = self.now_ms + for_ms;
        let held = Held { collection, instances: instances.clone(), position: None, until_ms };
        self.holds.asked.insert(hold, held);
        self.feed(Event::Hold { hold, lane: lane_of(collection), instances, for_ms });
    }

    /// A hold stands.
    pub(crate) fn held(&mut self, hold: HoldId, position: Lsn) {
        let held = self.holds.asked.get_mut(&hold).expect("what is held was asked for");
        assert_eq!(held.position, None, "{hold:?} is told of once");
        held.position = Some(position);
        let held = held.clone();
        self.check_held(&held, position);
        self.count("holds");
        self.soon(200, Own::Release(hold));
    }

    pub(crate) fn release(&mut self, hold: HoldId) {
        let Some(held) = self.holds.asked.remove(&hold) else { return };
        self.check_held(&held, held.position.expect("only what is held is released"));
        self.feed(Event::Release { hold });
        self.count("holds released");
    }

    /// A hold ended by itself: what was read under it counts for nothing.
    pub(crate) fn hold_ended(&mut self, hold: HoldId, why: NotHeld) {
        let held = self.holds.asked.remove(&hold).expect("what ended was asked for");
        assert!(why != NotHeld::Expired || self.now_ms >= held.until_ms, "{hold:?} ends too early");
        self.count("holds ended");
    }

    /// Each instance of a hold has what the reference has at the position, and nothing else; but for one that lost its
    /// state, or whose index broke, of which Isochrome may not have heard yet.
    fn check_held(&self, held: &Held, position: Lsn) {
        for at in held.instances.iter().filter(|at| !self.servers[at.index()].lost_state) {
            let key = CollectionId(held.collection);
            let found = self.log.facts.catalog.real_id(key, *at);
            let found = found.and_then(|real_id| self.servers[at.index()].model.collection(real_id));
            if found.is_some_and(Collection::is_broken) {
                continue;
            }
            let wanted = self.wanted_there(held.collection, position, found);
            assert_same(wanted.as_ref(), found, &format!("held at {position} on {at:?}"));
        }
    }

    /// Nothing beyond the position goes to an instance of a hold.
    pub(crate) fn check_holds(&self, delivery: &Delivery) {
        let concerned = |held: &&Held| {
            lane_of(held.collection) == delivery.lane && held.instances.contains(&delivery.instance)
        };
        for held in self.holds.asked.values().filter(concerned) {
            let last = delivery.entries.last().copied().unwrap_or_default();
            assert!(held.position.is_none(), "{last} is sent to {:?}, which is held", delivery.instance);
        }
    }
}
