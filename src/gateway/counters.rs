//! Counters of requests, for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::chroma::ids::InstanceId;

/// What is counted. Counters only grow until the process ends, but for `active`.
#[derive(Debug)]
pub struct Counters {
    total: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    active: AtomicU64,
    writes: AtomicU64,
    reads: AtomicU64,
    /// Writes whose id had been used by the same request before.
    repeated: AtomicU64,
    /// Reads that were answered as before, and those that might have been.
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    instances: Vec<InstanceCounters>,
}

/// Reads that one instance was asked for.
#[derive(Debug, Default)]
struct InstanceCounters {
    total: AtomicU64,
    failed: AtomicU64,
    failed_in_a_row: AtomicU64,
}

/// The counters at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub total: u64,
    /// Answered with less than 500.
    pub ok: u64,
    /// Answered with 500 or more.
    pub failed: u64,
    pub active: u64,
    pub writes: u64,
    pub reads: u64,
    pub repeated: u64,
    /// Reads that were answered by what was answered before.
    pub cache_hits: u64,
    /// Reads that might have been, and went to an instance.
    pub cache_misses: u64,
}

/// One instance's counters at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceCounts {
    pub total: u64,
    pub failed: u64,
    pub failed_in_a_row: u64,
}

/// A request under way; it counts as active until this is dropped.
pub(super) struct Active<'a>(&'a Counters);

impl Counters {
    pub(super) fn new(instances: usize) -> Self {
        Self {
            total: AtomicU64::new(0),
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            active: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            cache_hits: AtomicU64::new(0),
            cache_misses: AtomicU64::new(0),
            instances: (0..instances).map(|_| InstanceCounters::default()).collect(),
        }
    }

    pub(super) fn begin(&self) -> Active<'_> {
        add(&self.total);
        add(&self.active);
        Active(self)
    }

    pub(super) fn answered(&self, status: u16) {
        add(if status < 500 { &self.ok } else { &self.failed });
    }

    pub(super) fn write(&self) {
        add(&self.writes);
    }

    pub(super) fn read(&self) {
        add(&self.reads);
    }

    pub(super) fn repeated(&self) {
        add(&self.repeated);
    }

    pub(super) fn cache_hit(&self) {
        add(&self.cache_hits);
    }

    pub(super) fn cache_miss(&self) {
        add(&self.cache_misses);
    }

    /// A read at an instance ended, with an answer or without.
    pub(super) fn asked(&self, instance: InstanceId, answered: bool) {
        let Some(counters) = self.instances.get(instance.index()) else {
            return;
        };
        add(&counters.total);
        if answered {
            counters.failed_in_a_row.store(0, Ordering::Relaxed);
        } else {
            add(&counters.failed);
            add(&counters.failed_in_a_row);
        }
    }

    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            total: get(&self.total),
            ok: get(&self.ok),
            failed: get(&self.failed),
            active: get(&self.active),
            writes: get(&self.writes),
            reads: get(&self.reads),
            repeated: get(&self.repeated),
            cache_hits: get(&self.cache_hits),
            cache_misses: get(&self.cache_misses),
        }
    }

    /// One instance's counters now; zeros for one that is not known.
    #[must_use]
    pub fn instance(&self, instance: InstanceId) -> InstanceCounts {
        self.instances.get(instance.index()).map_or_else(InstanceCounts::default, |counters| InstanceCounts {
            total: get(&counters.total),
            failed: get(&counters.failed),
            failed_in_a_row: get(&counters.failed_in_a_row),
        })
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
