//! The checkpointer thread: follows the log into `state.db` and gives space back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::error::LogError;
use super::lock_unpoisoned;
use super::readers::{self, Readers};
use super::segment;
use super::shared::{Shared, now_ms};
use super::state::{State, StoredRecord};

/// Somebody who waits for a pass; `None` for a mere hint.
pub type Request = Option<Sender<Result<(), LogError>>>;

const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The thread's state; it owns the checkpoint.
pub struct Checkpointer {
    shared: Arc<Shared>,
    state: State,
    requests: Receiver<Request>,
    pruned_at: Option<Instant>,
}

impl Checkpointer {
    /// A checkpointer for an open log.
    #[must_use]
    pub fn new(shared: Arc<Shared>, state: State, requests: Receiver<Request>) -> Self {
        Self { shared, state, requests, pruned_at: None }
    }

    /// Runs until every requester is gone; then leaves everything folded, so that the next start is quick.
    pub fn run(mut self) {
        let every = Duration::from_millis(self.shared.options.checkpoint_ms);
        loop {
            let request = match self.requests.recv_timeout(every) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.answer(request);
        }
        self.answer(None);
        if let Err(error) = self.fold_all() {
            tracing::warn!(%error, "the log could not be folded");
        }
    }

    fn answer(&mut self, request: Request) {
        let done = self.pass();
        if let Err(error) = &done {
            tracing::warn!(%error, "the log's checkpoint could not follow");
        }
        if let Some(reply) = request {
            // Whoever asked may have gone.
            let _ = reply.send(done);
        }
    }

    fn pass(&mut self) -> Result<(), LogError> {
        self.follow()?;
        self.give_back()?;
        self.fold_one()?;
        self.prune()
    }

    /// Brings the checkpoint up to the last durable record.
    fn follow(&mut self) -> Result<(), LogError> {
        loop {
            let (upto, segments) = {
                let ledger = lock_unpoisoned(&self.shared.ledger);
                let after = self.state.covered_seq();
                let upto = ledger.durable_seq().min(after + self.shared.options.checkpoint_records);
                (upto, ledger.segments_after(after))
            };
            if upto == self.state.covered_seq() {
                return Ok(());
            }
            let records = next_records(&self.shared.readers, &segments, self.state.covered_seq(), upto)?;
            let is_live = |lsn| lock_unpoisoned(&self.shared.ledger).place(lsn).is_some();
            self.state.apply(&records, &is_live)?;
            lock_unpoisoned(&self.shared.ledger).cover(upto);
            lock_unpoisoned(&self.shared.fresh).forget(upto);
        }
    }

    /// Forgets finished entries and drops the segments that hold nothing else.
    fn give_back(&mut self) -> Result<(), LogError> {
        let (finished, segments) = {
            let mut ledger = lock_unpoisoned(&self.shared.ledger);
            (ledger.take_finished(), ledger.droppable())
        };
        if finished.lsns.is_empty() && segments.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.state.forget(&finished.lsns, &segments) {
            lock_unpoisoned(&self.shared.ledger).restore_finished(finished);
            return Err(error);
        }
        for file in &finished.files {
            self.shared.bodies.remove(file);
        }
        for &number in &segments {
            self.shared.readers.forget(number);
            segment::remove(&self.shared.wal_dir, number)?;
            lock_unpoisoned(&self.shared.ledger).drop_segments(&[number]);
        }
        if segments.is_empty() {
            return Ok(());
        }
        let oldest = lock_unpoisoned(&self.shared.ledger).oldest_stored();
        self.state.forget_ended_lanes(oldest)
    }

    /// Folds one segment that waits for its entries, so that a start needs not read its write-ahead file.
    fn fold_one(&mut self) -> Result<(), LogError> {
        let after = Duration::from_millis(self.shared.options.fold_after_ms);
        let due = lock_unpoisoned(&self.shared.ledger).foldable(Instant::now(), after);
        if let Some(number) = due {
            self.shared.readers.with(number, segment::fold)?;
            lock_unpoisoned(&self.shared.ledger).folded(number);
        }
        Ok(())
    }

    fn fold_all(&mut self) -> Result<(), LogError> {
        let segments = lock_unpoisoned(&self.shared.ledger).segments_after(0);
        for number in segments {
            self.shared.readers.with(number, segment::fold)?;
        }
        self.state.fold()
    }

    fn prune(&mut self) -> Result<(), LogError> {
        if self.pruned_at.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(());
        }
        self.pruned_at = Some(Instant::now());
        let options = &self.shared.options;
        let keep_s = self.shared.keep_s.load(Ordering::Relaxed);
        let before_ms = now_ms().saturating_sub(keep_s.saturating_mul(1_000));
        self.state.prune(before_ms, options.keep_transactions)
    }
}

/// The records `after < seq <= upto`, from the segments that hold them.
///
/// # Errors
/// [`LogError::Damaged`] when one is missing.
pub fn next_records(
    readers: &Readers,
    segments: &[u64],
    after: u64,
    upto: u64,
) -> Result<Vec<StoredRecord>, LogError> {
    let mut found: Vec<StoredRecord> = Vec::new();
    for &segment in segments {
        found.extend(readers.with(segment, |conn| readers::records(conn, segment, after, upto))?);
        if found.last().is_some_and(|last| last.seq == upto) {
            break;
        }
    }
    for (expected, stored) in (after + 1..).zip(&found) {
        if stored.seq != expected {
            return Err(LogError::Damaged(format!("record {expected} is missing in the segments")));
        }
    }
    if found.len() as u64 != upto - after {
        return Err(LogError::Damaged(format!("record {upto} is missing in the segments")));
    }
    Ok(found)
}
