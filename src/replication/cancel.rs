//! Writes that their senders take back.
//!
//! A write that was accepted since the start and of which no byte went to an instance can be taken back: its verdict is
//! that it is cancelled, and it is void everywhere. Such a verdict need not wait for its turn, because an entry that
//! does nothing conflicts with none. A compound write (the drops that a database's drop or a reset is made of) is taken
//! back with all of its parts, or not at all.
//!
//! Where a void entry is passed usually needs no record: the verdict of the leader came with a position. A cancelled
//! entry has no such position, and its verdict is forgotten when the entry is finished; so every instance's passing of
//! it is recorded ([`Step::Skip`](super::step::Step)), and a restart finds it finished.

use std::collections::BTreeMap;

use super::core::Core;
use super::durable::Later;
use super::event::{Action, NotCancelled};
use super::lane::LaneState;
use super::pending::Pending;
use crate::chroma::error::{ApiError, CHROMA};
use crate::wal::record::{Answer, Decision, Lane, Lsn, Op, Outcome, Record, Verdict};

/// What must be known of writes to take them back.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// The last write that was in the log at the start.
    before_start: Lsn,
    /// The last write that came since.
    last: Lsn,
    /// Parts of a compound write whose last one has not come yet.
    parts: Vec<(Lane, Lsn)>,
    /// The parts of unfinished compound writes, by their last ones, which are not among them.
    compounds: BTreeMap<Lsn, Vec<(Lane, Lsn)>>,
}

impl Accepted {
    /// Notes a write that the log held at the start: it may have been sent.
    pub(super) fn recovered(&mut self, lsn: Lsn) {
        self.before_start = self.before_start.max(lsn);
    }

    /// Notes a new write. The parts of a compound write have no sender, and come right before the one that has.
    pub(super) fn note(&mut self, lane: &Lane, lsn: Lsn, has_sender: bool) {
        self.last = lsn;
        if self.parts.last().is_some_and(|(_, part)| part.0 + 1 != lsn.0) {
            self.parts.clear();
        }
        if !has_sender {
            self.parts.push((lane.clone(), lsn));
        } else if !self.parts.is_empty() {
            self.compounds.insert(lsn, std::mem::take(&mut self.parts));
        }
    }

    /// The last write of all.
    pub(super) fn last(&self) -> Lsn {
        self.before_start.max(self.last)
    }

    /// Forgets a finished write.
    pub(super) fn forget(&mut self, lsn: Lsn) {
        self.compounds.remove(&lsn);
    }

    /// A write with all of its parts.
    fn whole(&self, key: &Lane, lsn: Lsn) -> Vec<(Lane, Lsn)> {
        let mut whole = self.compounds.get(&lsn).cloned().unwrap_or_default();
        whole.push((key.clone(), lsn));
        whole
    }
}

impl Core {
    /// Takes a write back where that can be done. [`Action::Cancelled`] comes when that is durable.
    pub(super) fn cancel(&mut self, key: &Lane, lsn: Lsn) {
        if let Some(entry) = self.lanes.get(key).and_then(|lane| lane.entry(lsn))
            && entry.is_cancelled()
        {
            if entry.is_durable() {
                self.actions.push(Action::Cancelled { lsn });
            }
            return;
        }
        let whole = self.accepted.whole(key, lsn);
        let stands = whole.iter().find_map(|(lane, part)| self.stands(lane, *part).err());
        match stands {
            Some(why) => self.actions.push(Action::NotCancelled { lsn, why }),
            None => whole.iter().for_each(|(lane, part)| self.cancel_part(lane, *part)),
        }
    }

    /// Why a write can't be taken back.
    fn stands(&self, key: &Lane, lsn: Lsn) -> Result<(), NotCancelled> {
        let unknown = NotCancelled::Unknown;
        let lane = self.lanes.get(key).ok_or(unknown)?;
        let entry = lane.entry(lsn).ok_or(unknown)?;
        if entry.is_decided() {
            return Err(NotCancelled::Decided);
        }
        if lsn <= self.accepted.before_start {
            return Err(NotCancelled::BeforeStart);
        }
        if let Some(instance) = self.instance_ids().find(|at| lane.at[at.index()].handed >= lsn) {
            return Err(NotCancelled::Sent { instance });
        }
        if withdrew_others(lane, entry) {
            return Err(NotCancelled::ReliedUpon);
        }
        Ok(())
    }

    fn cancel_part(&mut self, key: &Lane, lsn: Lsn) {
        self.decide_aside(key, lsn, Verdict::Cancelled(answer()));
    }

    /// A verdict by which nothing is applied: every position stays where it is.
    pub(super) fn decide_aside(&mut self, key: &Lane, lsn: Lsn, verdict: Verdict) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let (instance, applied) = (lane.leader, lane.at[lane.leader.index()].applied);
        let Some(entry) = lane.entry_mut(lsn) else { return };
        entry.decide(verdict.clone());
        let decisions = vec![Decision { lsn, verdict }];
        let outcome = Outcome { lane: key.clone(), instance, applied, decisions, changes: Vec::new() };
        let later = Later::Outcome { lane: key.clone(), instance, decided: vec![lsn], changes: Vec::new() };
        self.record(Record::Outcome(outcome), later);
        self.dirty.insert(key.clone());
    }
}

/// True for a drop in view of which a suspect before it was refused without being tried again.
fn withdrew_others(lane: &LaneState, entry: &Pending) -> bool {
    entry.is(&Op::DropCollection) && lane.is_tainted()
}

/// What the sender of a cancelled write is told.
fn answer() -> Answer {
    let error = ApiError::new(409, CHROMA, "The write was cancelled; nothing of it was applied");
    Answer { status: error.status, body: error.body() }
}
