//! Deliveries without a definite answer.

use super::core::{Core, InFlight};
use super::event::What;
use super::lane::LaneAt;
use super::pending::Pending;
use crate::chroma::ids::InstanceId;
use crate::wal::record::{Answer, Lane, Lsn, Verdict};

/// Indefinite answers after which a write counts as a suspect.
const SUSPECT_AFTER: u8 = 3;
/// Failures in a row after which an instance that does not take what was decided counts as broken in that lane: after
/// about 13 seconds, with the pauses in between.
const BROKEN_AFTER: u32 = 8;

impl LaneAt {
    /// True where the copy goes on refusing what was decided.
    pub(super) fn is_broken(&self) -> bool {
        self.failures >= BROKEN_AFTER
    }
}

impl Core {
    pub(super) fn in_doubt(&mut self, ended: InFlight, detail: String, answer: Option<Answer>) {
        let instance = ended.instance;
        self.note_doubt(&ended);
        if let Some(answer) = answer {
            // Schema entries can't poison a writer; Chroma answers some of them 500 while its database is locked.
            if matches!(ended.what, What::Records { .. } | What::DeleteIds { .. }) {
                self.count_failure(&ended, &answer);
                self.give_up_broken(&ended, &answer);
            }
            self.back_off(&ended);
        }
        self.unanswered(ended);
        self.recheck(instance, detail);
    }

    /// What was sent last may have been executed.
    pub(super) fn note_doubt(&mut self, ended: &InFlight) {
        let reads_only = ended.what.is_reading();
        if let Some(lane) = self.lanes.get_mut(&ended.lane)
            && !reads_only
        {
            lane.at[ended.instance.index()].doubt = true;
        }
    }

    /// The catalog decides an entry. A suspect is refused without being tried again, and whoever was sent it may hold it;
    /// and so is whatever waits for a copy that bears no write.
    pub(super) fn taint(&mut self, key: &Lane, instance: InstanceId, lsn: Lsn) {
        let blocked = self.holds_poison(key, instance);
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.at[instance.index()].tainted |= blocked;
        if lane.entry(lsn).is_some_and(Pending::is_on_trial) {
            lane.at.iter_mut().filter(|at| at.sent >= lsn).for_each(|at| at.tainted = true);
        }
    }

    /// A copy that takes no write any more is no copy: what another instance decided goes on failing there, while the
    /// instance proves in between that it writes elsewhere. The last source stays, and is asked on and on.
    pub(super) fn give_up_broken(&mut self, ended: &InFlight, answer: &Answer) {
        let Some(lane) = self.lanes.get(&ended.lane) else { return };
        let at = &lane.at[ended.instance.index()];
        let decided = ended.entries.iter().all(|lsn| lane.entry(*lsn).is_some_and(Pending::is_decided));
        if decided && at.is_broken() && at.divergent.is_none() {
            let reason = format!("it goes on refusing {:?}, which others took: {answer:?}", ended.entries);
            self.give_up(&ended.lane, ended.instance, reason);
        }
    }

    /// An entry is void because a drop comes behind it. Who was sent it may hold it; a restart knows that from the
    /// suspicion.
    pub(super) fn refuse(&mut self, key: &Lane, instance: InstanceId, lsn: Lsn, verdict: Verdict) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let was_sent = lane.at[instance.index()].sent >= lsn;
        lane.at.iter_mut().filter(|at| at.sent >= lsn).for_each(|at| at.tainted = true);
        if let Some(entry) = lane.entry_mut(lsn).filter(|entry| was_sent && entry.suspect().is_none()) {
            entry.set_suspect(instance);
            lane.suspects.insert(lsn);
            self.record_suspect(lsn, instance, None);
        }
        self.decide_aside(key, lsn, verdict);
    }

    /// An instance that goes on answering one write indefinitely, and others well, does not like that write.
    fn count_failure(&mut self, ended: &InFlight, answer: &Answer) {
        let Some(lane) = self.lanes.get_mut(&ended.lane) else {
            return;
        };
        let mut counts = Vec::new();
        for lsn in &ended.entries {
            if let Some(entry) = lane.entry_mut(*lsn).filter(|entry| !entry.is_decided()) {
                counts.push(entry.count_failure());
            }
        }
        if counts.iter().any(|count| *count >= SUSPECT_AFTER) {
            self.bad_end(ended, Some(answer));
        }
    }
}
