//! How long an instance takes for a request of so many records of a kind: a part for the request, and a part for each
//! record.

use super::core::Core;
use super::event::{Errand, What};
use crate::chroma::ids::InstanceId;
use crate::wal::record::RecordKind;

/// How many records are thought to cost as much as a request does, when it is not known what took longer.
const RECORDS_OF_A_REQUEST: i64 = 64;
/// A new measurement counts for one part in so many.
const SMOOTHING: i64 = 2;

/// What was learned so far, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    request_us: i64,
    record_us: i64,
}

impl Pace {
    /// A cautious guess.
    pub(super) const fn new() -> Self {
        Self { request_us: 5_000, record_us: 1_000 }
    }

    /// What a request costs beside its records, in milliseconds.
    pub(super) fn request_ms(self) -> u64 {
        self.request_us.unsigned_abs() / 1_000
    }

    /// The expected time of a request of so many records, in milliseconds.
    pub(super) fn expected_ms(self, records: u64) -> u64 {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        let us = self.record_us.saturating_mul(records).saturating_add(self.request_us);
        us.unsigned_abs() / 1_000
    }

    /// How many records a request may hold to take this long. Where the request itself takes most of that time, small
    /// ones would make it worse: then its records may take as long as it does.
    pub(super) fn records_within(self, ms: u64) -> u32 {
        let all_us = i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let us = (all_us - self.request_us).max(self.request_us);
        u32::try_from(us / self.record_us.max(1)).unwrap_or(u32::MAX)
    }

    /// Takes in that a request of so many records took so long. What differs from the expected time is shared out
    /// between the request and its records: few records tell of the request, many of a record.
    pub(super) fn learn(&mut self, records: u64, ms: u64) {
        let records = i64::try_from(records).unwrap_or(i64::MAX).min(1 << 20);
        let us = i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX).min(1 << 40);
        let missing_us = us - self.request_us - self.record_us * records;
        let parts = (RECORDS_OF_A_REQUEST + records) * SMOOTHING;
        self.request_us = (self.request_us + missing_us * RECORDS_OF_A_REQUEST / parts).max(0);
        self.record_us = (self.record_us + missing_us / parts).max(1);
    }
}

impl Core {
    /// How long a delivery is expected to take, in milliseconds.
    pub(super) fn expected_ms(&self, instance: InstanceId, what: &What, records: u64) -> u64 {
        let kind = match what {
            What::Records { kind, .. } => *kind,
            What::DeleteIds { .. } => RecordKind::Delete,
            What::Rebuild { errand: Errand::Put { records, .. }, .. } => {
                return self.instances[instance.index()].paces[RecordKind::Add as usize]
                    .expected_ms(*records);
            }
            _ => return 100,
        };
        self.instances[instance.index()].paces[kind as usize].expected_ms(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught(runs: impl Iterator<Item = u64>) -> Pace {
        let mut pace = Pace::new();
        runs.for_each(|records| pace.learn(records, 16 + records / 5));
        pace
    }

    #[test]
    fn single_records_do_not_make_large_requests_look_slow() {
        let pace = taught(std::iter::repeat_n(1, 100));
        assert!((14..=17).contains(&pace.request_ms()), "{pace:?}");
        assert!(pace.records_within(250) >= 200, "{pace:?}");
    }

    #[test]
    fn what_large_requests_take_is_learned_in_few() {
        let pace = taught(std::iter::repeat_n(1, 100).chain([250; 8]));
        assert!(pace.records_within(250) >= 400, "{pace:?}");
        assert!(pace.expected_ms(250).abs_diff(66) < 30, "{pace:?}");
    }

    #[test]
    fn a_request_that_takes_most_of_the_time_by_itself_still_carries_records() {
        let mut pace = Pace::new();
        (0..100).for_each(|_| pace.learn(1, 10_000));
        assert!(pace.records_within(250) >= 50, "{pace:?}");
        assert!(pace.expected_ms(1) > 9_000);
    }
}
