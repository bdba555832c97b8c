//! Linearizability of strong reads. The writes of a lane take effect in log order, so a read is legal when it shows
//! what the reference holds after some write that is not before any acknowledged, or shown, before the read began,
//! and that was logged before the read ended. The earliest such write is assumed: it binds later reads least.

use std::collections::BTreeMap;

use isochrome::wal::record::Lsn;

use crate::model::{RealId, Record};
use crate::reference::Reference;

/// What a client's read looked at.
#[derive(Clone, Debug, PartialEq)]
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
    floor: Lsn,
}

/// What clients know for certain, by collection: a position that no later read may show less than.
#[derive(Debug, Default)]
pub(crate) struct History {
    floors: BTreeMap<RealId, Lsn>,
    pub(crate) reads: usize,
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

    /// A read's answer reaches its client. `own` are the lane's writes; fails when no order explains the answer.
    pub(crate) fn end(&mut self, began: &Began, shown: &Shown, own: &[Lsn], reference: &Reference) {
        self.reads += 1;
        let later = own.iter().copied().filter(|lsn| *lsn > began.floor && *lsn <= reference.last());
        let mut candidates = std::iter::once(began.floor).chain(later);
        let position = candidates.find(|lsn| show(began, *lsn, reference) == *shown);
        let Some(position) = position else {
            let wanted = show(began, began.floor, reference);
            panic!("I6: a read that may show {wanted:?} of {} or later showed {shown:?}", began.floor);
        };
        self.acknowledged(began.collection, position);
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
