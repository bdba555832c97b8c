//! What the threads of the log share.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bodies::BodyFiles;
use super::cache::BodyCache;
use super::fresh::Fresh;
use super::ledger::{self, Ledger};
use super::lock_unpoisoned;
use super::options::WalOptions;
use super::queue::{Admission, Item};
use super::readers::Readers;
use super::record::{Lsn, Record};
use super::stamp::{Batch, Next};
use super::stats::CommitTimes;
use crate::metrics::Histogram;

/// Everything but the threads. No lock is held while another is taken or a file is touched, but for the
/// lock's own purpose.
#[derive(Debug)]
pub struct Shared {
    /// The directory of the segments.
    pub wal_dir: PathBuf,
    pub options: WalOptions,
    /// How long outcomes are kept, in seconds: `options` tells what it was at the start.
    pub keep_s: AtomicU64,
    pub admission: Admission,
    pub ledger: Mutex<Ledger>,
    pub fresh: Mutex<Fresh>,
    pub cache: Mutex<BodyCache>,
    pub bodies: BodyFiles,
    pub readers: Readers,
    pub commits: Mutex<(CommitTimes, u64)>,
    /// Records that shared a commit.
    pub groups: Histogram,
}

impl Shared {
    /// The numbers that follow the last durable record.
    #[must_use]
    pub fn next(&self) -> Next {
        let ledger = lock_unpoisoned(&self.ledger);
        Next { seq: ledger.durable_seq() + 1, lsn: Lsn(ledger.durable_lsn().0 + 1) }
    }

    /// Adds a commit's duration and the number of its records to the figures.
    pub fn note_commit(&self, took: Duration, records: usize) {
        self.groups.record(records as u64);
        lock_unpoisoned(&self.commits).0.add(took);
    }

    /// Takes a durable batch into the books and into memory; gives the number of records that the
    /// checkpoint is behind.
    pub fn note_durable(&self, batch: &Batch, segment: u64) -> u64 {
        let pending = || batch.items.iter().flat_map(Item::pending);
        let mut cache = lock_unpoisoned(&self.cache);
        let mut entries = 0;
        for pending in pending() {
            if let Record::Entry(entry) = &pending.record {
                cache.insert(entry.lsn, pending.body.clone());
                entries += 1;
            }
        }
        drop(cache);
        lock_unpoisoned(&self.commits).1 += entries;
        let mut fresh = lock_unpoisoned(&self.fresh);
        for (stamped, pending) in batch.records.iter().zip(pending()) {
            fresh.note(stamped.seq, stamped.at_ms, &pending.record);
        }
        drop(fresh);
        let mut ledger = lock_unpoisoned(&self.ledger);
        ledger.open_segment(segment, Instant::now());
        for (stamped, pending) in batch.records.iter().zip(pending()) {
            ledger.durable(segment, stamped.seq, ledger::held(&pending.record));
        }
        ledger.durable_seq() - ledger.covered_seq()
    }
}

/// Unix time in milliseconds: as it was when it was first asked for, and what the steady clock says has passed since. A
/// clock that is set makes a running log forget nothing too early.
#[must_use]
pub fn now_ms() -> u64 {
    static BEGAN: LazyLock<(SystemTime, Instant)> = LazyLock::new(|| (SystemTime::now(), Instant::now()));
    let (wall, steady) = *BEGAN;
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default() + steady.elapsed();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
