//! Opening a data directory: lock, checkpoint, segments, and what they amount to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

use super::bodies::BodyFiles;
use super::checkpointer::next_records;
use super::disk::disk;
use super::error::{LogError, OpenError};
use super::ledger::Ledger;
use super::lock::{self, DirLock};
use super::options::WalOptions;
use super::readers::{self, Readers};
use super::record::brief::{Brief, Ruling};
use super::record::duty::Duties;
use super::record::rebuild::StoredRebuild;
use super::record::{Answer, Lane, Lsn};
use super::scan::{self, Scanned};
use super::segment;
use super::state::{Instance, State};
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::InstanceId;

/// What a data directory is opened with.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    pub dir: &'a Path,
    pub options: WalOptions,
    /// Configured instances in their order; new names get the next free numbers.
    pub instances: &'a [String],
    /// The name of the cluster, if the directory is new.
    pub new_cluster: &'a str,
}

/// What the log held when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    pub cluster: String,
    /// The LSN that the next entry gets.
    pub next_lsn: Lsn,
    /// Every entry that a segment still holds, by segment, in order, also finished ones: whoever knows the positions
    /// tells which are finished.
    pub entries: Vec<Vec<Brief>>,
    /// Verdicts of those entries, in order. A finished one's may be gone.
    pub decisions: Vec<(Lsn, Ruling)>,
    /// What those entries that are deletes by predicate stand for, where that is known.
    pub resolved: HashMap<Lsn, Vec<String>>,
    pub positions: Vec<(Lane, InstanceId, Lsn)>,
    /// Changes that make the catalog out of a fresh one.
    pub changes: Vec<CatalogChange>,
    pub divergent: Vec<(Lane, InstanceId, String)>,
    /// Rebuilds of some of those that are under way.
    pub rebuilds: Vec<StoredRebuild>,
    /// Instances that lost their state, with what tells it.
    pub lost: Vec<(InstanceId, String)>,
    pub suspects: Vec<(Lsn, InstanceId, Answer)>,
    /// What an operator wants of the instances.
    pub duties: Duties,
    /// All instances that the directory ever knew, by number.
    pub instances: Vec<Instance>,
}

/// An open directory, before its threads run.
pub struct Opened {
    pub lock: DirLock,
    pub state: State,
    pub ledger: Ledger,
    pub readers: Readers,
    pub bodies: BodyFiles,
    pub next_segment: u64,
    pub recovered: Recovered,
}

/// Opens a data directory and brings its checkpoint up to date.
///
/// # Errors
/// See [`OpenError`]. Nothing that was acknowledged is lost by a failed start.
pub fn open(setup: &Setup<'_>) -> Result<Opened, OpenError> {
    let wrap = |error: LogError| match error {
        LogError::Damaged(what) => OpenError::Damaged { dir: setup.dir.to_owned(), what },
        error => OpenError::Storage { dir: setup.dir.to_owned(), error },
    };
    let wal_dir = setup.dir.join("wal");
    disk().make_dir(&wal_dir).map_err(|error| wrap(error.into()))?;
    let lock = lock::take(setup.dir)?;
    segment::sync_dir(setup.dir).map_err(wrap)?;
    let mut segments = readers::survey(&wal_dir)?;
    let mut state = State::open(setup.dir, setup.new_cluster, !segments.is_empty())?;
    let next_segment = segments.keys().next_back().map_or(1, |number| number + 1);
    let readers = Readers::new(&wal_dir);
    check_segments(&state, &segments).map_err(wrap)?;
    catch_up(&mut state, &readers, &segments, &setup.options).map_err(wrap)?;
    state.join_new(setup.instances).map_err(wrap)?;
    drop_leftovers(&state, &wal_dir, &readers, &mut segments).map_err(wrap)?;
    let numbers: Vec<u64> = segments.keys().copied().collect();
    let mut scanned = scan::scan(&readers, &numbers).map_err(wrap)?;
    let ledger = books(&state, &segments, &mut scanned).map_err(wrap)?;
    let files: HashSet<String> = ledger.files().map(str::to_owned).collect();
    let bodies = BodyFiles::open(&wal_dir, ledger.durable_seq() + 1, &files).map_err(wrap)?;
    let instances = state.instances(setup.instances)?;
    let entries = scanned.into_iter().map(|segment| segment.entries);
    let entries = entries.filter(|entries| !entries.is_empty()).collect();
    let recovered = recovered(&mut state, entries, instances).map_err(wrap)?;
    Ok(Opened { lock, state, ledger, readers, bodies, next_segment, recovered })
}

type Segments = BTreeMap<u64, (u64, u64)>;

/// Compares the segments with what the checkpoint knows of them.
fn check_segments(state: &State, segments: &Segments) -> Result<(), LogError> {
    for (number, last_seen) in state.segments()? {
        match segments.get(&number) {
            None => return Err(LogError::Damaged(format!("segment {number} is missing"))),
            Some((_, last)) if *last < last_seen => {
                return Err(LogError::Damaged(format!(
                    "segment {number} ends at record {last} instead of {last_seen}"
                )));
            }
            Some(_) => {}
        }
    }
    let mut before = 0;
    for (number, &(first, last)) in segments.iter().filter(|(_, (_, last))| *last > 0) {
        if first <= before {
            return Err(LogError::Damaged(format!("segment {number} repeats record {first}")));
        }
        before = last;
    }
    Ok(())
}

/// Applies to the checkpoint what the segments hold beyond it.
fn catch_up(
    state: &mut State,
    readers: &Readers,
    segments: &Segments,
    options: &WalOptions,
) -> Result<(), LogError> {
    let last = segments.values().map(|(_, last)| *last).max().unwrap_or(0);
    let numbers: Vec<u64> = segments.keys().copied().collect();
    while state.covered_seq() < last {
        let after = state.covered_seq();
        let upto = last.min(after + options.checkpoint_records);
        let records = next_records(readers, &numbers, after, upto)?;
        state.apply(&records, &|_| true)?;
    }
    Ok(())
}

/// Removes segments that were about to be dropped, and those without a record.
fn drop_leftovers(
    state: &State,
    wal_dir: &Path,
    readers: &Readers,
    segments: &mut Segments,
) -> Result<(), LogError> {
    let known = state.segments()?;
    let leftovers: Vec<u64> = segments.keys().copied().filter(|number| !known.contains_key(number)).collect();
    for number in leftovers {
        readers.forget(number);
        segment::remove(wal_dir, number)?;
        segments.remove(&number);
    }
    Ok(())
}

fn books(state: &State, segments: &Segments, scanned: &mut [Scanned]) -> Result<Ledger, LogError> {
    let covered = state.covered_seq();
    let mut ledger = Ledger::new(covered, covered, state.last_lsn()?);
    let mut last = Lsn(0);
    for ((&number, &(_, last_seq)), Scanned { segment, entries, held }) in segments.iter().zip(scanned) {
        assert_eq!(number, *segment, "segments are scanned in order");
        // Seals the one before, which is complete.
        ledger.open_segment(number, Instant::now());
        ledger.durable(number, last_seq, None);
        if entries.first().is_some_and(|first| first.lsn <= last) {
            return Err(LogError::Damaged(format!("segment {segment} repeats entries of an earlier one")));
        }
        last = entries.last().map_or(last, |entry| entry.lsn);
        for (seq, held) in std::mem::take(held) {
            ledger.durable(number, seq, Some(held));
        }
    }
    Ok(ledger)
}

fn recovered(
    state: &mut State,
    entries: Vec<Vec<Brief>>,
    instances: Vec<Instance>,
) -> Result<Recovered, LogError> {
    let there = |lsn: &Lsn| {
        let after = entries.partition_point(|segment| segment.first().is_none_or(|first| first.lsn <= *lsn));
        let segment = after.checked_sub(1).and_then(|index| entries.get(index));
        segment.is_some_and(|entries| entries.binary_search_by_key(lsn, |entry| entry.lsn).is_ok())
    };
    let (mut decisions, mut resolved, mut suspects) =
        (state.decisions()?, state.resolved()?, state.suspects()?);
    let kept_for = decisions.iter().map(|(lsn, _)| lsn).chain(resolved.keys());
    let kept_for = kept_for.chain(suspects.iter().map(|(lsn, ..)| lsn));
    let stale: Vec<Lsn> = kept_for.filter(|lsn| !there(lsn)).copied().collect();
    decisions.retain(|(lsn, _)| there(lsn));
    resolved.retain(|lsn, _| there(lsn));
    suspects.retain(|(lsn, ..)| there(lsn));
    state.forget(&stale, &[])?;
    Ok(Recovered {
        cluster: state.cluster()?,
        next_lsn: Lsn(state.last_lsn()?.0 + 1),
        decisions,
        resolved,
        suspects,
        entries,
        positions: state.positions()?,
        changes: state.changes()?,
        divergent: state.divergent()?,
        rebuilds: state.rebuilds()?,
        lost: state.lost()?,
        duties: state.duties()?,
        instances,
    })
}
