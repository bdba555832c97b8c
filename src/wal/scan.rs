//! The entries that a segment holds, read back at the start without their bodies.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::error::LogError;
use super::ledger::{self, Held};
use super::readers::{self, Readers};
use super::record::brief::{Brief, Work};
use super::record::{Lane, Record};

/// What one segment holds.
#[derive(Debug)]
pub struct Scanned {
    pub segment: u64,
    /// In order, also finished ones.
    pub entries: Vec<Brief>,
    /// For the books: the record of each entry, and what it holds.
    pub held: Vec<(u64, Held)>,
}

/// Reads segments, as many at a time as there are threads for computation.
///
/// # Errors
/// [`LogError::Damaged`] when a segment is not what was written.
pub fn scan(readers: &Readers, segments: &[u64]) -> Result<Vec<Scanned>, LogError> {
    segments.par_iter().map(|&segment| scan_one(readers, segment)).collect()
}

fn scan_one(readers: &Readers, segment: u64) -> Result<Scanned, LogError> {
    let mut scanned = Scanned { segment, entries: Vec::new(), held: Vec::new() };
    let mut lanes: HashMap<Lane, Arc<Lane>> = HashMap::new();
    readers.with(segment, |conn| {
        readers::each_entry(conn, segment, |stored| {
            let held = ledger::held(&stored.record);
            let (Some(held), Record::Entry(entry)) = (held, stored.record) else { return Ok(()) };
            if scanned.entries.last().is_some_and(|last| last.lsn >= entry.lsn) {
                return Err(LogError::Damaged(format!("segment {segment} repeats entry {}", entry.lsn)));
            }
            let head = entry.head;
            let lane = match lanes.get(&head.lane) {
                Some(lane) => Arc::clone(lane),
                None => Arc::clone(lanes.entry(head.lane.clone()).or_insert_with(|| Arc::new(head.lane))),
            };
            let work = Work::of(head.op, head.body_bytes);
            scanned.entries.push(Brief { lsn: entry.lsn, lane, work });
            scanned.held.push((stored.seq, held));
            Ok(())
        })
    })?;
    Ok(scanned)
}
