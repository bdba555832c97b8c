//! Distributions in buckets that double: a few instructions and two additions for each value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets, with the last one for all that is larger.
const BUCKETS: usize = 22;
/// Durations from 64 microseconds to about a minute are told apart.
const FIRST_OF_DURATIONS: u32 = 6;

/// A distribution of whole numbers.
#[derive(Debug)]
pub struct Histogram {
    /// The first bucket holds values up to two to this power.
    first_power: u32,
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// A distribution at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramView {
    /// The largest value of each bucket, ascending, and how many values are in it alone.
    pub buckets: Vec<(u64, u64)>,
    /// Values larger than all of these.
    pub larger: u64,
    pub sum: u64,
}

impl Histogram {
    /// Of durations, in microseconds.
    #[must_use]
    pub fn of_durations() -> Self {
        Self::new(FIRST_OF_DURATIONS)
    }

    /// Of numbers of things, from one on.
    #[must_use]
    pub fn of_sizes() -> Self {
        Self::new(0)
    }

    fn new(first_power: u32) -> Self {
        Self { first_power, buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }

    /// Adds a value.
    pub fn record(&self, value: u64) {
        // The least power of two that is not below the value.
        let power = u64::BITS - value.saturating_sub(1).leading_zeros();
        let bucket = (power.saturating_sub(self.first_power) as usize).min(BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Adds a duration, in microseconds.
    pub fn record_duration(&self, took: Duration) {
        self.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// The distribution now.
    #[must_use]
    pub fn view(&self) -> HistogramView {
        let count = |bucket: usize| self.buckets[bucket].load(Ordering::Relaxed);
        let upto =
            (0..BUCKETS - 1).zip(self.first_power..).map(|(bucket, power)| (1 << power, count(bucket)));
        let sum = self.sum.load(Ordering::Relaxed);
        HistogramView { buckets: upto.collect(), larger: count(BUCKETS - 1), sum }
    }
}

impl HistogramView {
    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum::<u64>() + self.larger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_is_not_below_it() {
        let histogram = Histogram::of_sizes();
        for value in [0, 1, 2, 3, 4, 5, 1 << 20, (1 << 20) + 1, 1 << 60] {
            histogram.record(value);
        }
        let view = histogram.view();
        let filled: Vec<_> = view.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(1, 2), (2, 1), (4, 2), (8, 1), (1 << 20, 1)]);
        assert_eq!((view.larger, view.count()), (2, 9));
        assert_eq!(view.sum, 15 + (1 << 20) + (1 << 20) + 1 + (1 << 60));
    }

    #[test]
    fn durations_are_told_apart_from_64_microseconds_to_a_minute() {
        let histogram = Histogram::of_durations();
        histogram.record_duration(Duration::from_nanos(1));
        histogram.record_duration(Duration::from_micros(64));
        histogram.record_duration(Duration::from_micros(65));
        histogram.record_duration(Duration::from_secs(60));
        histogram.record_duration(Duration::from_secs(600));
        let view = histogram.view();
        assert_eq!(view.buckets[..2], [(64, 2), (128, 1)]);
        assert_eq!((view.buckets[20], view.larger), ((1 << 26, 1), 1));
    }
}
