//! The writer thread: takes what waits, commits it as one, tells.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::checkpointer::Request;
use super::engine::Engine;
use super::error::LogError;
use super::queue::{Committed, Item, Pending};
use super::shared::Shared;
use super::stamp::{Batch, stamp};

/// What the log's user is told through.
pub type OnCommit = Box<dyn FnMut(Committed) + Send>;

/// The writer's state; it owns the engine.
pub struct Writer {
    shared: Arc<Shared>,
    engine: Box<dyn Engine>,
    on_commit: OnCommit,
    /// Not crossbeam's: before its receivers sleep they give their turn on the processor away, four times
    /// (`docs/decisions/0013-waiting.md`).
    items: Receiver<Item>,
    /// Wakes the checkpointer when much has come.
    checkpointer: Sender<Request>,
    /// Taken from the channel and not committed yet, in order.
    queue: VecDeque<Item>,
    /// A batch whose commit failed and whose fate is not known yet.
    doubtful: Option<Batch>,
    /// Records made durable for `record`, counted from the start.
    recorded: u64,
    /// No more items can come.
    closing: bool,
}

impl Writer {
    /// A writer that continues the log as `shared` knows it.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        engine: Box<dyn Engine>,
        on_commit: OnCommit,
        items: Receiver<Item>,
        checkpointer: Sender<Request>,
    ) -> Self {
        Self {
            shared,
            engine,
            on_commit,
            items,
            checkpointer,
            queue: VecDeque::new(),
            doubtful: None,
            recorded: 0,
            closing: false,
        }
    }

    /// Runs until every sender is gone and everything is committed. A panic below does not leave anybody
    /// waiting: the log says that it is closed and refuses what comes.
    pub fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.work()));
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!(?ended, "the log's writer died");
            self.shared.admission.set_down(Some(LogError::Closed));
            self.tell_after_panic(Committed::Unavailable(LogError::Closed));
            let mut left = std::mem::take(&mut self.queue);
            while let Some(item) = left.pop_front().or_else(|| self.items.recv().ok()) {
                if let Item::Group(pending) | Item::Failed(pending, _) = item {
                    self.shared.admission.leave(&pending);
                    let tickets = pending.iter().map(|pending| pending.ticket).collect();
                    self.tell_after_panic(Committed::Refused { tickets, error: LogError::Closed });
                }
            }
        }
    }

    fn tell_after_panic(&mut self, what: Committed) {
        // The callback may be what panicked.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.on_commit)(what)));
    }

    fn work(&mut self) -> Result<(), LogError> {
        while self.receive() {
            let first = self.shared.next();
            let bytes = self.shared.options.batch_bytes;
            let batch = stamp(&mut self.queue, first, bytes, super::shared::now_ms())?;
            if !batch.is_empty() {
                self.commit(batch);
            }
        }
        Ok(())
    }

    /// Takes what waits; waits for something when there is nothing. False when nothing can come any more.
    fn receive(&mut self) -> bool {
        if self.queue.is_empty() {
            match self.items.recv() {
                Ok(item) => self.accept(item),
                Err(_) => return false,
            }
        }
        loop {
            match self.items.try_recv() {
                Ok(item) => self.accept(item),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => {
                    self.closing = true;
                    return true;
                }
            }
        }
    }

    fn accept(&mut self, item: Item) {
        match item {
            Item::Failed(pending, error) => self.refuse(&pending, error),
            item => self.queue.push_back(item),
        }
    }

    fn commit(&mut self, batch: Batch) {
        let began = Instant::now();
        let result = self.engine.commit(&batch.records);
        self.shared.note_commit(began.elapsed(), batch.records.len());
        match result {
            Ok(segment) => self.deliver(batch, segment),
            Err(error) => {
                tracing::warn!(%error, "a commit of the log failed");
                self.doubtful = Some(batch);
                self.recover(&error);
            }
        }
    }

    /// A batch is durable: books, memory, then the word to those who wait.
    fn deliver(&mut self, batch: Batch, segment: u64) {
        if self.shared.note_durable(&batch, segment) >= self.shared.options.checkpoint_records
            && self.checkpointer.is_empty()
        {
            // It comes by itself soon anyway.
            let _ = self.checkpointer.send(None);
        }
        let mut entries = Vec::new();
        for item in batch.items {
            match item {
                Item::Records(pending) => self.recorded += pending.len() as u64,
                Item::Group(pending) | Item::Failed(pending, _) => {
                    self.shared.admission.leave(&pending);
                    entries.extend(pending.into_iter().filter_map(Pending::into_entry));
                }
            }
        }
        if batch.has_records {
            (self.on_commit)(Committed::Records { upto: self.recorded });
        }
        if !entries.is_empty() {
            (self.on_commit)(Committed::Entries(entries));
        }
    }

    /// Brings the log back after a failure, however long it takes, and refuses entries meanwhile.
    fn recover(&mut self, cause: &LogError) {
        let mut pause = Duration::from_millis(self.shared.options.retry_min_ms);
        let mut announced = false;
        while let Err(error) = self.try_recover(cause) {
            if !announced {
                tracing::error!(%error, "the log cannot be written");
                self.shared.admission.set_down(Some(error.clone()));
                (self.on_commit)(Committed::Unavailable(error.clone()));
                announced = true;
            }
            if self.closing {
                tracing::error!(%error, "the log closes with records that could not be written");
                self.queue.clear();
                return;
            }
            self.refuse_for(pause, &error);
            pause = (pause * 2).min(Duration::from_millis(self.shared.options.retry_max_ms));
        }
        if announced {
            tracing::info!("the log can be written again");
            self.shared.admission.set_down(None);
            (self.on_commit)(Committed::Available);
        }
    }

    fn try_recover(&mut self, cause: &LogError) -> Result<(), LogError> {
        if self.doubtful.is_some() {
            let settled = self.engine.settle()?;
            if let Some(batch) = self.doubtful.take() {
                let (there, absent) = batch.split(settled.last_seq);
                if !there.is_empty() {
                    self.deliver(there, settled.segment);
                }
                self.not_there(absent.items, cause);
            }
        }
        self.engine.reopen()
    }

    /// What a failed commit did not bring in: entries are refused, outcomes wait for the next commit.
    fn not_there(&mut self, items: Vec<Item>, cause: &LogError) {
        let mut again = VecDeque::new();
        for item in items {
            match item {
                Item::Group(pending) => self.refuse(&pending, cause.clone()),
                item => again.push_back(item),
            }
        }
        again.append(&mut self.queue);
        self.queue = again;
    }

    /// Refuses the entries that wait and those that come during a pause.
    fn refuse_for(&mut self, pause: Duration, error: &LogError) {
        let until = Instant::now() + pause;
        loop {
            let waiting = std::mem::take(&mut self.queue);
            self.not_there(waiting.into(), error);
            match self.items.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(item) => self.accept(item),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.closing = true;
                    return;
                }
            }
        }
    }

    fn refuse(&mut self, pending: &[Pending], error: LogError) {
        self.shared.admission.leave(pending);
        for file in pending.iter().filter_map(Pending::file) {
            self.shared.bodies.remove(file);
        }
        let tickets = pending.iter().map(|pending| pending.ticket).collect();
        (self.on_commit)(Committed::Refused { tickets, error });
    }
}
