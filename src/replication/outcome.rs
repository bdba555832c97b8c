//! What the end of a delivery means for its lane.

use super::core::{Availability, Core, InFlight};
use super::durable::Later;
use super::event::{Action, DeliveryId, DeliveryOutcome, What};
use super::lane::LaneState;
use super::pending::Pending;
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::InstanceId;
use crate::chroma::rewrite::deleted_body;
use crate::wal::record::brief::Ruling;
use crate::wal::record::{Answer, Decision, Lane, Lsn, Outcome, Record, RecordKind, Verdict};

/// First and longest pause after a failure, in milliseconds; doubled in between.
pub(super) const RETRY_MS: (u64, u64) = (50, 5_000);

impl Core {
    /// Takes the end of a delivery.
    pub(super) fn delivered(&mut self, id: DeliveryId, outcome: DeliveryOutcome) {
        let Some(ended) = self.deliveries.remove(&id) else {
            return;
        };
        let instance = ended.instance;
        self.count_delivery(instance, ended.decided, false);
        self.dirty.insert(ended.lane.clone());
        let Some(lane) = self.lanes.get_mut(&ended.lane) else {
            return;
        };
        let at = &mut lane.at[instance.index()];
        at.in_flight = None;
        self.trial_ended(instance, id);
        if self.instances[instance.index()].lost.is_some() {
            return self.heal_lost();
        }
        if let What::Rebuild { .. } = ended.what {
            return self.errand_ended(&ended, outcome);
        }
        match outcome {
            DeliveryOutcome::Success { answer, real_id } => {
                self.measure(&ended);
                self.succeeded(&ended, answer, real_id);
            }
            DeliveryOutcome::Ids(ids) => self.resolved(&ended, ids),
            DeliveryOutcome::Rejected { answer, dimension } => self.rejected(&ended, answer, dimension),
            DeliveryOutcome::StateLost { detail } => self.lost_state(&ended.lane, instance, detail),
            DeliveryOutcome::NotExecuted { detail, refused } => {
                if matches!(ended.what, What::Records { .. }) {
                    self.untouched(&ended);
                }
                if refused {
                    self.recheck(instance, detail);
                } else {
                    self.back_off(&ended);
                }
            }
            DeliveryOutcome::DeadWriter { answer } => {
                self.note_doubt(&ended);
                self.bad_end(&ended, Some(&answer));
                if ended.decided {
                    self.give_up_broken(&ended, &answer);
                    self.back_off(&ended);
                }
                self.recheck(instance, "its writer is dead".to_owned());
            }
            DeliveryOutcome::Rehearsal { detail, answer } => self.rehearsal_ended(ended, detail, answer),
            DeliveryOutcome::Doubt { detail, answer } => self.in_doubt(ended, detail, answer),
            DeliveryOutcome::BrokenCopy { detail } => self.broken_copy(&ended, detail),
            DeliveryOutcome::Listed { .. }
            | DeliveryOutcome::Chunk(_)
            | DeliveryOutcome::Digest(_)
            | DeliveryOutcome::TaskGone { .. } => {}
        }
    }

    fn measure(&mut self, ended: &InFlight) {
        let kind = match &ended.what {
            What::Records { kind, .. } => *kind,
            What::DeleteIds { .. } => RecordKind::Delete,
            _ => return,
        };
        let took_ms = self.now_ms - ended.since_ms;
        self.instances[ended.instance.index()].paces[kind as usize].learn(ended.records, took_ms);
    }

    /// Nothing may be sent to the instance before a proof that begins after this moment.
    pub(super) fn recheck(&mut self, instance: InstanceId, why: String) {
        let state = &mut self.instances[instance.index()];
        if state.availability == Availability::Up {
            state.availability = Availability::Checking;
        }
        state.proofs += 1;
        self.actions.push(Action::Recheck { instance, proof: state.proofs, why });
    }

    pub(super) fn back_off(&mut self, ended: &InFlight) {
        let Some(lane) = self.lanes.get_mut(&ended.lane) else {
            return;
        };
        let at = &mut lane.at[ended.instance.index()];
        let pause_ms = (RETRY_MS.0 << at.failures.min(10)).min(RETRY_MS.1);
        at.failures += 1;
        at.retry_at_ms = self.now_ms + pause_ms;
        self.retries.insert((at.retry_at_ms, ended.lane.clone()));
    }

    fn succeeded(&mut self, ended: &InFlight, answer: Answer, real_id: Option<u128>) {
        let Some(lane) = self.lanes.get_mut(&ended.lane) else {
            return;
        };
        if let What::Describe { .. } = ended.what {
            if let Some(lsn) = ended.entries.first() {
                self.decide_here(&ended.lane, ended.instance, *lsn, Verdict::Unchanged(answer), Vec::new());
            }
            return;
        }
        if let Some(refused) = ended.entries.iter().find(|lsn| was_refused(lane, **lsn)) {
            let fixing = matches!(ended.what, What::FixDimension { .. });
            if !fixing {
                let reason = format!("it accepted {refused}, which was refused by verdict");
                return self.diverged(&ended.lane, ended.instance, reason);
            }
        }
        let at = &mut lane.at[ended.instance.index()];
        (at.doubt, at.failures) = (false, 0);
        at.split = at.split.map(|cap| cap.saturating_mul(2)).filter(|cap| *cap < 512);
        let undecided = undecided(lane, &ended.entries);
        let fixed = undecided.iter().find_map(|lsn| lane.entry(*lsn)?.records()?.dimension());
        let mut changes = Vec::new();
        if let (None, Some(dimension), Lane::Collection(id)) = (lane.dimension, fixed, &ended.lane) {
            lane.dimension = Some(dimension);
            changes.push(CatalogChange::Dimension { id: *id, dimension });
        }
        let single = ended.entries.len() == 1;
        let decisions = undecided
            .iter()
            .filter_map(|lsn| {
                let entry = lane.entry(*lsn)?;
                let own = own_answer(entry).filter(|_| !single || entry.resolved().is_some());
                let answer = own.unwrap_or_else(|| answer.clone());
                Some(Decision { lsn: *lsn, verdict: Verdict::Committed(answer) })
            })
            .collect();
        let Some(last) = ended.entries.last().copied() else {
            return;
        };
        changes.extend(self.schema_changes(
            &ended.lane,
            ended.instance,
            last,
            !undecided.is_empty(),
            real_id,
        ));
        self.applied(&ended.lane, ended.instance, last, decisions, changes);
        if !undecided.is_empty() {
            self.gather(ended);
        }
    }

    fn rejected(&mut self, ended: &InFlight, answer: Answer, dimension: Option<u32>) {
        let Some(lane) = self.lanes.get_mut(&ended.lane) else {
            return;
        };
        let at = &mut lane.at[ended.instance.index()];
        if ended.entries.len() > 1 {
            at.split = Some(ended.entries.len() / 2);
            return;
        }
        let Some(lsn) = ended.entries.first().copied() else {
            return;
        };
        (at.doubt, at.failures) = (false, 0);
        let Some(entry) = lane.entry(lsn) else { return };
        match entry.ruling() {
            Some(Ruling::Committed) => {
                let reason = format!("it refused {lsn}, which was committed by verdict: {answer:?}");
                self.diverged(&ended.lane, ended.instance, reason);
            }
            Some(_) => self.applied(&ended.lane, ended.instance, lsn, Vec::new(), Vec::new()),
            None => {
                let fixes_dimension = dimension.filter(|_| lane.dimension.is_none());
                let mut changes = Vec::new();
                if let (Some(dimension), Lane::Collection(id)) = (fixes_dimension, &ended.lane) {
                    lane.dimension = Some(dimension);
                    changes.push(CatalogChange::Dimension { id: *id, dimension });
                }
                let verdict = Verdict::Rejected { answer, fixes_dimension };
                self.decide_here(&ended.lane, ended.instance, lsn, verdict, changes);
            }
        }
    }

    fn resolved(&mut self, ended: &InFlight, ids: Vec<String>) {
        let Some(lsn) = ended.entries.first().copied() else {
            return;
        };
        let Some(entry) = self.lanes.get_mut(&ended.lane).and_then(|lane| lane.entry_mut(lsn)) else {
            return;
        };
        if entry.resolved().is_some() || entry.is_resolving() {
            return;
        }
        entry.set_resolving();
        let later = Later::Resolved { lane: ended.lane.clone(), lsn, ids: ids.clone() };
        self.record(Record::Resolved { lsn, ids }, later);
    }

    /// A verdict for one entry at the instance that decides; its position there moves with it.
    pub(super) fn decide_here(
        &mut self,
        key: &Lane,
        instance: InstanceId,
        lsn: Lsn,
        verdict: Verdict,
        changes: Vec<CatalogChange>,
    ) {
        let Some(lane) = self.lanes.get(key) else { return };
        let decisions = match lane.entry(lsn) {
            Some(entry) if !entry.is_decided() => vec![Decision { lsn, verdict }],
            _ => Vec::new(),
        };
        self.applied(key, instance, lsn, decisions, changes);
    }

    /// Moves an instance's applied position and makes that, and the verdicts that come with it, durable.
    pub(super) fn applied(
        &mut self,
        key: &Lane,
        instance: InstanceId,
        lsn: Lsn,
        decisions: Vec<Decision>,
        changes: Vec<CatalogChange>,
    ) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        for decision in &decisions {
            if let Some(entry) = lane.entry_mut(decision.lsn) {
                entry.decide(decision.verdict.clone());
            }
        }
        let at = &mut lane.at[instance.index()];
        at.applied = at.applied.max(lsn);
        let number = self.recorded + 1;
        at.unsaved.push_back((number, lsn));
        self.dirty.insert(key.clone());
        let outcome = Outcome { lane: key.clone(), instance, applied: lsn, decisions, changes };
        let later = Later::Outcome {
            lane: key.clone(),
            instance,
            decided: outcome.decisions.iter().map(|decision| decision.lsn).collect(),
            changes: outcome.changes.clone(),
        };
        self.record(Record::Outcome(outcome), later);
        if self.schema.dependents(key).next().is_some() {
            self.hurry();
        }
    }
}

fn was_refused(lane: &LaneState, lsn: Lsn) -> bool {
    let ruling = lane.entry(lsn).and_then(Pending::ruling);
    matches!(ruling, Some(Ruling::Refused | Ruling::FixesDimension(_) | Ruling::Poisoned))
}

fn undecided(lane: &LaneState, entries: &[Lsn]) -> Vec<Lsn> {
    entries.iter().filter(|lsn| lane.entry(**lsn).is_some_and(|entry| !entry.is_decided())).copied().collect()
}

/// The answer that Chroma gives to the entry alone, where it follows from the entry.
fn own_answer(entry: &Pending) -> Option<Answer> {
    if let Some(ids) = entry.resolved() {
        return Some(Answer { status: 200, body: deleted_body(ids.len() as u64) });
    }
    let write = entry.records()?;
    Some(match write.kind {
        RecordKind::Add => Answer { status: 201, body: b"{}".to_vec() },
        RecordKind::Upsert | RecordKind::Update => Answer { status: 200, body: b"{}".to_vec() },
        RecordKind::Delete => Answer { status: 200, body: deleted_body(u64::from(write.count)) },
    })
}
