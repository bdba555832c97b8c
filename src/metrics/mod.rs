//! What is measured while requests pass: counts and distributions, without locks.
//!
//! Each room keeps its own figures next to what they are about (`gateway::measure`, `instances::turn`,
//! `delivery::measure`), made of the parts here, and `admin::metrics` puts them on one page. A figure that can be asked
//! for when the page is made is not counted here at all.

mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use histogram::{Histogram, HistogramView};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Requests to one instance.
#[derive(Debug)]
pub struct Attempts {
    durations: Histogram,
    failed: Counter,
    repeated: Counter,
}

/// Requests to one instance so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptsView {
    /// Of all, in microseconds.
    pub durations: HistogramView,
    /// Those that got no answer that decides anything.
    pub failed: u64,
    /// Those that repeat one that failed elsewhere.
    pub repeated: u64,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            durations: Histogram::of_durations(),
            failed: Counter::default(),
            repeated: Counter::default(),
        }
    }
}

impl Attempts {
    /// A request ended, with a useful answer or without.
    pub fn ended(&self, took: Duration, well: bool) {
        self.durations.record_duration(took);
        if !well {
            self.failed.add();
        }
    }

    /// A request that begins repeats another.
    pub fn repeats(&self) {
        self.repeated.add();
    }

    /// The figures now.
    #[must_use]
    pub fn view(&self) -> AttemptsView {
        AttemptsView {
            durations: self.durations.view(),
            failed: self.failed.get(),
            repeated: self.repeated.get(),
        }
    }
}
