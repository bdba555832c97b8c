//! Writes that an instance does not survive (invariant I12).
//!
//! A write's way, where something happens to an instance under it:
//!
//! 1. *Suspect.* It was under way, undecided, when its instance died or stopped writing: the connection was lost, or the
//!    answer was indefinite, and the next proof found the instance refusing or unable to write; or the answer said that
//!    the writer is dead; or the instance answers this write indefinitely again and again, and others well. That is weak:
//!    whoever kills a server makes suspects of all that was under way there. It is recorded, so that a restart knows.
//! 2. *On trial.* A suspect goes to an instance, whichever, only as a trial: a delivery that goes to a scratch collection
//!    first (the rehearsal) and to the collection itself only when the instance has borne it there. Nothing else is under
//!    way at the instance meanwhile, so that what happens is this delivery's doing. The courier shows that the instance
//!    writes right before it sends the suspect. Neighbouring suspects share a trial, as they would share a run: after a
//!    plain crash each run that was under way costs one rehearsal.
//! 3. A trial that ends with a definite answer decides as any delivery does, and the suspicion is over: an instance bore
//!    it. One that says nothing is repeated.
//! 4. *A bad end.* The instance died or stopped writing under the trial. Where several shared it, each is tried alone
//!    from then on. One that was alone is withdrawn: it was under way at two deaths, and at the second nothing else was.
//! 5. *Poisoned.* A verdict: void everywhere, answered with 500, in its turn, so that its lane goes on. It stays in the
//!    log until an operator discards it. One who wants it sent all the same logs it again, as a new write.
//!
//! An instance that was sent the write itself may hold it, shown or not, now or after its next start. It is divergent in
//! that lane, to be rebuilt; but the last source is never given up. If the write died there for real, that last source
//! *holds poison*: nothing of the lane is sent there or read there until the collection is dropped, another source is
//! built, or an operator discards the write. What died on such a copy is blamed on the copy and not withdrawn.

use super::core::{Core, InFlight};
use super::durable::Later;
use super::event::{Action, DeliveryId, What};
use super::lane::LaneState;
use super::pending::Pending;
use crate::chroma::error::{ApiError, INTERNAL};
use crate::chroma::ids::InstanceId;
use crate::wal::record::{Answer, Lane, Lsn, Record, Verdict};

/// What an instance must know to try a suspect alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials {
    /// The lane whose suspect is next, as soon as nothing else is under way.
    pub next: Option<Lane>,
    under_way: Option<DeliveryId>,
    /// Deliveries before this one were sent before the last proof: nobody waits for them.
    since: DeliveryId,
    /// Deliveries since the last proof that got no definite answer.
    unanswered: Vec<InFlight>,
}

/// How far a trial may have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It ended in the rehearsal.
    Rehearsal,
    /// The collection itself may have got it.
    Whole,
}

/// A withdrawn write that is kept.
#[derive(Clone, Debug)]
pub(super) struct Poisoned {
    pub lane: Lane,
    /// The last instance that died, or stopped writing, under the write itself.
    pub instance: InstanceId,
    /// Instances that may have been sent it.
    may_hold: Vec<InstanceId>,
    /// No operator gave it up; what it did to instances is remembered all the same.
    pub kept: bool,
}

impl Trials {
    /// The instance is proven to be well: what was lost before was not its death. A trial that is under way all the same
    /// keeps the instance to itself until its end, for there is one scratch collection.
    pub(super) fn proven(&mut self, next_delivery: u64) {
        self.since = DeliveryId(next_delivery);
        self.unanswered.clear();
    }
}

impl LaneState {
    /// True where a delivery of these entries is a trial.
    pub(super) fn is_trial(&self, entries: &[Lsn], what: &What) -> bool {
        carries_records(what) && entries.iter().any(|lsn| self.entry(*lsn).is_some_and(Pending::is_on_trial))
    }
}

impl Core {
    /// True while a trial is under way at an instance, or waits for the rest to end: it gets nothing else.
    pub(super) fn awaits_trial(&self, instance: InstanceId) -> bool {
        let trials = &self.instances[instance.index()].trials;
        trials.under_way.is_some() || (trials.next.is_some() && self.has_company(instance))
    }

    /// True where the delivery is a trial that can't begin yet: then the instance gets nothing else before it.
    pub(super) fn waits_for_trial(
        &mut self,
        key: &Lane,
        instance: InstanceId,
        entries: &[Lsn],
        what: &What,
    ) -> bool {
        if !self.lanes.get(key).is_some_and(|lane| lane.is_trial(entries, what)) {
            return false;
        }
        let company = self.has_company(instance);
        self.instances[instance.index()].trials.next = company.then(|| key.clone());
        company
    }

    /// True while something is under way at an instance that was sent since its last proof.
    fn has_company(&self, instance: InstanceId) -> bool {
        let since = self.instances[instance.index()].trials.since;
        self.deliveries.range(since..).any(|(_, delivery)| delivery.instance == instance)
    }

    /// A trial begins.
    pub(super) fn trial_begins(&mut self, instance: InstanceId, id: DeliveryId) {
        self.instances[instance.index()].trials.under_way = Some(id);
    }

    /// A delivery ended, however.
    pub(super) fn trial_ended(&mut self, instance: InstanceId, id: DeliveryId) {
        let trials = &mut self.instances[instance.index()].trials;
        trials.under_way = trials.under_way.filter(|trial| *trial != id);
    }

    /// An instance died or stopped writing: under what was under way there, and under what got no definite answer since
    /// it was last proven to be well.
    pub(super) fn died(&mut self, instance: InstanceId) {
        let mut unanswered = std::mem::take(&mut self.instances[instance.index()].trials.unanswered);
        for delivery in self.deliveries.values_mut().filter(|delivery| delivery.instance == instance) {
            delivery.died = true;
            if delivery.trial.is_none() {
                unanswered.push(delivery.clone());
            }
        }
        for ended in unanswered {
            self.bad_end(&ended, None);
        }
    }

    /// A delivery got no definite answer: a bad end, if the instance died under it.
    pub(super) fn unanswered(&mut self, ended: InFlight) {
        if ended.died {
            self.bad_end(&ended, None);
        } else if carries_records(&ended.what) {
            self.instances[ended.instance.index()].trials.unanswered.push(ended);
        }
    }

    /// Nothing of a trial was sent to the collection itself.
    pub(super) fn untouched(&mut self, ended: &InFlight) {
        if let Some(lane) = self.lanes.get_mut(&ended.lane)
            && ended.trial.is_some()
        {
            lane.at[ended.instance.index()].sent = ended.sent_before;
        }
    }

    /// The rehearsal of a suspect ended badly, or nobody knows how. The collection itself is untouched.
    pub(super) fn rehearsal_ended(&mut self, mut ended: InFlight, detail: String, answer: Option<Answer>) {
        ended.trial = Some(Phase::Rehearsal);
        self.untouched(&ended);
        let instance = ended.instance;
        match answer {
            Some(answer) => self.bad_end(&ended, Some(&answer)),
            None => self.unanswered(ended),
        }
        self.recheck(instance, detail);
    }

    /// An instance died, or stopped writing, under a delivery.
    pub(super) fn bad_end(&mut self, ended: &InFlight, answer: Option<&Answer>) {
        if !carries_records(&ended.what) {
            return;
        }
        match ended.entries[..] {
            _ if ended.trial.is_none() => self.suspect(ended, answer),
            [lsn] if self.deliveries.values().all(|other| other.instance != ended.instance) => {
                self.convict(ended, lsn);
            }
            [_] => {}
            _ => {
                let Some(lane) = self.lanes.get_mut(&ended.lane) else { return };
                for lsn in &ended.entries {
                    lane.entry_mut(*lsn).into_iter().for_each(Pending::try_alone);
                }
            }
        }
    }

    /// Makes suspects of the undecided entries of a delivery.
    fn suspect(&mut self, ended: &InFlight, answer: Option<&Answer>) {
        let Some(lane) = self.lanes.get_mut(&ended.lane) else { return };
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
            self.record_suspect(lsn, ended.instance, answer);
        }
        self.dirty.insert(ended.lane.clone());
    }

    pub(super) fn record_suspect(&mut self, lsn: Lsn, instance: InstanceId, answer: Option<&Answer>) {
        let none = || Answer { status: 500, body: b"no answer".to_vec() };
        let answer = answer.cloned().unwrap_or_else(none);
        self.record(Record::Suspect { lsn, instance, answer }, Later::Nothing);
    }

    /// A suspect had a bad end in a trial of its own.
    fn convict(&mut self, ended: &InFlight, lsn: Lsn) {
        let (key, instance) = (&ended.lane, ended.instance);
        let entry = self.lanes.get(key).and_then(|lane| lane.entry(lsn));
        if !entry.is_some_and(Pending::is_on_trial) {
            return;
        }
        if ended.trial == Some(Phase::Rehearsal) {
            return self.withdraw(key, instance, lsn, false);
        }
        let held = |poisoned: &Poisoned| poisoned.lane == *key && poisoned.may_hold.contains(&instance);
        let first = self.poisoned.iter().find(|(_, poisoned)| held(poisoned)).map(|(first, _)| *first);
        if first.is_none() && ended.sent_before <= lsn {
            self.record_suspect(lsn, instance, None);
            return self.withdraw(key, instance, lsn, true);
        }
        // What it holds of another write may be what it does not bear.
        let reason =
            format!("it died or stopped writing under {lsn}, perhaps for another write that it got before");
        if !self.give_up(key, instance, reason) {
            self.back_off(ended);
            if let Some((first, poisoned)) =
                first.and_then(|first| Some((first, self.poisoned.get_mut(&first)?)))
            {
                poisoned.instance = instance;
                self.record_suspect(first, instance, None);
                self.wait_for_source(key, instance);
            }
        }
        self.dirty.insert(key.clone());
    }

    /// The verdict that a suspect is poison, by an instance that died under it, `itself` or its rehearsal.
    fn withdraw(&mut self, key: &Lane, instance: InstanceId, lsn: Lsn, itself: bool) {
        let Some(lane) = self.lanes.get(key) else { return };
        let Some(first) = lane.entry(lsn).and_then(Pending::suspect) else {
            return;
        };
        // After a restart everything counts as sent; but one that has no collection yet was sent none of its records.
        let sent =
            |other: &InstanceId| lane.at[other.index()].sent >= lsn && self.real_id(key, *other).is_some();
        let may_hold: Vec<_> = self.instance_ids().filter(sent).collect();
        let reason =
            format!("it may hold {lsn}, a write that was withdrawn because instances did not survive it");
        // The last source is kept, so that the most certain come first, and last who goes on best.
        let mut holders = may_hold.clone();
        let dies = |holder: InstanceId| holder == first || (itself && holder == instance);
        holders.sort_by_key(|holder| (*holder != first, !dies(*holder), lane.at[holder.index()].applied));
        if !holders.contains(&first) {
            holders.insert(0, first);
        }
        for holder in holders {
            self.give_up(key, holder, reason.clone());
        }
        let last = if itself { instance } else { first };
        self.poisoned.insert(lsn, Poisoned { lane: key.clone(), instance: last, may_hold, kept: true });
        self.wait_for_source(key, last);
        self.decide_here(key, instance, lsn, Verdict::Poisoned(withdrawn(lsn)), Vec::new());
    }

    /// True where an instance is a lane's last source, and a withdrawn write died there for real.
    pub(super) fn holds_poison(&self, key: &Lane, instance: InstanceId) -> bool {
        let died_there = |poisoned: &Poisoned| {
            poisoned.kept
                && poisoned.instance == instance
                && poisoned.lane == *key
                && poisoned.may_hold.contains(&instance)
        };
        self.poisoned.values().any(died_there) && self.is_last_source(key, instance)
    }

    /// Copies that can't be finished while the last source holds poison begin again, so that they hold no name back.
    fn wait_for_source(&mut self, key: &Lane, source: InstanceId) {
        if self.holds_poison(key, source) {
            let reason = "it was copied from one that may hold a write that was withdrawn";
            let others = self.instance_ids().filter(|other| *other != source);
            others.for_each(|other| _ = self.give_up(key, other, reason.to_owned()));
        }
    }

    fn is_last_source(&self, key: &Lane, instance: InstanceId) -> bool {
        let at = self.lanes.get(key).map(|lane| &lane.at[instance.index()]);
        at.is_none_or(|at| at.divergent.is_none()) && !self.has_other_source(key, instance)
    }

    /// An instance has a new copy of a lane, in which nothing withdrawn can be.
    pub(super) fn bears_again(&mut self, key: &Lane, instance: InstanceId) {
        let there = self.poisoned.values_mut().filter(|poisoned| poisoned.lane == *key);
        there.for_each(|poisoned| poisoned.may_hold.retain(|holder| *holder != instance));
    }

    /// The log held a withdrawn write at the start. Nobody knows any more where it was sent.
    pub(super) fn recover_poisoned(&mut self, lsn: Lsn, lane: Lane, instance: InstanceId) {
        let may_hold = self.instance_ids().collect();
        self.poisoned.insert(lsn, Poisoned { lane, instance, may_hold, kept: true });
    }

    /// An operator gives up a withdrawn write.
    pub(super) fn discard(&mut self, lsn: Lsn) {
        if self.is_kept(lsn) {
            self.record(Record::Discarded { lsn }, Later::Discarded { lsn });
        }
    }

    /// That is durable.
    pub(super) fn discarded(&mut self, lsn: Lsn) {
        let Some(poisoned) = self.poisoned.get_mut(&lsn).filter(|poisoned| poisoned.kept) else { return };
        poisoned.kept = false;
        let lane = poisoned.lane.clone();
        if self.lanes.get(&lane).is_none_or(|lane| lane.entry(lsn).is_none()) {
            self.actions.push(Action::Finished { lsns: vec![lsn] });
        }
        self.dirty.insert(lane);
    }

    /// True for a withdrawn write that no operator has given up.
    pub(super) fn is_kept(&self, lsn: Lsn) -> bool {
        self.poisoned.get(&lsn).is_some_and(|poisoned| poisoned.kept)
    }
}

fn carries_records(what: &What) -> bool {
    matches!(what, What::Records { .. } | What::DeleteIds { .. })
}

/// What the sender of a withdrawn write is told.
fn withdrawn(lsn: Lsn) -> Answer {
    let message = format!(
        "The write was withdrawn: servers died or stopped writing under it, the last time under it alone. It is kept as \
         {lsn} and not sent again unless an operator forces it (isochrome poisoned)"
    );
    let error = ApiError::new(500, INTERNAL, message);
    Answer { status: error.status, body: error.body() }
}
