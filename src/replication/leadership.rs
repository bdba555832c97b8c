//! Who decides a lane. Failover is not a mode: the decision moves, each instance keeps its own position.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::core::{Availability, Core};
use super::gather::Gather;
use super::pending::Pending;
use crate::chroma::ids::InstanceId;
use crate::wal::record::duty::Duty;
use crate::wal::record::{Lane, Op};

/// A delivery is overdue after its expected time, with all that is queued at the instance, times this.
const OVERDUE_FACTOR: u64 = 4;

/// Why a lane's decision moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Its leader is down or divergent.
    Failover,
    /// Its leader is slow.
    Slow,
    /// Back to the preferred instance.
    Return,
}

impl Move {
    /// The words that operators see, in the order above.
    pub const WORDS: [&'static str; Self::Return as usize + 1] = ["failover", "slow", "return"];
}

impl Core {
    /// The instance that decides unless something speaks against it: the operator's choice, or the first, of those that
    /// serve; else the first that is up, else the primary.
    pub(super) fn preferred(&self) -> InstanceId {
        let chosen = self.duties.preferred.filter(|chosen| self.serves(*chosen));
        let serves = || self.instance_ids().find(|instance| self.serves(*instance));
        let is_up = || self.instance_ids().find(|instance| self.is_up(*instance));
        chosen.or_else(serves).or_else(is_up).unwrap_or(InstanceId(0))
    }

    /// Gives the lane another leader where its leader is down or divergent, or is drained and has nothing under way there,
    /// and another one is able.
    pub(super) fn elect(&mut self, key: &Lane) {
        let Some(lane) = self.lanes.get(key) else { return };
        let first_undecided = lane.entries.get(lane.index_after(lane.decided));
        let down = matches!(self.instances[lane.leader.index()].availability, Availability::Down(_));
        let unable = |instance: InstanceId| {
            lane.at[instance.index()].divergent.is_some()
                || first_undecided.is_some_and(|entry| {
                    self.lacks_existing(key, entry, instance) || self.waits_for_rebuild(entry, instance)
                })
        };
        let spared = self.duties.of(lane.leader) != Duty::Serve;
        let drained = spared && lane.at[lane.leader.index()].in_flight.is_none();
        let must = down || unable(lane.leader);
        if !must && !drained {
            return;
        }
        let able = self.instance_ids().filter(|instance| self.is_up(*instance) && !unable(*instance));
        let able = able.filter(|instance| must || self.serves(*instance));
        let best = able.max_by_key(|instance| {
            (self.serves(*instance), lane.at[instance.index()].applied, Reverse(*instance))
        });
        if let Some(best) = best {
            self.lead(key, best, Move::Failover);
        }
    }

    /// True for an entry about a name which another collection has, where the copy of that one on the instance is not to be
    /// trusted: it can't be described there, and may not even stand in the way of the name.
    pub(super) fn lacks_existing(&self, key: &Lane, entry: &Pending, instance: InstanceId) -> bool {
        let existing = match (key, entry.other()) {
            (_, Some(Op::CreateCollection { tenant, database, name, get_or_create: true })) => {
                self.catalog.by_name(tenant, database, name)
            }
            (Lane::Collection(id), Some(Op::ModifyCollection { new_name: Some(name) })) => {
                let own = self.catalog.known(*id);
                own.and_then(|own| self.catalog.by_name(&own.tenant, &own.database, name))
            }
            _ => None,
        };
        let lane = existing.and_then(|existing| self.lanes.get(&Lane::Collection(existing.id)));
        lane.is_some_and(|lane| lane.at[instance.index()].divergent.is_some())
    }

    /// True for an entry that comes after one which the instance gets only when a collection is rebuilt there. The rebuild
    /// may itself wait for what comes after this one.
    fn waits_for_rebuild(&self, entry: &Pending, instance: InstanceId) -> bool {
        entry.after().iter().any(|lsn| {
            let lane = self.schema.lane_of(*lsn).and_then(|key| self.lanes.get(key));
            let divergent = lane.is_some_and(|lane| lane.at[instance.index()].divergent.is_some());
            divergent && !self.is_past(*lsn, instance)
        })
    }

    fn lead(&mut self, key: &Lane, leader: InstanceId, why: Move) {
        let now_ms = self.now_ms;
        if let Some(lane) = self.lanes.get_mut(key)
            && lane.leader != leader
        {
            lane.leader = leader;
            lane.leader_since_ms = now_ms;
            lane.gather = Gather::default();
            self.moves[why as usize] += 1;
            self.dirty.insert(key.clone());
        }
    }

    /// Moves the decision back to the preferred instance of lanes in which nothing is undecided and the target is
    /// caught up, after a minimum stay.
    pub(super) fn return_leadership(&mut self) {
        let preferred = self.preferred();
        let back: Vec<Lane> = self
            .lanes
            .iter()
            .filter(|(_, lane)| {
                let at = &lane.at[preferred.index()];
                lane.leader != preferred
                    && self.now_ms - lane.leader_since_ms >= self.settings.min_stay_ms
                    && !lane.has_undecided()
                    && at.divergent.is_none()
                    && lane.entries.back().is_none_or(|last| at.applied >= last.lsn)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in back {
            self.lead(&key, preferred, Move::Return);
        }
    }

    /// Slow is not dead: a write moves for slowness at most once, and only to an instance with nothing overdue.
    pub(super) fn move_from_slow_leaders(&mut self) {
        let mut queued_ms = vec![0_u64; self.instances.len()];
        for delivery in self.deliveries.values() {
            queued_ms[delivery.instance.index()] += delivery.expected_ms;
        }
        let mut slow = BTreeSet::new();
        let mut overdue = Vec::new();
        for delivery in self.deliveries.values() {
            let patience_ms =
                self.settings.overdue_ms.max(OVERDUE_FACTOR * queued_ms[delivery.instance.index()]);
            if self.now_ms - delivery.since_ms > patience_ms {
                slow.insert(delivery.instance);
                overdue.push((delivery.lane.clone(), delivery.instance, delivery.entries.clone()));
            }
        }
        for (key, instance, entries) in overdue {
            let Some(lane) = self.lanes.get(&key) else {
                continue;
            };
            let movable = lane.leader == instance
                && entries
                    .iter()
                    .filter_map(|lsn| lane.entry(*lsn))
                    .any(|e| !e.is_decided() && !e.has_moved());
            let better = self.instance_ids().find(|other| {
                self.is_up(*other) && !slow.contains(other) && lane.at[other.index()].divergent.is_none()
            });
            if let (true, Some(better)) = (movable, better) {
                if let Some(lane) = self.lanes.get_mut(&key) {
                    let moved = entries.iter().copied();
                    moved.for_each(|lsn| lane.entry_mut(lsn).into_iter().for_each(Pending::set_moved));
                }
                self.lead(&key, better, Move::Slow);
            }
        }
    }
}
