//! The log as the rest of the program sees it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use crossbeam_channel::bounded;
use rusqlite::Connection;

use super::cache::BodyCache;
use super::engine::Engine;
use super::error::{AppendError, LogError, OpenError};
use super::fresh::{Fresh, look_up};
use super::ledger::Place;
use super::lock_unpoisoned;
use super::open::{self, Opened, Recovered, Setup};
use super::placement;
use super::queue::{Admission, Item, NewEntry};
use super::readers;
use super::record::{Body, EntryHead, Lsn, Record};
use super::segment::SegmentEngine;
use super::shared::Shared;
use super::state::{self, StoredTransaction};
use super::stats::{CommitTimes, WalStats, dir_bytes, free_bytes};
use super::threads::{Inputs, Threads, start};
use super::writer::OnCommit;
use crate::metrics::{Histogram, HistogramView};

/// An open log. Share it in an [`Arc`]; every method takes `&self`.
pub struct Wal {
    shared: Arc<Shared>,
    /// `None` once closed.
    inputs: Mutex<Option<Inputs>>,
    threads: Mutex<Option<Threads>>,
    /// For looking transactions up.
    state: Mutex<Connection>,
    dir: std::path::PathBuf,
}

impl Wal {
    /// Opens the log of a data directory, makes it if it is new, and starts its threads. `on_commit` is called
    /// from the writer thread, in commit order; it must not block and must not call [`close`](Self::close).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(setup: &Setup<'_>, on_commit: OnCommit) -> Result<(Self, Recovered), OpenError> {
        Self::open_with(setup, on_commit, |engine| Box::new(engine))
    }

    /// [`open`](Self::open) with an engine put around the real one.
    pub(super) fn open_with(
        setup: &Setup<'_>,
        on_commit: OnCommit,
        wrap: impl FnOnce(SegmentEngine) -> Box<dyn Engine>,
    ) -> Result<(Self, Recovered), OpenError> {
        let storage = |error: LogError| OpenError::Storage { dir: setup.dir.to_owned(), error };
        let opened = open::open(setup)?;
        let wal_dir = setup.dir.join("wal");
        let durable = opened.ledger.durable_seq();
        let engine =
            SegmentEngine::open(&wal_dir, opened.next_segment, durable, &setup.options).map_err(storage)?;
        let state = state::connect(&state::path_of(setup.dir)).map_err(storage)?;
        let Opened { lock, state: checkpoint, mut ledger, readers, bodies, next_segment, recovered } = opened;
        ledger.open_segment(next_segment, std::time::Instant::now());
        let shared = Arc::new(Shared {
            wal_dir,
            options: setup.options.clone(),
            keep_s: AtomicU64::new(setup.options.keep_s),
            admission: Admission::default(),
            ledger: Mutex::new(ledger),
            fresh: Mutex::new(Fresh::default()),
            cache: Mutex::new(BodyCache::new(setup.options.cache_bytes)),
            bodies,
            readers,
            commits: Mutex::default(),
            groups: Histogram::of_sizes(),
        });
        let (inputs, threads) = start(&shared, wrap(engine), checkpoint, lock, on_commit)
            .map_err(|error| storage(error.into()))?;
        let wal = Self {
            shared,
            inputs: Mutex::new(Some(inputs)),
            threads: Mutex::new(Some(threads)),
            state: Mutex::new(state),
            dir: setup.dir.to_owned(),
        };
        Ok((wal, recovered))
    }

    /// Hands a group to the log: it is committed as a whole, with consecutive LSNs, or refused as a whole.
    /// Does not block. Groups get their LSNs in the order in which they become ready, which for large bodies
    /// is after their files are synced.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing of the group is logged then, and no word of it comes through `on_commit`.
    pub fn append(&self, group: Vec<NewEntry>) -> Result<(), AppendError> {
        let options = &self.shared.options;
        if group.is_empty() {
            return Ok(());
        }
        let Item::Group(group) = Item::group(group) else {
            return Ok(());
        };
        self.check_room()?;
        let inputs = lock_unpoisoned(&self.inputs);
        let inputs = inputs.as_ref().ok_or(AppendError::Closed)?;
        self.shared.admission.enter(&group, options)?;
        let sent = if placement::needs_files(&group, options.large_body_bytes) {
            inputs.large.send(group).map_err(|unsent| unsent.0)
        } else {
            inputs.writer.send(Item::Group(group)).map_err(|unsent| match unsent.0 {
                Item::Group(pending) | Item::Records(pending) | Item::Failed(pending, _) => pending,
            })
        };
        sent.map_err(|group| {
            self.shared.admission.leave(&group);
            AppendError::Closed
        })
    }

    fn check_room(&self) -> Result<(), AppendError> {
        let options = &self.shared.options;
        let min_free_bytes = options.min_free_bytes;
        // A disk that cannot be asked shows its trouble in the commit.
        if let Some(free_bytes) = free_bytes(&self.shared.wal_dir)
            && free_bytes < min_free_bytes
        {
            return Err(AppendError::DiskLow { free_bytes, min_free_bytes });
        }
        let ledger = lock_unpoisoned(&self.shared.ledger);
        let unfinished = ledger.unfinished();
        if unfinished.memory_bytes >= options.max_memory_bytes {
            return Err(AppendError::MemoryFull { max_bytes: options.max_memory_bytes });
        }
        if unfinished.bytes >= options.max_bytes {
            return Err(AppendError::LogFull { max_bytes: options.max_bytes });
        }
        let behind = ledger.durable_seq() - ledger.covered_seq();
        if behind >= options.max_unchecked_records {
            let error = LogError::Storage(format!("the checkpoint is {behind} records behind"));
            return Err(AppendError::Unavailable(error));
        }
        Ok(())
    }

    /// True while three quarters or more of what the log may hold for instances are held.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        let options = &self.shared.options;
        let unfinished = lock_unpoisoned(&self.shared.ledger).unfinished();
        let is_near = |held: u64, most: u64| held >= most - most / 4;
        is_near(unfinished.bytes, options.max_bytes)
            || is_near(unfinished.memory_bytes, options.max_memory_bytes)
    }

    /// Hands outcomes to the log and gives their running number: [`Committed::Records`](super::Committed::Records)
    /// with at least this number tells that they are durable. Records of one call are committed as a whole, calls
    /// in order; a failed commit is tried again until it succeeds. After [`close`](Self::close) they are lost.
    pub fn record(&self, records: Vec<Record>) -> u64 {
        let mut inputs = lock_unpoisoned(&self.inputs);
        let Some(inputs) = inputs.as_mut() else {
            tracing::error!(count = records.len(), "records came after the log was closed");
            return 0;
        };
        if records.is_empty() {
            return inputs.recorded;
        }
        inputs.recorded += records.len() as u64;
        let recorded = inputs.recorded;
        if inputs.writer.send(Item::records(records)).is_err() {
            tracing::error!("records came after the log's writer died");
        }
        recorded
    }

    /// The body of an unfinished entry, from memory or from the files. Blocks.
    ///
    /// # Errors
    /// [`LogError::Unknown`] for an entry that is not held, [`LogError::Damaged`] when what is read is not what
    /// was written.
    pub fn body(&self, lsn: Lsn) -> Result<Bytes, LogError> {
        if let Some(body) = self.cached_body(lsn) {
            return Ok(body);
        }
        let Place { segment, seq } = self.place(lsn)?;
        let (body, bytes) = self.shared.readers.with(segment, |conn| readers::body(conn, segment, seq))?;
        match body {
            Body::Inline(_) => Ok(bytes),
            Body::File { name, body_bytes, crc32 } => self.shared.bodies.read(&name, body_bytes, crc32),
        }
    }

    /// When an unfinished entry was accepted: Unix time in milliseconds.
    /// Read back from the files. Blocks briefly.
    ///
    /// # Errors
    /// As [`body`](Self::body).
    pub fn accepted_ms(&self, lsn: Lsn) -> Result<u64, LogError> {
        let Place { segment, seq } = self.place(lsn)?;
        self.shared.readers.with(segment, |conn| readers::accepted_ms(conn, segment, seq))
    }

    /// Everything of an unfinished entry but its body. Read back from the files. Blocks briefly.
    ///
    /// # Errors
    /// As [`body`](Self::body).
    pub fn head(&self, lsn: Lsn) -> Result<EntryHead, LogError> {
        let Place { segment, seq } = self.place(lsn)?;
        self.shared.readers.with(segment, |conn| readers::head(conn, segment, seq))
    }

    fn place(&self, lsn: Lsn) -> Result<Place, LogError> {
        lock_unpoisoned(&self.shared.ledger).place(lsn).ok_or(LogError::Unknown(lsn))
    }

    /// The body of an entry, if it is in memory.
    #[must_use]
    pub fn cached_body(&self, lsn: Lsn) -> Option<Bytes> {
        lock_unpoisoned(&self.shared.cache).get(lsn)
    }

    /// Tells that entries are applied, or void, on every instance, and that this is durable: their space may go.
    /// Unknown ones are ignored.
    pub fn finished(&self, lsns: &[Lsn]) {
        lock_unpoisoned(&self.shared.ledger).finish(lsns);
        let mut cache = lock_unpoisoned(&self.shared.cache);
        for lsn in lsns {
            cache.remove(*lsn);
        }
    }

    /// Sets how long the outcome of a finished transaction can be asked for, in seconds.
    pub fn set_keep_s(&self, keep_s: u64) {
        self.shared.keep_s.store(keep_s, Ordering::Relaxed);
    }

    /// A transaction by its id. Finished ones are known for `keep_s`, unfinished ones for ever. Blocks briefly.
    ///
    /// # Errors
    /// The checkpoint cannot be read.
    pub fn transaction(&self, id: &str) -> Result<Option<StoredTransaction>, LogError> {
        let state = &self.state;
        look_up(&self.shared.fresh, id, |id| state::find(&lock_unpoisoned(state), id))
    }

    /// Brings the checkpoint up to date and gives space back now; returns when done.
    ///
    /// # Errors
    /// The checkpoint cannot be written, or the log is closed.
    pub fn checkpoint(&self) -> Result<(), LogError> {
        let (reply, done) = bounded(1);
        let requests = lock_unpoisoned(&self.inputs).as_ref().map(|inputs| inputs.checkpointer.clone());
        requests.ok_or(LogError::Closed)?.send(Some(reply)).map_err(|_| LogError::Closed)?;
        done.recv().unwrap_or(Err(LogError::Closed))
    }

    /// The last entry that is on disk.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        lock_unpoisoned(&self.shared.ledger).durable_lsn()
    }

    /// The log's figures now. Looks into files and at their sizes.
    #[must_use]
    pub fn stats(&self) -> WalStats {
        let (queued_entries, queued_bytes, appended_entries, available) = self.shared.admission.figures();
        let (commits, durable_entries): (CommitTimes, u64) = lock_unpoisoned(&self.shared.commits).clone();
        let bodies = self.shared.bodies.disk_bytes().unwrap_or(0);
        let segments = dir_bytes(&self.shared.wal_dir).unwrap_or(0);
        let state = dir_bytes(&self.dir).unwrap_or(0);
        let unfinished = lock_unpoisoned(&self.shared.ledger).unfinished();
        let oldest_accepted_ms = unfinished.oldest.and_then(|lsn| self.accepted_ms(lsn).ok());
        let ledger = lock_unpoisoned(&self.shared.ledger);
        WalStats {
            available,
            durable_lsn: ledger.durable_lsn(),
            appended_entries,
            durable_entries,
            queued_entries,
            queued_bytes,
            pending_entries: unfinished.entries,
            pending_bytes: unfinished.bytes,
            pending_memory_bytes: unfinished.memory_bytes,
            oldest_accepted_ms,
            durable_seq: ledger.durable_seq(),
            covered_seq: ledger.covered_seq(),
            segments: ledger.segments() as u64,
            disk_bytes: bodies + segments + state,
            free_bytes: free_bytes(&self.shared.wal_dir),
            commits,
        }
    }

    /// How many records shared a commit, of all commits since the start.
    #[must_use]
    pub fn groups(&self) -> HistogramView {
        self.shared.groups.view()
    }

    /// Commits what waits, brings the checkpoint up to date and releases the directory. Blocks; a second call
    /// does nothing.
    pub fn close(&self) {
        drop(lock_unpoisoned(&self.inputs).take());
        let threads = lock_unpoisoned(&self.threads).take();
        if let Some(threads) = threads {
            threads.join();
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.close();
    }
}
