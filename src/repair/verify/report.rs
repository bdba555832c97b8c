//! What a comparison says: to be shown, and kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Collection;
use crate::wal::record::Lsn;

/// Differences that a report names; the others are counted.
const MAX_NAMED: usize = 1_000;

/// How a comparison ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was compared on every instance, and is the same.
    #[default]
    Same,
    /// What was compared is the same, and something was not compared.
    Incomplete,
    Different,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Incomplete => "incomplete",
            Self::Different => "different",
        }
    }
}

/// One difference between instances, seen while their copies stood still at one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub tenant: String,
    pub database: String,
    /// Its name; empty where a whole database is meant.
    pub collection: String,
    /// The record's id; null for what belongs to the collection.
    pub record: Option<String>,
    /// `record` (there or not), `order`, `document`, `uri`, `embedding`, `metadata "KEY"`, `collection` or `database`
    /// (there or not), or a field of the collection's description.
    pub field: String,
    /// What each instance has, by its name.
    pub instances: BTreeMap<String, String>,
}

/// What was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCompared {
    pub instance: String,
    pub why: String,
}

/// What was done about the differences of a collection on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    pub tenant: String,
    pub database: String,
    pub collection: String,
    /// Whose copy was mended, and by whose.
    pub instance: String,
    pub from: String,
    /// Records that were written or deleted there; the copies were compared again afterwards.
    pub mended: u64,
    /// Why it could not be mended in place, and the whole copy was made again.
    #[serde(default)]
    pub rebuilt: Option<String>,
    /// Why it was not mended.
    pub why_not: Option<String>,
}

/// One collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionReport {
    /// The id that clients know.
    pub id: String,
    pub tenant: String,
    pub database: String,
    pub name: String,
    pub verdict: Verdict,
    /// The instances whose copies were held against each other, the reference first.
    pub compared: Vec<String>,
    pub not_compared: Vec<NotCompared>,
    /// The entry of its lane up to which everything was applied when its ids were listed, and when its last records
    /// were read. 0: nothing was written since the start.
    pub positions: [Lsn; 2],
    /// Records that were compared.
    pub records: u64,
    /// Over all of them on the reference, in its order.
    pub digest: String,
    /// Readings for which its writes had to wait.
    pub holds: u64,
    pub differences: u64,
}

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub verdict: Verdict,
    /// The collection that was asked for; null for all.
    pub of: Option<String>,
    /// Unix times in milliseconds.
    pub began_ms: u64,
    pub ended_ms: u64,
    /// The last entry of the log at the begin and at the end.
    pub log_positions: [Lsn; 2],
    pub instances: Vec<String>,
    pub collection_count: u64,
    pub collections: Vec<CollectionReport>,
    /// Records that were compared.
    pub records: u64,
    /// What was not compared as a whole.
    pub not_compared: Vec<NotCompared>,
    /// All of them.
    pub difference_count: u64,
    /// The first thousand.
    pub differences: Vec<Difference>,
    /// Whether mending was asked for, and what came of it.
    pub repair: bool,
    pub repairs: Vec<Repair>,
}

impl Report {
    /// Takes in a difference.
    pub(super) fn note(&mut self, difference: Difference) {
        self.difference_count += 1;
        if self.differences.len() < MAX_NAMED {
            self.differences.push(difference);
        }
    }

    /// Takes in a collection, and judges it.
    pub(super) fn add(&mut self, mut collection: CollectionReport) {
        collection.verdict = match &collection {
            one if one.differences > 0 => Verdict::Different,
            one if !one.not_compared.is_empty() => Verdict::Incomplete,
            _ => Verdict::Same,
        };
        self.records += collection.records;
        self.collection_count += 1;
        self.collections.push(collection);
    }

    /// Judges the whole.
    pub(super) fn conclude(&mut self) {
        let complete = self.not_compared.is_empty()
            && self.collections.iter().all(|collection| collection.not_compared.is_empty());
        self.verdict = match complete {
            _ if self.difference_count > 0 => Verdict::Different,
            true => Verdict::Same,
            false => Verdict::Incomplete,
        };
    }

    /// True where nothing is left that differs or was not compared.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let is_mended = |one: &&CollectionReport| {
            let of = |repair: &Repair| {
                (&repair.tenant, &repair.database, &repair.collection)
                    == (&one.tenant, &one.database, &one.name)
            };
            let mut repairs = self.repairs.iter().filter(|repair| of(repair)).peekable();
            repairs.peek().is_some() && repairs.all(|repair| repair.why_not.is_none())
        };
        let is_complete = self.not_compared.is_empty()
            && self.collections.iter().all(|collection| collection.not_compared.is_empty());
        let mended: u64 = self.collections.iter().filter(is_mended).map(|one| one.differences).sum();
        is_complete && mended == self.difference_count
    }

    /// The figures alone.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        self.collections.clear();
        self.differences.clear();
        self.repairs.clear();
        self
    }

    /// The whole in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let (collections, records) = (self.collection_count, self.records);
        let instances = self.instances.join(", ");
        match self.verdict {
            Verdict::Same => format!(
                "{instances} are the same: {collections} collections, {records} records, no difference"
            ),
            Verdict::Different => format!(
                "{} differences in {collections} collections, {records} records",
                self.difference_count
            ),
            Verdict::Incomplete => format!(
                "not everything could be compared; no difference in {records} records of {collections} collections"
            ),
        }
    }
}

impl From<&Collection> for CollectionReport {
    fn from(collection: &Collection) -> Self {
        Self {
            id: collection.id.to_string(),
            tenant: collection.tenant.clone(),
            database: collection.database.clone(),
            name: collection.name.clone(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_compared_is_never_called_the_same() {
        let mut report = Report::default();
        report.add(CollectionReport::default());
        report.conclude();
        assert_eq!(report.verdict, Verdict::Same);
        let why = NotCompared { instance: "b".to_owned(), why: "down".to_owned() };
        report.add(CollectionReport { not_compared: vec![why], ..CollectionReport::default() });
        report.conclude();
        assert_eq!(
            (report.verdict, report.collections[1].verdict),
            (Verdict::Incomplete, Verdict::Incomplete)
        );
        report.difference_count = 1;
        report.conclude();
        assert_eq!(report.verdict, Verdict::Different);
    }
}
