//! The invariants, as far as they can be seen from outside the core.

use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::replication::event::{Delivery, DeliveryOutcome, Errand, What};
use isochrome::replication::view::StateThere;
use isochrome::wal::record::{Decision, Encoding, EntryHead, Lane, Lsn, Op, Outcome, Verdict};

use crate::deadly::is_poisoned;
use crate::model::{Collection, Response};
use crate::reference::public_id;
use crate::rehearsal::SYSTEM;
use crate::server::Belief;
use crate::trouble::instance;
use crate::world::World;

impl World {
    /// What the core sends may be sent.
    pub(crate) fn check_delivery(&self, delivery: &Delivery) {
        let Delivery { instance, lane, entries, what, .. } = delivery;
        let there = &self.servers[instance.index()];
        assert!(there.told_up, "{instance:?} is not up, and gets {what:?}");
        let mut under_way =
            self.jobs.values().map(|job| &job.delivery).filter(|job| job.instance == *instance);
        assert!(under_way.all(|job| job.lane != *lane), "I2: two requests of {lane:?} at {instance:?}");
        let under_way = self.jobs.values().filter(|job| job.delivery.instance == *instance).count();
        assert!(under_way < self.plan.settings.max_in_flight, "I11: too much under way at {instance:?}");
        if let What::Rebuild { errand, target, from, .. } = what {
            return self.check_errand(delivery, *errand, *target, *from);
        }
        assert!(entries.is_sorted() && !entries.is_empty(), "I2: {entries:?}");
        assert!(!self.log.facts.is_given_up(lane, *instance), "{entries:?} go to a divergent copy");
        for lsn in entries {
            let logged = self.log.facts.entries.get(lsn);
            let (head, _) = logged.unwrap_or_else(|| panic!("I1: {lsn} is sent before it is durable"));
            assert_eq!(head.lane, *lane);
            self.check_verdict_allows(*lsn, what);
        }
        self.check_holds(delivery);
        self.check_order(delivery);
        self.check_trial(delivery);
        if let Some(id) = public_id(lane)
            && !matches!(what, What::Resolve { .. } | What::Describe { .. })
        {
            self.check_board(id, *instance);
        }
        self.check_run(delivery);
        if let What::DeleteIds { ids, .. } = what {
            let durable = self.log.facts.resolved.get(&entries[0]);
            assert_eq!(durable, Some(&ids.to_vec()), "I7: {} deletes what is not durable", entries[0]);
        }
    }

    /// A reading is exact: everything that was sent there is applied, durably, and it is far enough.
    fn check_errand(&self, delivery: &Delivery, errand: Errand, target: InstanceId, from: Lsn) {
        let Delivery { instance, lane, .. } = delivery;
        let facts = &self.log.facts;
        assert!(facts.is_divergent(lane, target), "{lane:?} is rebuilt on {target:?}, and is not divergent");
        if *instance == target {
            return;
        }
        assert!(!facts.is_divergent(lane, *instance), "{lane:?} is copied from a divergent copy");
        let applied = facts.applied(lane, *instance);
        let open = facts.lanes[lane].iter().filter(|lsn| {
            let done = **lsn <= applied || facts.is_void(**lsn);
            !done && self.written.get(&(lane.clone(), *instance)).is_some_and(|sent| *sent >= **lsn)
        });
        let open: Vec<&Lsn> = open.collect();
        assert!(open.is_empty(), "{errand:?} reads from {instance:?}, where {open:?} are open");
        let sound = errand == Errand::List
            || from <= applied
            || facts.lanes[lane]
                .range(..=from)
                .next_back()
                .is_none_or(|last| *last <= applied || facts.is_forgotten(*last) || facts.is_void(*last));
        assert!(sound, "{errand:?} of {from} reads from {instance:?} at {applied}");
    }

    fn check_verdict_allows(&self, lsn: Lsn, what: &What) {
        match (self.log.facts.decisions.get(&lsn), what) {
            (None, What::FixDimension { .. }) => panic!("I4: {lsn} is shipped as refused without a verdict"),
            (None | Some(Verdict::Committed(_)), _) => {}
            (Some(Verdict::Rejected { fixes_dimension, .. }), What::FixDimension { dimension, .. }) => {
                assert_eq!(*fixes_dimension, Some(*dimension));
            }
            (Some(verdict), _) => panic!("I4: {lsn} is sent in spite of {verdict:?}"),
        }
    }

    /// I2 and I3: all that comes before in the lane is settled there, durably where it conflicts.
    fn check_order(&self, delivery: &Delivery) {
        let facts = &self.log.facts;
        let (lane, instance, sent) = (&delivery.lane, delivery.instance, &delivery.entries);
        let durable = facts.applied(lane, instance);
        let settled = self.settled.get(&(lane.clone(), instance)).copied().unwrap_or_default();
        let (first, last) = (sent[0], sent[sent.len() - 1]);
        let dropped = self.dropped_at(lane);
        let ends = matches!(delivery.what, What::DropCollection { .. });
        assert!(first > durable, "I2: {first} is sent to {instance:?} again after {durable} was applied");
        for before in facts.lanes[lane].range(..last).filter(|lsn| !sent.contains(lsn)) {
            let void = facts.is_void(*before) || dropped.is_some_and(|dropped| *before < dropped);
            let void = void || self.may_be_withdrawn(*before);
            // A drop may pass what the last source goes on refusing; it is decided, so that the drop comes after it.
            let void = void || (ends && facts.decisions.contains_key(before));
            if *before <= durable || void || facts.is_forgotten(*before) {
                continue;
            }
            assert!(*before <= settled, "I2: {before} is overtaken at {instance:?} by {sent:?}");
            let (earlier, _) = &facts.entries[before];
            let conflicts = sent.iter().any(|lsn| conflict(earlier, &facts.entries[lsn].0));
            assert!(!conflicts, "I3: {before} is not settled at {instance:?}, and {sent:?} conflicts");
        }
    }

    /// The committed drop that ends a lane.
    fn dropped_at(&self, lane: &Lane) -> Option<Lsn> {
        let facts = &self.log.facts;
        let committed = |lsn: &&Lsn| matches!(facts.decisions.get(lsn), Some(Verdict::Committed(_)));
        let mut drops = facts.lanes[lane].iter().filter(|lsn| facts.entries[lsn].0.op == Op::DropCollection);
        drops.find(committed).copied()
    }

    fn check_run(&self, delivery: &Delivery) {
        let entries = &delivery.entries;
        if entries.len() == 1 {
            return;
        }
        let heads: Vec<&EntryHead> = entries.iter().map(|lsn| &self.log.facts.entries[lsn].0).collect();
        let bytes: u64 = heads.iter().map(|head| head.body_bytes).sum();
        let records: u32 =
            heads.iter().map(|head| if let Op::Records(write) = &head.op { write.count } else { 0 }).sum();
        assert!(records <= self.plan.settings.run_records, "I11: {records} records in a run");
        assert!(bytes <= self.plan.settings.run_bytes, "I11: {bytes} bytes in a run");
        assert!(matches!(delivery.what, What::Records { .. }), "only record writes share a request");
        let embeddings = |head: &&EntryHead| match &head.op {
            Op::Records(write) => write.encoding != Encoding::None,
            _ => false,
        };
        let before = Lsn(entries[0].0 - 1);
        let known = public_id(&delivery.lane).and_then(|id| self.reference.collection(id, before));
        let decided = self.log.facts.decisions.contains_key(&entries[0]);
        let fixed = decided
            || self.fixed_by_refusal.contains(&delivery.lane)
            || known.is_some_and(|found| found.dimension.is_some());
        assert!(fixed || !heads.iter().any(embeddings), "I4: {entries:?} may fix the dimension together");
    }

    /// A delivery ended: what the server holds is what the reference holds there.
    pub(crate) fn delivery_ends(&mut self, delivery: &Delivery, outcome: &DeliveryOutcome) {
        if delivery.entries.is_empty() {
            return;
        }
        let (first, last) = (delivery.entries[0], delivery.entries[delivery.entries.len() - 1]);
        let key = (delivery.lane.clone(), delivery.instance);
        match (outcome, &delivery.what) {
            (_, What::Describe { .. } | What::Resolve { .. }) => {}
            (DeliveryOutcome::Success { real_id, .. }, what) => {
                self.settled.insert(key.clone(), last);
                let Some(id) = public_id(&delivery.lane) else { return };
                let there = &self.servers[delivery.instance.index()];
                // An earlier run of Isochrome may have got further; what it sent without conflict is already there.
                // Before a drop, only names still matter.
                let dropped = self.dropped_at(&delivery.lane).is_some_and(|dropped| last < dropped);
                let mut before = self.log.facts.lanes[&delivery.lane].range(..=last);
                let withdrawn = before.any(|lsn| self.may_be_withdrawn(*lsn));
                // A copy begins with what some later writes made of its records.
                let copy = self.log.facts.is_divergent(&delivery.lane, delivery.instance);
                let spoilt = self.spoilt.contains(&key.0);
                if last < self.sent[&key] || there.lost_state || dropped || withdrawn || copy || spoilt {
                    return;
                }
                let real_id = match what {
                    What::Records { real_id, .. }
                    | What::DeleteIds { real_id, .. }
                    | What::FixDimension { real_id, .. }
                    | What::ModifyCollection { real_id }
                    | What::DropCollection { real_id, .. } => *real_id,
                    _ => real_id.unwrap_or_default(),
                };
                let found = there.model.collection(real_id);
                let wanted = self.wanted_there(id, last, found);
                assert_same(
                    wanted.as_ref(),
                    found,
                    &format!("I3: at {:?} after {last} of {id}", delivery.instance),
                );
            }
            (DeliveryOutcome::Rejected { .. }, _) if first == last => {
                self.settled.insert(key, last);
            }
            _ => {}
        }
    }

    /// What an instance must hold after a write, where it holds `found`. A write that is sent again after a restart
    /// of Isochrome may meet the dimension that a later one, sent by the run before, has fixed.
    pub(crate) fn wanted_there(&self, id: u128, last: Lsn, found: Option<&Collection>) -> Option<Collection> {
        let mut wanted = self.reference.collection(id, last)?.clone();
        let later = self.log.facts.lanes[&lane_of(id)].range(last..);
        let mut later = later.filter_map(|lsn| self.reference.collection(id, *lsn)?.dimension);
        if let (None, Some(found), true) = (wanted.dimension, found, self.generation > 1) {
            wanted.dimension = found.dimension.filter(|dimension| later.next() == Some(*dimension));
        }
        Some(wanted)
    }

    /// Verdicts are those of the reference.
    pub(crate) fn check_outcome(&mut self, outcome: &Outcome) {
        for Decision { lsn, verdict } in &outcome.decisions {
            if let Verdict::Cancelled(_) = verdict {
                self.check_cancelled(*lsn);
                self.reference.withdraw(*lsn);
                continue;
            }
            if is_poisoned(verdict) {
                self.check_withdrawn(*lsn);
                continue;
            }
            if self.is_withdrawn_suspect(*lsn, verdict) {
                self.reference.withdraw(*lsn);
                continue;
            }
            if self.spoilt.contains(&outcome.lane) {
                continue;
            }
            let expected = self.reference.expected(*lsn);
            let (status, wanted) = (verdict.answer().status, expected.status);
            // Chroma finds a body of the wrong types before it finds that the collection is gone.
            let same = status == wanted || (status, wanted) == (404, 422);
            assert!(same, "I4: the verdict of {lsn} is {verdict:?}, not {expected:?}");
            let body = String::from_utf8_lossy(&verdict.answer().body).into_owned();
            match &expected.response {
                Response::Deleted(count) => assert_eq!(body, format!("{{\"deleted\":{count}}}"), "{lsn}"),
                Response::Collection(found) => {
                    assert_eq!(body, CollectionId(found.id).to_string(), "I9: {lsn}");
                }
                _ => {}
            }
            let committed = matches!(verdict, Verdict::Committed(_));
            assert!(!committed || !expected.response.is_refused(), "I4: {lsn}: {verdict:?}");
        }
    }

    /// A cancelled write was never sent anywhere, by any run of Isochrome.
    fn check_cancelled(&self, lsn: Lsn) {
        let lane = &self.log.facts.entries[&lsn].0.lane;
        for server in 0..self.servers.len() {
            let sent = self.sent.get(&(lane.clone(), instance(server)));
            assert!(
                sent.is_none_or(|sent| *sent < lsn),
                "{lsn} is cancelled, and was sent to server {server}"
            );
        }
    }

    fn is_withdrawn_suspect(&self, lsn: Lsn, verdict: &Verdict) -> bool {
        verdict.answer().status == 404 && self.may_be_withdrawn(lsn)
    }

    /// True for a suspect whose collection is dropped behind it, and for what is between them: it is refused instead of
    /// tried again.
    fn may_be_withdrawn(&self, lsn: Lsn) -> bool {
        let facts = &self.log.facts;
        let lane = &facts.entries[&lsn].0.lane;
        let cancelled = |later: &Lsn| matches!(facts.decisions.get(later), Some(Verdict::Cancelled(_)));
        let drops = |later: &Lsn| facts.entries[later].0.op == Op::DropCollection && !cancelled(later);
        let mut suspects = facts.lanes[lane].range(..=lsn);
        suspects.any(|before| self.suspected.contains(before))
            && facts.lanes[lane].range(Lsn(lsn.0 + 1)..).any(drops)
    }

    /// I8: a write whose space may go is void, or applied by every instance.
    pub(crate) fn check_finished(&self, lsns: &[Lsn]) {
        let facts = &self.log.facts;
        for lsn in lsns {
            let lane = &facts.entries[lsn].0.lane;
            assert!(facts.decisions.contains_key(lsn), "I8: {lsn} is finished without a verdict");
            let kept = facts.decisions.get(lsn).is_some_and(is_poisoned) && !facts.discarded.contains(lsn);
            assert!(!kept, "I12: {lsn} is poisoned, and not kept");
            let dropped = self.dropped_at(lane).is_some_and(|dropped| dropped >= *lsn);
            for server in 0..self.servers.len() {
                let applied = facts.applied(lane, instance(server)) >= *lsn;
                // The position tells after a restart that a cancelled write is finished.
                let needed = matches!(
                    facts.decisions.get(lsn),
                    Some(Verdict::Rejected { fixes_dimension: Some(_), .. } | Verdict::Cancelled(_))
                );
                let given_up = facts.is_given_up(lane, instance(server));
                assert!(
                    applied || dropped || given_up || (facts.is_void(*lsn) && !needed),
                    "I8: {lsn} is finished, and server {server} misses it"
                );
            }
        }
    }

    pub(crate) fn check_acknowledged_by_all(&self, lsn: Lsn, waited_ms: u64) {
        let settings = &self.plan.settings;
        let committed = matches!(self.log.facts.decisions.get(&lsn), Some(Verdict::Committed(_)));
        if !committed || !settings.acknowledge_all || waited_ms >= settings.write_timeout_ms {
            return;
        }
        let lane = &self.log.facts.entries[&lsn].0.lane;
        let Some(states) = self.core.as_ref().and_then(|core| core.entry_view(lane, lsn)) else {
            return;
        };
        for (instance, state) in states {
            let up = self.servers[instance.index()].told_up;
            assert!(!up || state != StateThere::Pending, "{lsn} is acknowledged, and {instance:?} misses it");
        }
    }

    /// True when there is nothing left to do.
    pub(crate) fn is_quiet(&self) -> bool {
        let idle =
            self.waiting.is_empty() && self.reads.is_empty() && self.jobs.is_empty() && self.calls.is_empty();
        let probed = |server: &crate::server::Server| {
            !server.probing && server.belief == Belief::Up && !server.lost_state
        };
        idle && self.log.is_told() && self.servers.iter().all(probed) && self.unrest().is_empty()
    }

    /// What is still to be done, in words.
    pub(crate) fn unrest(&self) -> String {
        let Some(core) = &self.core else {
            return "Isochrome is dead".to_owned();
        };
        let view = core.view();
        let behind =
            view.instances.iter().any(|at| at.pending > 0 || !at.rebuilds.is_empty() || at.state != "up");
        if behind || view.undecided > 0 || !view.poisoned.is_empty() {
            format!("{view:?}")
        } else {
            String::new()
        }
    }

    /// The end: every server holds what the reference holds, and nothing else.
    pub(crate) fn assert_all_same(&self) {
        let facts = &self.log.facts;
        let last = self.reference.state(self.reference.last());
        let living: Vec<u128> = facts.catalog.all_living().iter().map(|found| found.id.0).collect();
        let wanted: Vec<u128> = last.collections().map(|found| found.id).collect();
        assert_eq!(wanted, living, "I9: the catalog lists what lives");
        for (index, server) in self.servers.iter().enumerate() {
            for wanted in last.collections() {
                if self.spoilt.contains(&lane_of(wanted.id)) {
                    continue;
                }
                let real_id = facts.catalog.real_id(CollectionId(wanted.id), instance(index));
                let found = real_id.and_then(|real_id| server.model.collection(real_id));
                assert!(!found.is_some_and(Collection::is_broken), "{} on {index}: broken", wanted.name);
                assert_same(Some(wanted), found, &format!("at the end, on server {index}"));
            }
            let own = |found: &&Collection| found.database != SYSTEM;
            let names: Vec<&str> =
                server.model.collections().filter(own).map(|found| found.name.as_str()).collect();
            assert_eq!(names.len(), wanted.len(), "server {index} holds {names:?}");
        }
        let kept =
            facts.entries.keys().find(|lsn| !facts.is_forgotten(**lsn) && !self.finished.contains(lsn));
        assert!(kept.is_none(), "I11: the space of {kept:?} is never given back");
    }
}

pub(crate) fn assert_same(wanted: Option<&Collection>, found: Option<&Collection>, place: &str) {
    match (wanted, found) {
        (None, None) => {}
        (Some(wanted), Some(found)) => {
            assert_eq!(wanted.records(), found.records(), "{place}");
            assert_eq!(wanted.name, found.name, "{place}");
            assert_eq!(wanted.metadata, found.metadata, "{place}");
            assert_eq!(wanted.dimension, found.dimension, "{place}");
            assert!(!found.has_unseen(), "{place}: something is logged and not visible");
        }
        (wanted, found) => panic!("{place}: {found:?} instead of {wanted:?}"),
    }
}

/// True where both may touch the same record.
fn conflict(one: &EntryHead, other: &EntryHead) -> bool {
    let ids = |head: &EntryHead| match &head.op {
        Op::Records(write) => write.ids.clone(),
        _ => None,
    };
    match (ids(one), ids(other)) {
        (Some(one), Some(other)) => one.iter().any(|id| other.contains(id)),
        _ => true,
    }
}

/// The lane of a collection.
pub(crate) fn lane_of(id: u128) -> Lane {
    Lane::Collection(CollectionId(id))
}
