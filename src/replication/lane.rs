//! One lane: its entries, and where each instance stands in it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::event::DeliveryId;
use crate::chroma::ids::InstanceId;
use crate::wal::record::{EntryHead, Lsn, Op, RecordWrite, Verdict};

/// A verdict, and whether it is on disk yet.
#[derive(Clone, Debug)]
pub struct Decided {
    pub verdict: Verdict,
    pub durable: bool,
}

/// An entry that is not finished on every instance.
#[derive(Clone, Debug)]
pub struct Pending {
    pub lsn: Lsn,
    pub head: Arc<EntryHead>,
    /// Schema entries in other lanes that must be applied on an instance before this one is sent there.
    pub after: Vec<Lsn>,
    pub verdict: Option<Decided>,
    /// The ids that a delete by predicate stands for, once durable.
    pub resolved: Option<Arc<Vec<String>>>,
    /// The ids were read and wait for the disk.
    pub resolving: bool,
    /// Sent to this instance when its writer died; goes alone, and nowhere else.
    pub suspect: Option<InstanceId>,
    /// Indefinite answers so far.
    pub failures: u8,
    /// Its decision moved once because the leader was slow.
    pub moved: bool,
}

/// What an entry asks of an instance that follows the verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No durable verdict yet.
    Undecided,
    /// Nothing: refused, or it changed nothing.
    Void,
    Apply,
    /// Refused, but it fixed the leader's dimension.
    FixDimension(u32),
}

impl Pending {
    /// What the entry asks of an instance that follows.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match &self.verdict {
            Some(Decided { verdict, durable: true }) => match verdict {
                Verdict::Committed(_) => Effect::Apply,
                Verdict::Unchanged(_) | Verdict::Rejected { fixes_dimension: None, .. } => Effect::Void,
                Verdict::Rejected { fixes_dimension: Some(dimension), .. } => {
                    Effect::FixDimension(*dimension)
                }
            },
            _ => Effect::Undecided,
        }
    }

    /// The record write, where the entry is one.
    #[must_use]
    pub fn records(&self) -> Option<&RecordWrite> {
        match &self.head.op {
            Op::Records(write) => Some(write),
            _ => None,
        }
    }

    /// True where the entry can touch one of the ids (sorted hashes).
    #[must_use]
    pub fn touches(&self, ids: &[u64]) -> bool {
        match self.records().and_then(|write| write.ids.as_deref()) {
            Some(own) => own.iter().any(|id| ids.binary_search(id).is_ok()),
            None => true,
        }
    }

    /// True where both may touch the same record, so that one must be settled before the other is sent.
    #[must_use]
    pub fn conflicts(&self, other: &Pending) -> bool {
        match other.records().and_then(|write| write.ids.as_deref()) {
            Some(ids) => self.touches(ids),
            None => true,
        }
    }
}

/// Where one instance stands in a lane.
#[derive(Clone, Debug, Default)]
pub struct LaneAt {
    /// Everything up to this is applied or void there.
    pub applied: Lsn,
    /// The part of `applied` that is on disk.
    pub applied_durable: Lsn,
    /// Record numbers and positions on their way to the disk.
    pub unsaved: VecDeque<(u64, Lsn)>,
    /// The last entry that was ever sent there, or may have been before a restart.
    pub sent: Lsn,
    /// The last entry that had been sent there before a read which it answered ended.
    pub seen: Lsn,
    pub in_flight: Option<DeliveryId>,
    /// The in-flight entries were already decided when they were sent.
    pub in_flight_decided: bool,
    /// What was sent last got no definite answer.
    pub doubt: bool,
    /// Not before this time, after a failure.
    pub retry_at_ms: u64,
    /// Failures in a row, for the back-off.
    pub failures: u32,
    /// At most this many entries in a run, while a rejected run is being split.
    pub split: Option<usize>,
    /// It may have executed a suspect that was refused because of the drop behind it: no reads until then.
    pub tainted: bool,
    /// Cannot be brought to the verdicts.
    pub divergent: Option<String>,
}

impl LaneAt {
    /// Moves the applied position over entries that need nothing there.
    pub fn skip_to(&mut self, lsn: Lsn) {
        self.applied = self.applied.max(lsn);
        if self.unsaved.is_empty() {
            self.applied_durable = self.applied;
        }
    }

    /// Notes that all records up to `upto` are durable.
    pub fn saved(&mut self, upto: u64) {
        while let Some((number, lsn)) = self.unsaved.front().copied()
            && number <= upto
        {
            self.applied_durable = lsn;
            self.unsaved.pop_front();
        }
        if self.unsaved.is_empty() {
            self.applied_durable = self.applied;
        }
    }
}

/// One lane.
#[derive(Clone, Debug)]
pub struct LaneState {
    /// In LSN order; an entry leaves from the front when it is finished everywhere.
    pub entries: VecDeque<Pending>,
    pub at: Vec<LaneAt>,
    pub leader: InstanceId,
    pub leader_since_ms: u64,
    /// The last entry with a durable verdict.
    pub decided: Lsn,
    /// The last entry that left the lane because it is finished everywhere.
    pub finished: Lsn,
    /// The dimension, as soon as an answered write fixed it.
    pub dimension: Option<u32>,
    /// Dropped by durable verdict at this entry.
    pub dropped_at: Option<Lsn>,
    /// Every name that a pending entry gives or takes from the collection.
    pub names: BTreeSet<String>,
}

impl LaneState {
    /// A lane in which nothing happened yet; `position` is what every instance has applied.
    #[must_use]
    pub fn new(instances: usize, leader: InstanceId, now_ms: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            at: vec![LaneAt::default(); instances],
            leader,
            leader_since_ms: now_ms,
            decided: Lsn(0),
            finished: Lsn(0),
            dimension: None,
            dropped_at: None,
            names: BTreeSet::new(),
        }
    }

    /// Index of the first entry after a position.
    #[must_use]
    pub fn index_after(&self, position: Lsn) -> usize {
        self.entries.partition_point(|entry| entry.lsn <= position)
    }

    /// The entry with this LSN.
    #[must_use]
    pub fn entry(&self, lsn: Lsn) -> Option<&Pending> {
        self.entries.get(self.position_of(lsn)?)
    }

    /// The entry with this LSN.
    pub fn entry_mut(&mut self, lsn: Lsn) -> Option<&mut Pending> {
        let index = self.position_of(lsn)?;
        self.entries.get_mut(index)
    }

    fn position_of(&self, lsn: Lsn) -> Option<usize> {
        self.entries.binary_search_by_key(&lsn, |entry| entry.lsn).ok()
    }

    /// True while an entry has no durable verdict.
    #[must_use]
    pub fn has_undecided(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.lsn > self.decided)
    }
}
