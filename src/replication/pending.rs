//! An entry that is not finished on every instance.

use std::sync::Arc;

use crate::chroma::ids::InstanceId;
use crate::wal::record::brief::{Ruling, Work, Write};
use crate::wal::record::{Lsn, Op, Verdict};

/// An entry that is not finished on every instance. There may be millions, so that what few have stands apart.
#[derive(Clone, Debug)]
pub struct Pending {
    pub lsn: Lsn,
    work: Work,
    standing: Standing,
    rare: Option<Box<Rare>>,
}

/// What most entries lack.
#[derive(Clone, Debug, Default)]
struct Rare {
    after: Vec<Lsn>,
    /// While it is on its way to the disk.
    verdict: Option<Verdict>,
    resolved: Option<Arc<Vec<String>>>,
    resolving: bool,
    suspect: Option<InstanceId>,
    alone: bool,
    failures: u8,
    moved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Undecided,
    /// The verdict is known and not on disk yet.
    Reached,
    Durable(Ruling),
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
    /// An entry without a verdict. `after` are the schema entries in other lanes that must be applied on an instance
    /// before this one is sent there.
    #[must_use]
    pub fn new(lsn: Lsn, work: Work, after: Vec<Lsn>) -> Self {
        let rare = (!after.is_empty()).then(|| Box::new(Rare { after, ..Rare::default() }));
        Self { lsn, work, standing: Standing::Undecided, rare }
    }

    /// The record write, where the entry is one.
    #[must_use]
    pub fn records(&self) -> Option<&Write> {
        match &self.work {
            Work::Records(write) => Some(write),
            Work::Other(_) => None,
        }
    }

    /// The operation, where it is no record write.
    #[must_use]
    pub fn other(&self) -> Option<&Op> {
        match &self.work {
            Work::Records(_) => None,
            Work::Other(op) => Some(op),
        }
    }

    /// How many records it writes, as far as that is known; 1 for a schema entry.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        match (self.records(), self.resolved()) {
            (Some(write), _) => u64::from(write.count),
            (None, Some(ids)) => ids.len() as u64,
            (None, None) => 1,
        }
    }

    /// True where the entry is this operation.
    #[must_use]
    pub fn is(&self, op: &Op) -> bool {
        self.other() == Some(op)
    }

    /// True where a collection gets a name by it.
    #[must_use]
    pub fn takes_name(&self) -> bool {
        let other = self.other();
        other.is_some_and(|op| {
            matches!(op, Op::CreateCollection { .. } | Op::ModifyCollection { new_name: Some(_) })
        })
    }

    /// Schema entries in other lanes that must be applied on an instance before this one is sent there.
    #[must_use]
    pub fn after(&self) -> &[Lsn] {
        self.rare.as_ref().map_or(&[], |rare| &rare.after)
    }

    /// What the entry asks of an instance that follows.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self.standing {
            Standing::Undecided | Standing::Reached => Effect::Undecided,
            Standing::Durable(Ruling::Committed) => Effect::Apply,
            Standing::Durable(Ruling::Unchanged | Ruling::Refused | Ruling::Cancelled | Ruling::Poisoned) => {
                Effect::Void
            }
            Standing::Durable(Ruling::FixesDimension(dimension)) => Effect::FixDimension(dimension),
        }
    }

    /// True as soon as there is a verdict, on disk or on its way there.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.standing != Standing::Undecided
    }

    /// True when the verdict is on disk.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        matches!(self.standing, Standing::Durable(_))
    }

    /// The verdict in short, on disk or on its way there.
    #[must_use]
    pub fn ruling(&self) -> Option<Ruling> {
        match self.standing {
            Standing::Undecided => None,
            Standing::Reached => self.rare.as_ref()?.verdict.as_ref().map(Verdict::ruling),
            Standing::Durable(ruling) => Some(ruling),
        }
    }

    /// True where its sender took it back, on disk or on its way there.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.ruling() == Some(Ruling::Cancelled)
    }

    /// Takes a verdict that goes to the disk now.
    pub fn decide(&mut self, verdict: Verdict) {
        self.standing = Standing::Reached;
        self.rare().verdict = Some(verdict);
    }

    /// The verdict is on disk; gives it, once.
    pub fn settle(&mut self) -> Option<Verdict> {
        let verdict = self.rare.as_mut()?.verdict.take()?;
        self.settled(verdict.ruling());
        self.trim();
        Some(verdict)
    }

    /// Takes a verdict that was on disk before a restart.
    pub fn settled(&mut self, ruling: Ruling) {
        self.standing = Standing::Durable(ruling);
    }

    /// The ids that a delete by predicate stands for, once durable.
    #[must_use]
    pub fn resolved(&self) -> Option<&Arc<Vec<String>>> {
        self.rare.as_ref()?.resolved.as_ref()
    }

    /// The ids that a delete by predicate stands for are durable.
    pub fn resolve(&mut self, ids: Arc<Vec<String>>) {
        let rare = self.rare();
        rare.resolved = Some(ids);
        rare.resolving = false;
    }

    /// True where the ids were read and wait for the disk.
    #[must_use]
    pub fn is_resolving(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.resolving)
    }

    /// The ids were read and wait for the disk.
    pub fn set_resolving(&mut self) {
        self.rare().resolving = true;
    }

    /// It was under way at this instance when that died or stopped writing.
    #[must_use]
    pub fn suspect(&self) -> Option<InstanceId> {
        self.rare.as_ref()?.suspect
    }

    /// It was under way at this instance when that died or stopped writing.
    pub fn set_suspect(&mut self, instance: InstanceId) {
        let rare = self.rare();
        (rare.suspect, rare.failures) = (Some(instance), 0);
    }

    /// True for a suspect without a verdict: it is rehearsed before it is sent.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        !self.is_decided() && self.suspect().is_some()
    }

    /// True where its trial is shared with no other suspect.
    #[must_use]
    pub fn is_tried_alone(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.alone)
    }

    /// A trial that it shared ended badly.
    pub fn try_alone(&mut self) {
        self.rare().alone = true;
    }

    /// Counts an indefinite answer; gives how many there were.
    pub fn count_failure(&mut self) -> u8 {
        let rare = self.rare();
        rare.failures = rare.failures.saturating_add(1);
        rare.failures
    }

    /// True where its decision moved once because the leader was slow.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.moved)
    }

    /// Its decision moves because the leader is slow.
    pub fn set_moved(&mut self) {
        self.rare().moved = true;
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn trim(&mut self) {
        let empty = self.rare.as_ref().is_some_and(|rare| {
            rare.after.is_empty()
                && rare.verdict.is_none()
                && rare.resolved.is_none()
                && rare.suspect.is_none()
        });
        if empty {
            self.rare = None;
        }
    }

    /// True where the entry can touch one of the ids (sorted hashes).
    #[must_use]
    pub fn touches(&self, ids: &[u64]) -> bool {
        match self.records().and_then(Write::ids) {
            Some(own) => own.iter().any(|id| ids.binary_search(id).is_ok()),
            None => true,
        }
    }

    /// True where both may touch the same record, so that one must be settled before the other is sent.
    #[must_use]
    pub fn conflicts(&self, other: &Pending) -> bool {
        match other.records().and_then(Write::ids) {
            Some(ids) => self.touches(ids),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::record::brief::ENTRY_BYTES;
    use crate::wal::record::{Answer, Encoding, RecordKind, RecordWrite};

    fn add() -> Pending {
        let (kind, encoding) = (RecordKind::Add, Encoding::Lists);
        let ids = Some(vec![7]);
        let write = RecordWrite { kind, encoding, count: 1, dimension: Some(384), ids, provable: true };
        Pending::new(Lsn(1), Work::of(Op::Records(write), 2_200), Vec::new())
    }

    #[test]
    fn millions_of_single_writes_fit_into_memory() {
        let books_bytes = 16;
        assert_eq!(size_of::<Pending>(), 56);
        assert!(size_of::<Pending>() as u64 + books_bytes <= ENTRY_BYTES);
        let mut entry = add();
        assert!(entry.rare.is_none());
        entry.decide(Verdict::Committed(Answer { status: 201, body: b"{}".to_vec() }));
        assert_eq!((entry.effect(), entry.ruling()), (Effect::Undecided, Some(Ruling::Committed)));
        assert_eq!(entry.settle().map(|verdict| verdict.answer().status), Some(201));
        assert_eq!((entry.effect(), entry.settle()), (Effect::Apply, None));
        assert!(entry.rare.is_none(), "a durable verdict needs no room of its own");
    }

    #[test]
    fn what_is_rare_outlives_the_verdict() {
        let mut entry = add();
        entry.set_suspect(InstanceId(1));
        let answer = Answer { status: 400, body: Vec::new() };
        entry.decide(Verdict::Rejected { answer, fixes_dimension: Some(3) });
        assert!(entry.settle().is_some());
        assert_eq!((entry.effect(), entry.suspect()), (Effect::FixDimension(3), Some(InstanceId(1))));
    }
}
