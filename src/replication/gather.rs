//! A leader waits a moment for the senders that it has just answered.
//!
//! Clients that each send their next write when the last is answered fall into two groups: while the run of one is
//! under way the other waits, and each run pays the whole price of a request for half of the clients. A pause as short
//! as that price, taken only where a run of several was answered, brings them together. It ends as soon as they are
//! there; where they do not come it is taken more and more seldom. A lone client never meets it.

use super::core::{Core, InFlight};
use super::event::What;
use super::lane::LaneState;
use crate::chroma::ids::InstanceId;

/// Runs of fewer entries are nobody's group.
const GROUP: usize = 4;
/// The longest pause, in milliseconds.
const LONGEST_MS: u64 = 25;
/// After the n-th pause in vain so many runs, doubled n times up to this, go without.
const MOST_DOUBLED: u32 = 7;

/// Whether a lane's leader waits, and how that went so far.
#[derive(Clone, Debug, Default)]
pub struct Gather {
    /// Entries that waited when the pause began.
    began_with: usize,
    /// It ends with this many.
    wanted: usize,
    /// It ends at this time in any case; 0 where there is none.
    until_ms: u64,
    in_vain: u32,
    /// Runs that go without a pause.
    without: u32,
}

impl Gather {
    /// True where the next run is to wait, with so many entries that could go now.
    #[must_use]
    pub fn holds(&self, now_ms: u64, waiting: usize) -> bool {
        now_ms < self.until_ms && waiting < self.wanted
    }

    /// A deciding run goes with so many entries: ends the pause, and learns whether it was any good.
    pub fn ends(&mut self, entries: usize) {
        if std::mem::take(&mut self.until_ms) == 0 {
            return;
        }
        let came = entries.saturating_sub(self.began_with);
        if came * 2 >= self.wanted - self.began_with {
            self.in_vain = 0;
        } else {
            self.in_vain = (self.in_vain + 1).min(MOST_DOUBLED);
            self.without = 1 << self.in_vain;
        }
    }

    /// A run of so many entries was answered while others wait: begins a pause of up to `pause_ms` where it may bring
    /// more than wait now, up to `room`. True where it did.
    fn begins(&mut self, now_ms: u64, pause_ms: u64, entries: usize, waiting: usize, room: usize) -> bool {
        if entries < GROUP || pause_ms == 0 {
            return false;
        }
        if self.without > 0 {
            self.without -= 1;
            return false;
        }
        // The last few would cost more than they bring.
        let wanted = ((entries + waiting) * 7 / 8).min(room);
        if wanted <= waiting {
            return false;
        }
        *self = Self { began_with: waiting, wanted, until_ms: now_ms + pause_ms, ..self.clone() };
        true
    }
}

impl Core {
    /// A run that decided was answered: its senders may come back at once. With `write.acknowledge = "all"` they wait
    /// for the other instances first.
    pub(super) fn gather(&mut self, ended: &InFlight) {
        let What::Records { kind, .. } = ended.what else { return };
        let (now_ms, instance) = (self.now_ms, ended.instance);
        let pace = self.instances[instance.index()].paces[kind as usize];
        let Some(lane) = self.lanes.get_mut(&ended.lane) else {
            return;
        };
        if self.settings.acknowledge_all || lane.leader != instance {
            return;
        }
        let entries = ended.entries.len();
        let most = pace.records_within(self.settings.run_ms).min(self.settings.run_records);
        let queue = lane.entries.range(lane.index_after(lane.at[instance.index()].applied)..);
        // As many entries as that are a full run, however long the queue is.
        let queue = queue.take(most as usize);
        let (waiting, records) = queue.fold((0, 0), |(n, all), entry| (n + 1, all + entry.record_count()));
        let room = u64::from(most).saturating_sub(records) * entries as u64 / ended.records.max(1);
        let room = waiting + usize::try_from(room).unwrap_or(usize::MAX);
        if lane.gather.begins(now_ms, pace.request_ms().min(LONGEST_MS), entries, waiting, room) {
            self.retries.insert((lane.gather.until_ms, ended.lane.clone()));
        }
    }

    /// When [`Event::Wake`] is wanted; a time that has passed means at once. `None` where only ticks are.
    #[must_use]
    pub fn next_wake_ms(&self) -> Option<u64> {
        self.retries.first().map(|(at_ms, _)| *at_ms)
    }

    /// Looks again at the lanes whose time has come.
    pub(super) fn wake(&mut self) {
        while let Some((at_ms, lane)) = self.retries.first().cloned()
            && at_ms <= self.now_ms
        {
            self.retries.remove(&(at_ms, lane.clone()));
            self.dirty.insert(lane);
        }
    }

    /// True where the leader's next run is to wait for others.
    pub(super) fn gathers(&self, lane: &LaneState, instance: InstanceId) -> bool {
        lane.gather.holds(self.now_ms, waiting(lane, instance))
    }
}

/// Entries that the instance has not applied.
fn waiting(lane: &LaneState, instance: InstanceId) -> usize {
    lane.entries.len() - lane.index_after(lane.at[instance.index()].applied)
}
