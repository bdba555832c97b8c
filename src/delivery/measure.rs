//! How large deliveries are and how long they take.

use std::time::Duration;

use crate::metrics::{Histogram, HistogramView};
use crate::replication::event::{DeliveryOutcome, What};
use crate::wal::record::RecordKind;

/// The kinds of deliveries, by the names that operators see.
pub const KINDS: [&str; 6] = ["add", "upsert", "update", "delete", "schema", "other"];

/// Deliveries of all kinds.
#[derive(Debug)]
pub struct Runs([Run; KINDS.len()]);

#[derive(Debug)]
struct Run {
    writes: Histogram,
    durations: Histogram,
}

/// Deliveries of one kind.
#[derive(Clone, Debug)]
pub struct RunView {
    pub kind: &'static str,
    /// Writes in one delivery.
    pub writes: HistogramView,
    /// From its start to its end, in microseconds.
    pub durations: HistogramView,
}

impl Default for Runs {
    fn default() -> Self {
        let run = || Run { writes: Histogram::of_sizes(), durations: Histogram::of_durations() };
        Self(std::array::from_fn(|_| run()))
    }
}

impl Runs {
    /// A delivery ended.
    pub(super) fn ended(&self, kind: usize, writes: usize, took: Duration) {
        self.0[kind].writes.record(writes as u64);
        self.0[kind].durations.record_duration(took);
    }

    /// Every kind.
    #[must_use]
    pub fn view(&self) -> Vec<RunView> {
        let view = |(kind, run): (&&'static str, &Run)| RunView {
            kind,
            writes: run.writes.view(),
            durations: run.durations.view(),
        };
        KINDS.iter().zip(&self.0).map(view).collect()
    }
}

/// The place in [`KINDS`].
pub(super) fn kind(what: &What) -> usize {
    match what {
        What::Records { kind: RecordKind::Add, .. } => 0,
        What::Records { kind: RecordKind::Upsert, .. } => 1,
        What::Records { kind: RecordKind::Update, .. } => 2,
        What::Records { kind: RecordKind::Delete, .. } | What::DeleteIds { .. } => 3,
        What::CreateCollection { .. }
        | What::ModifyCollection { .. }
        | What::DropCollection { .. }
        | What::CreateDatabase { .. }
        | What::DropDatabase { .. }
        | What::CreateTenant { .. } => 4,
        // Looks and repairs on the way of a write.
        _ => 5,
    }
}

/// True where the instance gave an answer that decides something.
pub(super) fn ended_well(outcome: &DeliveryOutcome) -> bool {
    matches!(
        outcome,
        DeliveryOutcome::Success { .. }
            | DeliveryOutcome::Rejected { .. }
            | DeliveryOutcome::Ids(_)
            | DeliveryOutcome::Listed { .. }
            | DeliveryOutcome::Chunk(_)
            | DeliveryOutcome::Digest(_)
    )
}
