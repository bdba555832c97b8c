//! What the log holds at the moment, in memory: unfinished entries and segments. No I/O.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::record::{Lsn, Record};

/// An unfinished entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub segment: u64,
    pub seq: u64,
    pub body_bytes: u64,
    /// Name of its body file, where it has one.
    pub file: Option<String>,
    /// Unix time in milliseconds.
    pub accepted_ms: u64,
}

#[derive(Debug, Default)]
struct Segment {
    last_seq: u64,
    first_lsn: Option<Lsn>,
    unfinished: usize,
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
    held: BTreeMap<Lsn, Held>,
    segments: BTreeMap<u64, Segment>,
    pending_bytes: u64,
    durable_seq: u64,
    covered_seq: u64,
    durable_lsn: Lsn,
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
            earlier.sealed_at.get_or_insert(now);
        }
        self.segments.entry(number).or_default();
    }

    /// Notes a durable record and, for an entry, holds it until it is finished.
    pub fn durable(&mut self, segment: u64, seq: u64, entry: Option<(Lsn, Held)>) {
        assert!(self.covered_seq <= self.durable_seq, "the checkpoint is ahead of the log");
        self.durable_seq = self.durable_seq.max(seq);
        let book = self.segments.entry(segment).or_default();
        book.last_seq = book.last_seq.max(seq);
        if let Some((lsn, held)) = entry {
            self.durable_lsn = self.durable_lsn.max(lsn);
            book.first_lsn.get_or_insert(lsn);
            book.unfinished += 1;
            self.pending_bytes += held.body_bytes;
            self.held.insert(lsn, held);
        }
    }

    /// Marks entries as finished; unknown ones are ignored.
    pub fn finish(&mut self, lsns: &[Lsn]) {
        for lsn in lsns {
            let Some(held) = self.held.remove(lsn) else {
                continue;
            };
            self.pending_bytes -= held.body_bytes;
            if let Some(segment) = self.segments.get_mut(&held.segment) {
                segment.unfinished -= 1;
            }
            self.finished.lsns.push(*lsn);
            self.finished.files.extend(held.file);
        }
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
            segment.sealed_at.is_some() && segment.unfinished == 0 && segment.last_seq <= self.covered_seq
        };
        self.segments.iter().filter(|(_, segment)| done(segment)).map(|(number, _)| *number).collect()
    }

    /// The segments' books are closed.
    pub fn drop_segments(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.segments.remove(number);
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
        let first = self.segments.values().filter_map(|segment| segment.first_lsn).min();
        first.unwrap_or(Lsn(self.durable_lsn.0 + 1))
    }

    /// An unfinished entry.
    #[must_use]
    pub fn held(&self, lsn: Lsn) -> Option<&Held> {
        self.held.get(&lsn)
    }

    /// Number of unfinished entries, bytes of their bodies, and when the first of them was accepted.
    #[must_use]
    pub fn pending(&self) -> (u64, u64, Option<u64>) {
        let oldest = self.held.values().next().map(|held| held.accepted_ms);
        (self.held.len() as u64, self.pending_bytes, oldest)
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
pub fn held(record: &Record, segment: u64, seq: u64, at_ms: u64) -> Option<(Lsn, Held)> {
    let Record::Entry(entry) = record else { return None };
    let held = Held {
        segment,
        seq,
        body_bytes: entry.head.body_bytes,
        file: match &entry.body {
            super::record::Body::File { name, .. } => Some(name.clone()),
            super::record::Body::Inline(_) => None,
        },
        accepted_ms: entry.head.transaction.as_ref().map_or(at_ms, |transaction| transaction.accepted_ms),
    };
    Some((entry.lsn, held))
}

/// The books' view of a record read back.
#[must_use]
pub fn held_of(stored: &super::state::StoredRecord) -> Option<(Lsn, Held)> {
    held(&stored.record, stored.segment, stored.seq, stored.at_ms)
}
