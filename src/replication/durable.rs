//! What happens once a record is on disk: verdicts take effect, senders are answered.

use std::sync::Arc;

use super::core::Core;
use super::event::{Action, Reply};
use super::pending::Effect;
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::InstanceId;
use crate::wal::record::duty::Duties;
use crate::wal::record::rebuild::RebuildStep;
use crate::wal::record::{Lane, Lsn, Op, Record, Verdict};

/// What waits for a record.
#[derive(Clone, Debug)]
pub(super) enum Later {
    Nothing,
    Outcome { lane: Lane, instance: InstanceId, decided: Vec<Lsn>, changes: Vec<CatalogChange> },
    Resolved { lane: Lane, lsn: Lsn, ids: Vec<String> },
    Discarded { lsn: Lsn },
    Divergent { lane: Lane, instance: InstanceId },
    Rebuild { lane: Lane, instance: InstanceId, step: RebuildStep },
    Lost { instance: InstanceId, reason: String },
    Duties(Duties),
}

impl Core {
    /// Asks for a record to be made durable; `later` happens when it is.
    pub(super) fn record(&mut self, record: Record, later: Later) -> u64 {
        self.recorded += 1;
        self.later.push_back((self.recorded, later));
        self.actions.push(Action::Record(record));
        self.recorded
    }

    /// Something waits for records that the shell may be holding back.
    pub(super) fn hurry(&mut self) {
        if self.recorded > self.hurried.max(self.recorded_durable) {
            self.hurried = self.recorded;
            self.actions.push(Action::Hurry);
        }
    }

    /// Takes the news that the first `upto` records are durable.
    pub(super) fn records_durable(&mut self, upto: u64) {
        self.recorded_durable = self.recorded_durable.max(upto);
        while let Some((number, _)) = self.later.front()
            && *number <= upto
        {
            let Some((number, later)) = self.later.pop_front() else {
                return;
            };
            self.happen(number, later);
        }
    }

    fn happen(&mut self, number: u64, later: Later) {
        match later {
            Later::Nothing => {}
            Later::Outcome { lane, instance, decided, changes } => {
                for change in changes {
                    self.change_catalog(change);
                }
                if let Some(state) = self.lanes.get_mut(&lane) {
                    state.at[instance.index()].saved(number);
                }
                for lsn in decided {
                    self.verdict_durable(&lane, lsn);
                }
                self.wake_dependents(&lane);
                self.dirty.insert(lane);
            }
            Later::Resolved { lane, lsn, ids } => {
                if let Some(entry) = self.lanes.get_mut(&lane).and_then(|state| state.entry_mut(lsn)) {
                    entry.resolve(Arc::new(ids));
                }
                self.dirty.insert(lane);
            }
            Later::Divergent { lane, instance } => {
                let state = self.lanes.get_mut(&lane).map(|state| &mut state.at[instance.index()]);
                if let Some(divergence) = state.and_then(|at| at.divergent.as_mut()) {
                    divergence.durable = true;
                }
                self.begin_rebuild(&lane, instance);
                self.dirty.insert(lane);
            }
            Later::Rebuild { lane, instance, step } => self.step_durable(&lane, instance, &step),
            Later::Lost { instance, reason } => self.lost_durable(instance, &reason),
            Later::Discarded { lsn } => self.discarded(lsn),
            Later::Duties(duties) => self.take_duties(duties),
        }
    }

    /// A change of the catalog is durable.
    pub(super) fn change_catalog(&mut self, change: CatalogChange) {
        self.catalog.apply(&change);
        self.actions.push(Action::Catalog(change));
    }

    /// The verdict is final from now on.
    fn verdict_durable(&mut self, key: &Lane, lsn: Lsn) {
        let now_ms = self.now_ms;
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let Some(entry) = lane.entry_mut(lsn) else { return };
        let drops = entry.is(&Op::DropCollection);
        let Some(verdict) = entry.settle() else {
            return;
        };
        let void = entry.effect() == Effect::Void;
        let cancelled = matches!(verdict, Verdict::Cancelled(_));
        let poisoned = matches!(verdict, Verdict::Poisoned(_));
        if poisoned {
            self.actions.push(Action::Withdrawn { lsn });
        }
        if cancelled {
            self.actions.push(Action::Cancelled { lsn });
        } else {
            lane.decided = lane.decided.max(lsn);
            lane.ages.note(lsn, now_ms);
        }
        lane.pass_cancelled();
        let committed = matches!(verdict, Verdict::Committed(_));
        let answer = verdict.into_answer();
        if void {
            lane.note_void(lsn);
        }
        if drops && committed {
            lane.dropped_at = Some(lsn);
        }
        let due_ms = if self.settings.acknowledge_all { u64::MAX } else { now_ms + self.slowing.delay_ms };
        if committed && due_ms > now_ms {
            self.waiting.committed(lsn, answer, due_ms);
        } else if self.waiting.remove(lsn) {
            let reply = match (cancelled, poisoned) {
                (true, _) => Reply::Cancelled(answer),
                (_, true) => Reply::Poisoned(answer),
                _ => Reply::Verdict(answer),
            };
            self.actions.push(Action::Answer { lsn, reply });
        }
    }

    /// Looks again at the lanes in which entries wait for schema entries of this one.
    pub(super) fn wake_dependents(&mut self, key: &Lane) {
        self.dirty.extend(self.schema.dependents(key).cloned());
    }
}
