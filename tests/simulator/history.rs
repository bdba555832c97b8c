//! Linearizability of strong reads, and that weaker ones show what was or may become true.
//! The writes of a lane take effect in log order, so a read is legal when it shows
//! what the reference holds after some write that is not before any acknowledged, or shown, before the read began,
//! and that was logged before the read ended. The earliest such write is assumed: it binds later reads
//! least. A weaker read binds nobody, and is itself bound by what was decided long enough ago, or by nothing.

use std::collections::BTreeMap;

use isochrome::wal::record::Lsn;

use crate::model::{RealId, Record};
use crate::reference::Reference;

/// What a client's read looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    /// All records.
    Whole,
    Ids(Vec<String>),
    /// Name and metadata.
    Description,
}

/// What a read showed. `Gone` is Chroma's 404.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Records(Vec<Record>),
    Description(String, Option<crate::model::Metadata>),
    Gone,
}

/// A read that began.
#[derive(Clone, Debug)]
pub(crate) struct Began {
    pub(crate) collection: RealId,
    pub(crate) look: Look,
    /// It may show nothing from before this.
    pub(crate) floor: Lsn,
}

/// What clients know for certain, by collection: a position that no later read may show less than.
#[derive(Debug, Default)]
pub(crate) struct History {
    floors: BTreeMap<RealId, Lsn>,
}

impl History {
    /// A write's sender was told its verdict.
    pub(crate) fn acknowledged(&mut self, collection: RealId, lsn: Lsn) {
        let floor = self.floors.entry(collection).or_default();
        *floor = lsn.max(*floor);
    }

    pub(crate) fn begin(&self, collection: RealId, look: Look) -> Began {
        let floor = self.floors.get(&collection).copied().unwrap_or_default();
        Began { collection, look, floor }
    }

    /// A weaker read begins: no read before it binds it.
    pub(crate) fn begin_weak(collection: RealId, look: Look) -> Began {
        Began { collection, look, floor: Lsn(0) }
    }
}

impl Began {
    /// A read's answer reaches its client. `own` are the lane's writes; gives the earliest position that explains the
    /// answer, and fails when none does.
    pub(crate) fn explain(&self, shown: &Shown, own: &[Lsn], reference: &Reference) -> Lsn {
        let later = own.iter().copied().filter(|lsn| *lsn > self.floor && *lsn <= reference.last());
        let mut candidates = std::iter::once(self.floor).chain(later);
        let position = candidates.find(|lsn| show(self, *lsn, reference) == *shown);
        let Some(position) = position else {
            let wanted = show(self, self.floor, reference);
            panic!("I6: a read that may show {wanted:?} of {} or later showed {shown:?}", self.floor);
        };
        position
    }
}

/// When the core learned of verdicts, by collection.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    told_ms: BTreeMap<RealId, BTreeMap<Lsn, u64>>,
}

impl Decided {
    /// The core learns of a verdict; a second time changes nothing.
    pub(crate) fn note(&mut self, collection: RealId, lsn: Lsn, now_ms: u64) {
        self.told_ms.entry(collection).or_default().entry(lsn).or_insert(now_ms);
    }

    /// The last write of a collection that the core knew at this time to be decided.
    pub(crate) fn before(&self, collection: RealId, at_ms: u64) -> Lsn {
        let told = self.told_ms.get(&collection);
        let mut latest_first = told.into_iter().flatten().rev();
        latest_first.find(|(_, told_ms)| **told_ms <= at_ms).map_or(Lsn(0), |(lsn, _)| *lsn)
    }
}

fn show(began: &Began, lsn: Lsn, reference: &Reference) -> Shown {
    let Some(found) = reference.collection(began.collection, lsn) else {
        return Shown::Gone;
    };
    match &began.look {
        Look::Whole => Shown::Records(found.records().to_vec()),
        Look::Ids(ids) => Shown::Records(found.get(Some(ids), None, None, 0)),
        Look::Description => Shown::Description(found.name.clone(), found.metadata.clone()),
    }
}
