//! Senders that wait for an answer. Each gets exactly one; a committed write is never answered with an error.

use std::collections::{BTreeMap, BTreeSet};

use super::core::Core;
use super::event::{Action, Reply};
use super::lane::LaneState;
use super::pending::Pending;
use crate::wal::record::{Answer, Lane, Lsn};

/// One who waits.
#[derive(Debug)]
struct Since {
    lane: Lane,
    since_ms: u64,
}

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    since: BTreeMap<Lsn, Since>,
    /// Committed, and waiting for the other instances, until this time.
    committed: BTreeMap<Lsn, (Answer, u64)>,
}

impl Waiting {
    /// A sender waits from now on.
    pub(super) fn add(&mut self, lsn: Lsn, lane: Lane, since_ms: u64) {
        self.since.insert(lsn, Since { lane, since_ms });
    }

    /// Ends the wait; false where nobody waited.
    pub(super) fn remove(&mut self, lsn: Lsn) -> bool {
        self.committed.remove(&lsn);
        self.since.remove(&lsn).is_some()
    }

    /// The write is committed, and its sender waits for every instance that serves, until `due_ms` at most.
    pub(super) fn committed(&mut self, lsn: Lsn, answer: Answer, due_ms: u64) {
        if self.since.contains_key(&lsn) {
            self.committed.insert(lsn, (answer, due_ms));
        }
    }
}

impl Core {
    /// Answers committed writes that every instance which is up, and not divergent, has applied, or whose time is over.
    pub(super) fn acknowledge_applied(&mut self) {
        let now_ms = self.now_ms;
        let waiting = self.waiting.committed.iter();
        let ends = waiting.filter(|(lsn, (_, due_ms))| *due_ms <= now_ms || self.applied_by_all_up(**lsn));
        let ends: BTreeSet<Lsn> = ends.map(|(lsn, _)| *lsn).collect();
        for lsn in ends {
            self.answer_committed(lsn);
        }
    }

    fn answer_committed(&mut self, lsn: Lsn) {
        if let Some((answer, _)) = self.waiting.committed.get(&lsn).cloned()
            && self.waiting.remove(lsn)
        {
            self.actions.push(Action::Answer { lsn, reply: Reply::Verdict(answer) });
        }
    }

    fn applied_by_all_up(&self, lsn: Lsn) -> bool {
        self.lane_waited_for(lsn).is_none_or(|lane| {
            self.instance_ids().filter(|instance| self.is_up(*instance)).all(|instance| {
                let at = &lane.at[instance.index()];
                at.divergent.is_some() || at.applied >= lsn
            })
        })
    }

    /// Ends waits that took too long.
    pub(super) fn waits_over(&mut self) {
        let now_ms = self.now_ms;
        let shortest_ms = self.settings.write_wait_ms.min(self.settings.write_timeout_ms);
        let long: Vec<(Lsn, u64)> = self
            .waiting
            .since
            .iter()
            .map(|(lsn, since)| (*lsn, now_ms - since.since_ms))
            .take_while(|(_, waited_ms)| *waited_ms >= shortest_ms)
            .collect();
        for (lsn, waited_ms) in long {
            let over = waited_ms >= self.settings.write_timeout_ms;
            if self.waiting.committed.contains_key(&lsn) {
                if over {
                    self.answer_committed(lsn);
                }
                continue;
            }
            let hopeless = waited_ms >= self.settings.write_wait_ms && !self.can_decide(lsn);
            if (over || hopeless) && !self.verdict_under_way(lsn) && self.waiting.remove(lsn) {
                self.actions.push(Action::Answer { lsn, reply: Reply::Unknown });
            }
        }
    }

    /// True where the verdict exists and only the disk is awaited: its sender shall have it.
    fn verdict_under_way(&self, lsn: Lsn) -> bool {
        let entry = self.lane_waited_for(lsn).and_then(|lane| lane.entry(lsn));
        entry.is_some_and(Pending::is_decided)
    }

    fn can_decide(&self, lsn: Lsn) -> bool {
        let Some(since) = self.waiting.since.get(&lsn) else { return true };
        let Some(lane) = self.lanes.get(&since.lane) else { return true };
        self.is_up(lane.leader) && !self.holds_poison(&since.lane, lane.leader)
    }

    /// The lane of a write whose sender waits, unless nothing is left of it.
    fn lane_waited_for(&self, lsn: Lsn) -> Option<&LaneState> {
        self.lanes.get(&self.waiting.since.get(&lsn)?.lane)
    }
}
