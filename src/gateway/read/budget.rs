//! How many reads may be tried again.
//!
//! A token bucket: each read puts a part of a try in, each repetition takes a whole one out. So a burst of failures is
//! retried at once, and when everything fails, repetitions stay a bounded part of the load instead of multiplying it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a read puts in and a repetition takes out, in hundredths of a repetition.
const PER_READ: u64 = 20;
const PER_REPETITION: u64 = 100;

/// The budget of all reads together.
#[derive(Debug)]
pub(in crate::gateway) struct RetryBudget {
    hundredths: AtomicU64,
    most: u64,
    exhausted: AtomicU64,
}

impl RetryBudget {
    /// A full budget that lets this many reads be repeated at once: as many as can be under way at an instance that
    /// goes down.
    pub(in crate::gateway) fn new(burst: usize) -> Self {
        let most = (burst as u64).saturating_mul(PER_REPETITION);
        Self { hundredths: AtomicU64::new(most), most, exhausted: AtomicU64::new(0) }
    }

    /// A read came in.
    pub(super) fn deposit(&self) {
        // Full almost always: then nothing is written that other cores would have to fetch.
        if self.hundredths.load(Ordering::Relaxed) < self.most {
            let add = |now: u64| Some((now + PER_READ).min(self.most));
            _ = self.hundredths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    /// Takes a repetition out. False where none is left.
    pub(super) fn withdraw(&self) -> bool {
        let take = |now: u64| now.checked_sub(PER_REPETITION);
        let taken = self.hundredths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if !taken {
            self.exhausted.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// How often none was left.
    pub(in crate::gateway) fn exhausted(&self) -> u64 {
        self.exhausted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_failures_is_retried_at_once_and_then_none() {
        let budget = RetryBudget::new(3);
        assert_eq!([(); 4].map(|()| budget.withdraw()), [true, true, true, false]);
        assert_eq!(budget.exhausted(), 1);
    }

    #[test]
    fn five_reads_earn_one_repetition() {
        let budget = RetryBudget::new(1);
        assert!(budget.withdraw());
        (0..4).for_each(|_| budget.deposit());
        assert!(!budget.withdraw());
        budget.deposit();
        assert!(budget.withdraw());
    }

    #[test]
    fn a_quiet_day_earns_no_more_than_one_burst() {
        let budget = RetryBudget::new(2);
        (0..1_000).for_each(|_| budget.deposit());
        assert_eq!([(); 3].map(|()| budget.withdraw()), [true, true, false]);
    }
}
