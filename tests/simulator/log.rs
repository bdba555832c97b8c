//! The simulated log: what is appended becomes durable in groups, later, and a crash takes what is not.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use isochrome::catalog::Catalog;
use isochrome::catalog::change::CatalogChange;
use isochrome::chroma::ids::InstanceId;
use isochrome::replication::recover::Recovery;
use isochrome::wal::record::brief::Brief;
use isochrome::wal::record::duty::Duties;
use isochrome::wal::record::rebuild::{RebuildStep, Stage, StoredRebuild};
use isochrome::wal::record::{EntryHead, Lane, Lsn, Outcome, Record, Verdict};

use crate::deadly::is_poisoned;
use crate::model::Request;

/// What may tell that a lane diverged.
const EXPECTED: [&str; 7] = [
    crate::trouble::SPOILT,
    crate::model::BROKEN_INDEX,
    "the list is gone",
    "withdrawn",
    "another write",
    "goes on refusing",
    "wal.max_bytes",
];

/// Entries in a segment of the log.
const SEGMENT: u64 = 4;

/// One thing in the log.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A client's write; the request stands for the body, with public ids.
    Entry { lsn: Lsn, head: EntryHead, request: Request, waited_for: bool },
    /// A record that the core asked for.
    Record(Record),
}

/// What the durable part of the log says, folded as it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) catalog: Catalog,
    pub(crate) entries: BTreeMap<Lsn, (EntryHead, Request)>,
    pub(crate) lanes: BTreeMap<Lane, BTreeSet<Lsn>>,
    pub(crate) decisions: BTreeMap<Lsn, Verdict>,
    pub(crate) resolved: HashMap<Lsn, Vec<String>>,
    pub(crate) positions: BTreeMap<(Lane, InstanceId), Lsn>,
    pub(crate) suspects: BTreeMap<Lsn, InstanceId>,
    /// What an operator wants.
    pub(crate) duties: Duties,
    pub(crate) divergent: BTreeMap<(Lane, InstanceId), String>,
    pub(crate) rebuilds: BTreeMap<(Lane, InstanceId), StoredRebuild>,
    pub(crate) lost: BTreeSet<InstanceId>,
    /// Poisoned ones that an operator gave up.
    pub(crate) discarded: BTreeSet<Lsn>,
    /// Finished entries, whose verdicts are kept no longer.
    forgotten: BTreeSet<Lsn>,
    /// Entries whose space was given back.
    pub(crate) truncated: BTreeSet<Lsn>,
}

impl Facts {
    /// Everything up to this is applied, or in the copy.
    pub(crate) fn applied(&self, lane: &Lane, instance: InstanceId) -> Lsn {
        let key = (lane.clone(), instance);
        let listed = self.rebuilds.get(&key).map(|rebuild| rebuild.from);
        self.positions.get(&key).copied().max(listed).unwrap_or_default()
    }

    /// True where the lane is not what the verdicts say, and nothing of the log is needed for it.
    pub(crate) fn is_given_up(&self, lane: &Lane, instance: InstanceId) -> bool {
        self.is_divergent(lane, instance) && !self.rebuilds.contains_key(&(lane.clone(), instance))
    }

    pub(crate) fn is_divergent(&self, lane: &Lane, instance: InstanceId) -> bool {
        self.divergent.contains_key(&(lane.clone(), instance))
    }

    /// True where the durable verdict says that the entry changes nothing anywhere.
    pub(crate) fn is_void(&self, lsn: Lsn) -> bool {
        let verdict = self.decisions.get(&lsn);
        verdict.is_some_and(|verdict| !matches!(verdict, Verdict::Committed(_)))
    }

    /// Finished entries may go: their verdicts at once, they themselves a segment at a time.
    pub(crate) fn forget(&mut self, finished: &mut BTreeSet<Lsn>, random: &mut fastrand::Rng) {
        self.forgotten.append(finished);
        let segments: BTreeSet<u64> = self.forgotten.iter().map(|lsn| lsn.0 / SEGMENT).collect();
        for segment in segments {
            let all: Vec<Lsn> = (segment * SEGMENT..(segment + 1) * SEGMENT).map(Lsn).collect();
            let whole = all.iter().all(|lsn| lsn.0 == 0 || self.forgotten.contains(lsn));
            if whole && random.bool() {
                self.truncated.extend(all);
            }
        }
    }

    /// True when nobody needs the entry any more.
    pub(crate) fn is_forgotten(&self, lsn: Lsn) -> bool {
        self.forgotten.contains(&lsn)
    }

    fn fold(&mut self, item: &Item) {
        match item {
            Item::Entry { lsn, head, request, .. } => {
                self.lanes.entry(head.lane.clone()).or_default().insert(*lsn);
                self.entries.insert(*lsn, (head.clone(), request.clone()));
            }
            Item::Record(Record::Outcome(outcome)) => self.fold_outcome(outcome),
            Item::Record(Record::Resolved { lsn, ids }) => {
                let before = self.resolved.insert(*lsn, ids.clone());
                assert!(before.is_none(), "I7: {lsn} was resolved twice");
            }
            Item::Record(Record::Suspect { lsn, instance, .. }) => {
                self.suspects.insert(*lsn, *instance);
            }
            Item::Record(Record::Divergent { lane, instance, reason }) => {
                let expected = EXPECTED.iter().any(|words| reason.contains(words));
                assert!(expected, "I8: {lane:?} diverged on {instance:?} without reason: {reason}");
                self.divergent.insert((lane.clone(), *instance), reason.clone());
                self.rebuilds.remove(&(lane.clone(), *instance));
            }
            Item::Record(Record::Discarded { lsn }) => {
                assert!(is_poisoned(&self.decisions[lsn]), "{lsn} is discarded, and not poisoned");
                self.discarded.insert(*lsn);
                self.suspects.remove(lsn);
            }
            Item::Record(Record::Rebuild { lane, instance, step }) => self.fold_step(lane, *instance, step),
            Item::Record(Record::Lost { instance, reason }) => {
                self.lost.insert(*instance);
                self.rebuilds.retain(|(_, target), _| target != instance);
                let held = self.catalog.all_known().filter(|known| known.real_ids.contains_key(instance));
                let lanes = held.map(|known| ((Lane::Collection(known.id), *instance), reason.clone()));
                self.divergent.extend(lanes);
            }
            Item::Record(Record::Duties(duties)) => self.duties = duties.clone(),
            Item::Record(Record::Joined { instance }) => _ = self.lost.remove(instance),
            Item::Record(other) => panic!("the core asked for {other:?}"),
        }
    }

    fn fold_step(&mut self, lane: &Lane, instance: InstanceId, step: &RebuildStep) {
        let key = (lane.clone(), instance);
        assert!(self.divergent.contains_key(&key), "{key:?} is rebuilt, and is not divergent");
        let stage = |rebuilds: &mut BTreeMap<_, StoredRebuild>, stage| {
            rebuilds.get_mut(&key).expect("a step follows another").stage = stage;
        };
        match step {
            RebuildStep::Listed { from, name, ids } => {
                let (from, name, ids, stage) = (*from, name.clone(), *ids, Stage::Listed);
                let listed = StoredRebuild { lane: lane.clone(), instance, from, name, ids, stage };
                self.rebuilds.insert(key, listed);
            }
            RebuildStep::Created { real_id } => {
                if let Lane::Collection(id) = lane {
                    self.catalog.apply(&CatalogChange::RealId { id: *id, instance, real_id: *real_id });
                }
                stage(&mut self.rebuilds, Stage::Created);
            }
            RebuildStep::Copied => stage(&mut self.rebuilds, Stage::Copied),
            RebuildStep::Ended { applied } => {
                self.rebuilds.remove(&key);
                self.divergent.remove(&key);
                let position = self.positions.entry(key).or_default();
                *position = (*position).max(*applied);
            }
        }
    }

    fn fold_outcome(&mut self, outcome: &Outcome) {
        let key = (outcome.lane.clone(), outcome.instance);
        let position = self.positions.entry(key).or_default();
        assert!(*position <= outcome.applied, "I2: a position went back: {outcome:?}");
        *position = outcome.applied;
        for decision in &outcome.decisions {
            assert!(self.entries.contains_key(&decision.lsn), "I1: {} decided unlogged", decision.lsn);
            let before = self.decisions.insert(decision.lsn, decision.verdict.clone());
            assert!(before.is_none(), "I4: {} was decided twice", decision.lsn);
        }
        outcome.changes.iter().for_each(|change| self.catalog.apply(change));
    }
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    items: Vec<Item>,
    /// Records that the shell holds back.
    held: Vec<Item>,
    /// How many of the items are durable.
    durable: usize,
    /// How many a commit under way will make durable.
    committing: usize,
    /// How many the core was told to be durable.
    told: usize,
    last: Lsn,
    pub(crate) facts: Facts,
}

impl Log {
    /// Appends a write and gives it its place.
    pub(crate) fn append(&mut self, head: EntryHead, request: Request, waited_for: bool) -> Lsn {
        self.last.0 += 1;
        let lsn = self.last;
        self.items.push(Item::Entry { lsn, head, request, waited_for });
        lsn
    }

    /// The place of the next write.
    pub(crate) fn next(&self) -> Lsn {
        Lsn(self.last.0 + 1)
    }

    /// Takes a record, which is held back for now.
    pub(crate) fn record(&mut self, record: Record) {
        self.held.push(Item::Record(record));
    }

    /// Appends what was held back.
    pub(crate) fn release(&mut self) {
        self.items.append(&mut self.held);
    }

    /// Begins a commit of everything appended; false where one is under way or nothing waits.
    pub(crate) fn begin_commit(&mut self) -> bool {
        let begins = self.committing == self.told && self.items.len() > self.told;
        if begins {
            self.committing = self.items.len();
        }
        begins
    }

    /// The commit under way reached the disk. Gives what became durable.
    pub(crate) fn commit(&mut self) -> Vec<Item> {
        let fresh = self.items[self.durable..self.committing].to_vec();
        self.durable = self.committing;
        for item in &fresh {
            self.facts.fold(item);
        }
        fresh
    }

    /// True when the core knows everything that was appended to be durable.
    pub(crate) fn is_told(&self) -> bool {
        self.told == self.items.len() && self.held.is_empty()
    }

    /// The items of the last commit, which the core is told of now.
    pub(crate) fn tell(&mut self) -> &[Item] {
        let from = std::mem::replace(&mut self.told, self.durable);
        &self.items[from..self.durable]
    }

    /// Isochrome ends: what is not durable is gone. The next append follows what is left.
    pub(crate) fn crash(&mut self) {
        self.items.truncate(self.durable);
        self.held.clear();
        (self.committing, self.told) = (self.durable, self.durable);
        self.last = self.facts.entries.keys().next_back().copied().unwrap_or_default();
    }

    /// What a new core is built from.
    pub(crate) fn recovery(&self) -> Recovery {
        let facts = &self.facts;
        let known = |lsn: &Lsn| !facts.forgotten.contains(lsn);
        let decisions = facts.decisions.iter().filter(|(lsn, _)| known(lsn));
        let resolved = facts.resolved.iter().filter(|(lsn, _)| known(lsn));
        let suspects = facts.suspects.iter().filter(|(lsn, _)| known(lsn));
        let divergent = facts.divergent.iter();
        let kept = facts.entries.iter().filter(|(lsn, _)| !facts.truncated.contains(lsn));
        Recovery {
            catalog: facts.catalog.clone(),
            last_logged: facts.entries.keys().next_back().copied().unwrap_or_default(),
            entries: vec![kept.map(|(lsn, (head, _))| Brief::of(*lsn, head.clone())).collect()],
            decisions: decisions.map(|(lsn, verdict)| (*lsn, verdict.ruling())).collect(),
            resolved: resolved.map(|(lsn, ids)| (*lsn, ids.clone())).collect(),
            positions: facts.positions.clone(),
            divergent: divergent.map(|((lane, at), reason)| (lane.clone(), *at, reason.clone())).collect(),
            rebuilds: facts.rebuilds.values().cloned().collect(),
            lost: facts.lost.iter().copied().collect(),
            duties: facts.duties.clone(),
            suspects: suspects.map(|(lsn, instance)| (*lsn, *instance)).collect(),
        }
    }
}
