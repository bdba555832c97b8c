//! One read's turn at an instance, counted from its start to however it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::breaker::Ended;
use super::load::{Load, LoadView, Offer};
use crate::metrics::{Attempts, AttemptsView};

/// How long an instance that came back takes to its full share of reads.
const SLOW_START_MS: u64 = 10_000;

/// The load of one instance on the process's clock.
#[derive(Debug)]
pub struct Turns {
    born: Instant,
    load: Mutex<Load>,
    reads: Attempts,
}

impl Default for Turns {
    fn default() -> Self {
        Self { born: Instant::now(), load: Mutex::new(Load::new(SLOW_START_MS)), reads: Attempts::default() }
    }
}

impl Turns {
    /// What the instance can take now.
    #[must_use]
    pub fn offer(&self) -> Offer {
        let now_ms = self.now_ms();
        self.load().offer(now_ms)
    }

    /// The load now, for people.
    #[must_use]
    pub fn view(&self) -> LoadView {
        let now_ms = self.now_ms();
        self.load().view(now_ms)
    }

    /// All reads so far; without those whose client went away.
    #[must_use]
    pub fn reads(&self) -> AttemptsView {
        self.reads.view()
    }

    /// The next read there repeats one that failed elsewhere.
    pub fn repeats(&self) {
        self.reads.repeats();
    }

    /// A read is sent there.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Turn {
        let now_ms = self.now_ms();
        self.load().sent(now_ms);
        Turn { turns: Arc::clone(self), began: Instant::now(), how: Ended::Abandoned }
    }

    /// The instance proved itself after it had been away.
    pub fn returned(&self) {
        let now_ms = self.now_ms();
        self.load().returned(now_ms);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read under way. Dropped without a word it counts as abandoned.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    began: Instant,
    how: Ended,
}

impl Turn {
    /// The read ended in this way.
    pub fn ended(mut self, how: Ended) {
        self.how = how;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if self.how != Ended::Abandoned {
            self.turns.reads.ended(took, self.how == Ended::Answered);
        }
        let now_ms = self.turns.now_ms();
        self.turns.load().ended(now_ms, took_us, self.how);
    }
}
