//! Deliveries without a definite answer, and writes that an instance does not survive.

use super::core::{Core, InFlight};
use super::durable::Later;
use super::event::What;
use super::pending::Pending;
use crate::wal::record::{Answer, Lane, Lsn, Record};

/// Indefinite answers after which a write counts as a suspect.
const SUSPECT_AFTER: u8 = 3;

impl Core {
    pub(super) fn in_doubt(&mut self, ended: &InFlight, detail: String, answer: Option<Answer>) {
        let reads_only = ended.what.is_reading();
        if let Some(lane) = self.lanes.get_mut(&ended.lane)
            && !reads_only
        {
            lane.at[ended.instance.index()].doubt = true;
        }
        if let Some(answer) = answer {
            // Schema entries can't poison a writer; Chroma answers some of them 500 while its database is locked.
            if matches!(ended.what, What::Records { .. } | What::DeleteIds { .. }) {
                self.count_failure(ended, &answer);
            }
            self.back_off(ended);
        }
        self.recheck(ended.instance, detail);
    }

    /// The catalog decides an entry. A suspect is refused without being tried again, and its instance may hold it.
    pub(super) fn taint(&mut self, key: &Lane, lsn: Lsn) {
        if let Some(lane) = self.lanes.get_mut(key)
            && let Some(suspected) = lane.entry(lsn).and_then(Pending::suspect)
        {
            lane.at[suspected.index()].tainted = true;
        }
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
            self.suspect(ended, answer);
        }
    }

    pub(super) fn suspect(&mut self, ended: &InFlight, answer: &Answer) {
        let Some(lane) = self.lanes.get_mut(&ended.lane) else {
            return;
        };
        lane.at[ended.instance.index()].doubt = true;
        let mut suspects = Vec::new();
        for lsn in &ended.entries {
            let entry = lane.entry_mut(*lsn).filter(|entry| !entry.is_decided() && entry.suspect().is_none());
            if let Some(entry) = entry {
                entry.set_suspect(ended.instance);
                suspects.push(*lsn);
            }
        }
        lane.suspects.extend(&suspects);
        for lsn in suspects {
            let record = Record::Suspect { lsn, instance: ended.instance, answer: answer.clone() };
            self.record(record, Later::Suspect { lsn, answer: answer.clone() });
        }
    }
}
