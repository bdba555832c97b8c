//! One lane: its entries, and where each instance stands in it.

use std::collections::{BTreeSet, VecDeque};

use super::event::DeliveryId;
use super::gather::Gather;
use super::lag::Ages;
use super::pending::{Effect, Pending};
use super::queue::Queue;
use super::rebuild::Rebuild;
use crate::chroma::ids::InstanceId;
use crate::wal::record::{Lsn, Op};

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
    /// The last entry that a courier took there since the start, if only to ask something about it.
    pub handed: Lsn,
    /// The last entry that had been sent there before a read which it answered ended.
    pub seen: Lsn,
    /// A part of a run that it may have executed is sent again without the rest, so that it shows no state that ever was
    /// until this is applied.
    pub rewound: Lsn,
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
    /// Nothing beyond this is sent there while the lane is held.
    pub stops_at: Option<Lsn>,
    /// Cannot be brought to the verdicts.
    pub divergent: Option<Divergence>,
    /// It is being brought back.
    pub rebuild: Option<Box<Rebuild>>,
}

/// An instance contradicts the verdicts of a lane.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// How, for people.
    pub reason: String,
    /// It is on disk, so that the instance holds the log no more.
    pub durable: bool,
}

impl LaneAt {
    /// What is missing there is not needed there, and a restart will know that.
    pub fn given_up(&self) -> bool {
        let lists = self.rebuild.as_ref().is_some_and(|rebuild| rebuild.from.is_some());
        self.divergent.as_ref().is_some_and(|divergence| divergence.durable) && !lists
    }

    /// Nothing after this entry is to be applied there for now.
    pub fn limit(&self) -> Lsn {
        self.rebuild.as_ref().and_then(|rebuild| rebuild.limit()).unwrap_or(Lsn(u64::MAX))
    }

    /// True for an entry that is not to be sent there while the lane is held.
    #[must_use]
    pub fn stops_before(&self, lsn: Lsn) -> bool {
        self.stops_at.is_some_and(|last| lsn > last)
    }

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
    pub entries: Queue<Pending>,
    /// Those of them that are no record writes: they can be looked through where the entries are too many.
    pub others: VecDeque<Lsn>,
    /// Those of them that are void everywhere, by durable verdict.
    pub voids: VecDeque<Lsn>,
    /// Those of them that were under way when an instance died or stopped writing.
    pub suspects: BTreeSet<Lsn>,
    pub at: Vec<LaneAt>,
    pub leader: InstanceId,
    pub leader_since_ms: u64,
    /// The last entry with a durable verdict.
    pub decided: Lsn,
    /// When verdicts became durable.
    pub ages: Ages,
    /// The last entry that left the lane because it is finished everywhere.
    pub finished: Lsn,
    /// The dimension, as soon as an answered write fixed it.
    pub dimension: Option<u32>,
    /// Whether its leader waits for more.
    pub gather: Gather,
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
            entries: Queue::default(),
            others: VecDeque::new(),
            voids: VecDeque::new(),
            suspects: BTreeSet::new(),
            at: vec![LaneAt::default(); instances],
            leader,
            leader_since_ms: now_ms,
            decided: Lsn(0),
            ages: Ages::default(),
            finished: Lsn(0),
            dimension: None,
            gather: Gather::default(),
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

    /// True where a drop waits behind a position: whatever is undecided in between can be refused.
    #[must_use]
    pub fn is_dropped_after(&self, position: Lsn) -> bool {
        self.others_after(position).any(|other| other.is(&Op::DropCollection) && !other.is_cancelled())
    }

    /// True where an instance may hold a suspect that was refused because of the drop behind it.
    #[must_use]
    pub fn is_tainted(&self) -> bool {
        self.at.iter().any(|at| at.tainted)
    }

    /// The entries after a position that are no record writes.
    pub fn others_after(&self, position: Lsn) -> impl Iterator<Item = &Pending> {
        let first = self.others.partition_point(|lsn| *lsn <= position);
        self.others.range(first..).filter_map(|lsn| self.entry(*lsn))
    }

    /// Forgets what else was noted of the entries that left the lane; gives those that are no record writes.
    pub fn forget_finished(&mut self) -> Vec<Lsn> {
        let finished = self.finished;
        self.suspects = self.suspects.split_off(&Lsn(finished.0 + 1));
        self.voids.drain(..count_upto(&self.voids, finished));
        self.others.drain(..count_upto(&self.others, finished)).collect()
    }

    /// Entries that are neither applied nor void on an instance.
    #[must_use]
    pub fn pending_at(&self, instance: InstanceId) -> usize {
        let applied = self.at[instance.index()].applied;
        let voids = self.voids.len() - count_upto(&self.voids, applied);
        self.entries.len() - self.index_after(applied) - voids
    }

    /// The first entry that is neither applied nor void on an instance.
    #[must_use]
    pub fn oldest_pending_at(&self, instance: InstanceId) -> Option<Lsn> {
        let behind = self.entries.range(self.index_after(self.at[instance.index()].applied)..);
        behind
            .map(|entry| (entry.lsn, entry.effect()))
            .find(|(_, effect)| *effect != Effect::Void)
            .map(|(lsn, _)| lsn)
    }

    /// Entries without a durable verdict.
    #[must_use]
    pub fn undecided(&self) -> usize {
        let cancelled = self.voids.len() - count_upto(&self.voids, self.decided);
        self.entries.len() - self.index_after(self.decided) - cancelled
    }

    /// Notes that an entry is void everywhere, by durable verdict. A cancelled one does not wait for its turn.
    pub fn note_void(&mut self, lsn: Lsn) {
        let place = count_upto(&self.voids, lsn);
        self.voids.insert(place, lsn);
    }

    /// The first entry without a durable verdict.
    #[must_use]
    pub fn oldest_undecided(&self) -> Option<Lsn> {
        self.entries.get(self.index_after(self.decided)).map(|entry| entry.lsn)
    }

    /// Suspects without a verdict, in order.
    pub fn undecided_suspects(&self) -> impl Iterator<Item = Lsn> {
        let undecided = |lsn: &Lsn| self.entry(*lsn).is_some_and(|entry| !entry.is_decided());
        self.suspects.iter().copied().filter(undecided)
    }

    fn position_of(&self, lsn: Lsn) -> Option<usize> {
        let place = self.entries.partition_point(|entry| entry.lsn < lsn);
        self.entries.get(place).is_some_and(|entry| entry.lsn == lsn).then_some(place)
    }

    /// Moves `decided` over entries with durable verdicts: cancelled ones, which did not wait for their turn.
    pub fn pass_cancelled(&mut self) {
        while let Some(entry) = self.entries.get(self.index_after(self.decided))
            && entry.is_durable()
        {
            self.decided = entry.lsn;
        }
    }

    /// The last entry that an instance may have executed together with what is sent again now, where it conflicts with
    /// it: the instance then goes back to what these make of its records. Only members of one run, of at most
    /// `run_records`, can have been under way together and conflict.
    #[must_use]
    pub fn rewound_by(&self, entries: &[Lsn], instance: InstanceId, run_records: usize) -> Lsn {
        let at = &self.at[instance.index()];
        let last = entries.last().copied().unwrap_or_default();
        if !at.doubt || at.sent <= last {
            return Lsn(0);
        }
        let again: Vec<&Pending> = entries.iter().filter_map(|lsn| self.entry(*lsn)).collect();
        let rest = self.entries.range(self.index_after(last)..).take(run_records);
        let rest = rest.take_while(|entry| entry.lsn <= at.sent);
        let conflicts = |entry: &&Pending| again.iter().any(|one| one.conflicts(entry));
        rest.filter(conflicts).map(|entry| entry.lsn).last().unwrap_or_default()
    }

    /// True while an entry has no durable verdict.
    #[must_use]
    pub fn has_undecided(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.lsn > self.decided)
    }
}

fn count_upto(lsns: &VecDeque<Lsn>, last: Lsn) -> usize {
    lsns.partition_point(|lsn| *lsn <= last)
}
