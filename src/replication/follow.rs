//! While many lanes are being decided, an instance that follows takes one run at a time: what comes in a lane meanwhile
//! waits there, and goes as one run. Each request costs a server a fixed part, and servers often share a machine with the
//! one that decides, whose clients wait. The lane that has waited longest is the next.

use std::collections::{BTreeSet, VecDeque};

use super::core::Core;
use super::step::Step;
use crate::chroma::ids::InstanceId;
use crate::wal::record::Lane;

/// So many deliveries that decide are many.
const MANY: usize = 4;
/// Deliveries of an instance that follows while there are many.
const FEW: usize = 1;

/// What an instance follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Following {
    /// Its deliveries under way of writes that were decided before.
    pub in_flight: usize,
    /// Lanes that wait for their turn, the first one longest.
    held: VecDeque<Lane>,
    known: BTreeSet<Lane>,
}

impl Following {
    /// A lane waits for its turn, unless it does already.
    fn hold(&mut self, key: &Lane) {
        if self.known.insert(key.clone()) {
            self.held.push_back(key.clone());
        }
    }

    /// The lane whose turn it is.
    fn next(&mut self) -> Option<Lane> {
        let key = self.held.pop_front()?;
        self.known.remove(&key);
        Some(key)
    }
}

impl Core {
    /// Sends as much as the instance may have under way, lane by lane in turn.
    pub(super) fn pump(&mut self, instance: InstanceId) {
        while self.instances[instance.index()].in_flight < self.settings.max_in_flight {
            if self.awaits_trial(instance) {
                return;
            }
            let Some((key, in_turn)) = self.next_ready(instance) else {
                return;
            };
            match self.step(&key, instance) {
                Step::Wait => {}
                Step::Skip { upto } => {
                    let changes = self.schema_changes(&key, instance, upto, false, None);
                    self.applied(&key, instance, upto, Vec::new(), changes);
                }
                Step::Decide { lsn, verdict, changes } => {
                    self.taint(&key, instance, lsn);
                    self.decide_here(&key, instance, lsn, verdict, changes);
                }
                Step::Refuse { lsn, verdict } => self.refuse(&key, instance, lsn, verdict),
                Step::Send { decided: true, .. } if !in_turn && self.holds_back(&key, instance) => {}
                Step::Send { entries, what, .. } if self.waits_for_trial(&key, instance, &entries, &what) => {
                }
                Step::Send { entries, what, probe_dimension, .. } => {
                    self.deliver(&key, instance, entries, what, probe_dimension);
                }
            }
        }
    }

    /// True where the instance may follow in one more lane. With `write.acknowledge = "all"` clients wait for it.
    fn may_follow(&self, instance: InstanceId) -> bool {
        let own = self.instances[instance.index()].following.in_flight;
        own < FEW || self.deciding < MANY || self.settings.acknowledge_all
    }

    /// The next lane that may have something to send to an instance; true where it is its turn to be followed.
    fn next_ready(&mut self, instance: InstanceId) -> Option<(Lane, bool)> {
        let may_follow = self.may_follow(instance);
        let state = &mut self.instances[instance.index()];
        if let Some(key) = state.trials.next.take() {
            return Some((key, true));
        }
        // What it decides itself does not keep it from following.
        if state.following.in_flight == 0
            && let Some(key) = state.following.next()
        {
            return Some((key, true));
        }
        if let Some(key) = state.ready.pop_front() {
            state.queued.remove(&key);
            return Some((key, false));
        }
        if may_follow { state.following.next().map(|key| (key, true)) } else { None }
    }

    /// True where a lane that has something to follow waits for its turn from now on.
    fn holds_back(&mut self, key: &Lane, instance: InstanceId) -> bool {
        let may_follow = self.may_follow(instance);
        let following = &mut self.instances[instance.index()].following;
        let holds = !may_follow || !following.held.is_empty();
        if holds {
            following.hold(key);
        }
        holds
    }

    /// Counts a delivery that begins, or that ended.
    pub(super) fn count_delivery(&mut self, instance: InstanceId, decided: bool, begins: bool) {
        let state = &mut self.instances[instance.index()];
        let kind = if decided { &mut state.following.in_flight } else { &mut self.deciding };
        for count in [&mut state.in_flight, kind] {
            if begins {
                *count += 1;
            } else {
                *count -= 1;
            }
        }
    }
}
