//! What the log holds at the moment, in memory: unfinished entries and segments. No I/O.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::places::{Cost, Places};
use super::record::{Lsn, Record};

/// An entry as the books take it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub lsn: Lsn,
    pub cost: Cost,
    /// Name of its body file, where it has one.
    pub file: Option<String>,
}

/// Where an unfinished entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub segment: u64,
    pub seq: u64,
}

/// How much is unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    pub entries: u64,
    /// Bytes of their bodies, and of the memory that they take, about.
    pub bytes: u64,
    pub memory_bytes: u64,
    pub oldest: Option<Lsn>,
}

#[derive(Debug, Default)]
struct Segment {
    last_seq: u64,
    places: Places,
    /// When it stopped being written; `None` for the active one.
    sealed_at: Option<Instant>,
    folded: bool,
}

/// Entries finished since the checkpoint last took note.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    pub lsns: Vec<Lsn>,
    pub files: Vec<String>,
}

/// The books of the log.
#[derive(Debug, Default)]
pub struct Ledger {
    segments: BTreeMap<u64, Segment>,
    /// The segments by their first entry.
    by_lsn: BTreeMap<Lsn, u64>,
    /// Body files of unfinished entries.
    files: BTreeMap<Lsn, String>,
    entries: u64,
    cost: Cost,
    durable_seq: u64,
    covered_seq: u64,
    durable_lsn: Lsn,
    /// The last entry taken in.
    held_lsn: Lsn,
    finished: Finished,
}

impl Ledger {
    /// Books that begin after the records and LSNs of an earlier run.
    #[must_use]
    pub fn new(durable_seq: u64, covered_seq: u64, durable_lsn: Lsn) -> Self {
        Self { durable_seq, covered_seq, durable_lsn, ..Self::default() }
    }

    /// Takes in a segment; every earlier one is sealed by it.
    pub fn open_segment(&mut self, number: u64, now: Instant) {
        for (_, earlier) in self.segments.range_mut(..number) {
            if earlier.sealed_at.is_none() {
                earlier.sealed_at = Some(now);
                earlier.places.seal();
            }
        }
        self.segments.entry(number).or_default();
    }

    /// Notes a durable record and, for an entry, holds it until it is finished.
    pub fn durable(&mut self, segment: u64, seq: u64, entry: Option<Held>) {
        assert!(self.covered_seq <= self.durable_seq, "the checkpoint is ahead of the log");
        self.durable_seq = self.durable_seq.max(seq);
        let book = self.segments.entry(segment).or_default();
        book.last_seq = book.last_seq.max(seq);
        if let Some(Held { lsn, cost, file }) = entry {
            assert!(lsn > self.held_lsn, "{lsn} comes after {}", self.held_lsn);
            self.held_lsn = lsn;
            self.durable_lsn = self.durable_lsn.max(lsn);
            let cost = book.places.push(lsn, seq, cost);
            self.cost.body_bytes += cost.body_bytes;
            self.cost.memory_bytes += cost.memory_bytes;
            self.entries += 1;
            if book.places.first_lsn() == Some(lsn) {
                self.by_lsn.insert(lsn, segment);
            }
            if let Some(file) = file {
                self.files.insert(lsn, file);
            }
        }
    }

    /// Marks entries as finished; unknown ones are ignored.
    pub fn finish(&mut self, lsns: &[Lsn]) {
        for lsn in lsns {
            let Some(segment) = self.segment_of(*lsn).and_then(|number| self.segments.get_mut(&number))
            else {
                continue;
            };
            let Some(cost) = segment.places.finish(*lsn) else {
                continue;
            };
            if segment.sealed_at.is_some() {
                segment.places.seal();
            }
            self.cost.body_bytes -= cost.body_bytes;
            self.cost.memory_bytes -= cost.memory_bytes;
            self.entries -= 1;
            self.finished.lsns.push(*lsn);
            self.finished.files.extend(self.files.remove(lsn));
        }
    }

    fn segment_of(&self, lsn: Lsn) -> Option<u64> {
        self.by_lsn.range(..=lsn).next_back().map(|(_, number)| *number)
    }

    /// Hands over what finished since the last call.
    pub fn take_finished(&mut self) -> Finished {
        std::mem::take(&mut self.finished)
    }

    /// Puts back what could not be noted.
    pub fn restore_finished(&mut self, finished: Finished) {
        self.finished.lsns.extend(finished.lsns);
        self.finished.files.extend(finished.files);
    }

    /// The checkpoint holds everything up to `seq`.
    pub fn cover(&mut self, seq: u64) {
        assert!(seq <= self.durable_seq, "the checkpoint is ahead of the log");
        self.covered_seq = seq;
    }

    /// Segments that may go: sealed, without an unfinished entry, covered by the checkpoint.
    #[must_use]
    pub fn droppable(&self) -> Vec<u64> {
        let done = |segment: &Segment| {
            segment.sealed_at.is_some()
                && segment.places.unfinished() == 0
                && segment.last_seq <= self.covered_seq
        };
        self.segments.iter().filter(|(_, segment)| done(segment)).map(|(number, _)| *number).collect()
    }

    /// The segments' books are closed.
    pub fn drop_segments(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(lsn) = self.segments.remove(number).and_then(|segment| segment.places.first_lsn()) {
                self.by_lsn.remove(&lsn);
            }
        }
    }

    /// A sealed segment that has waited `after` for its entries and is not folded yet.
    #[must_use]
    pub fn foldable(&self, now: Instant, after: Duration) -> Option<u64> {
        let due = |segment: &Segment| {
            !segment.folded && segment.sealed_at.is_some_and(|at| now.saturating_duration_since(at) >= after)
        };
        self.segments.iter().find(|(_, segment)| due(segment)).map(|(number, _)| *number)
    }

    /// Notes that a segment is folded.
    pub fn folded(&mut self, number: u64) {
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.folded = true;
        }
    }

    /// The segments that hold records in `after..=upto`, in order.
    #[must_use]
    pub fn segments_after(&self, after: u64) -> Vec<u64> {
        self.segments
            .iter()
            .filter(|(_, segment)| segment.last_seq > after)
            .map(|(number, _)| *number)
            .collect()
    }

    /// The first entry that any segment holds, finished or not; the next one to come if none does.
    #[must_use]
    pub fn oldest_stored(&self) -> Lsn {
        let first = self.by_lsn.keys().next().copied();
        first.unwrap_or(Lsn(self.durable_lsn.0 + 1))
    }

    /// Where an unfinished entry is; `None` for any other.
    #[must_use]
    pub fn place(&self, lsn: Lsn) -> Option<Place> {
        let segment = self.segment_of(lsn)?;
        let seq = self.segments.get(&segment)?.places.seq(lsn)?;
        Some(Place { segment, seq })
    }

    /// The body files of unfinished entries.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.values().map(String::as_str)
    }

    /// How much is unfinished.
    #[must_use]
    pub fn unfinished(&self) -> Unfinished {
        let oldest = self.segments.values().find_map(|segment| segment.places.oldest());
        let Cost { body_bytes: bytes, memory_bytes } = self.cost;
        Unfinished { entries: self.entries, bytes, memory_bytes, oldest }
    }

    /// The last durable record.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// The last durable entry.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        self.durable_lsn
    }

    /// The last record that the checkpoint holds.
    #[must_use]
    pub fn covered_seq(&self) -> u64 {
        self.covered_seq
    }

    /// Number of segments.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }
}

/// The books' view of a record: what to hold, for an entry.
#[must_use]
pub fn held(record: &Record) -> Option<Held> {
    let Record::Entry(entry) = record else { return None };
    let file = match &entry.body {
        super::record::Body::File { name, .. } => Some(name.clone()),
        super::record::Body::Inline(_) => None,
    };
    let cost = Cost { body_bytes: entry.head.body_bytes, memory_bytes: entry.head.op.memory_bytes() };
    Some(Held { lsn: entry.lsn, cost, file })
}
