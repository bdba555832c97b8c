//! What one instance has to do for readers, and how much more it can take.
//!
//! A pure machine like the [`Breaker`] in it: what happened and the time come in as arguments.

use super::breaker::{Breaker, Ended, Phase};

/// Weight of a new measurement in the running mean of times to answer.
const NEW: f64 = 0.1;
/// A mean without new measurements halves in this time, so that a slow instance is tried again.
const HALF_LIFE_MS: f64 = 5_000.0;
/// The share of reads that an instance begins with when it comes back.
const FIRST_SHARE: f64 = 0.1;

/// The load of one instance.
#[derive(Clone, Debug, Default)]
pub struct Load {
    breaker: Breaker,
    in_flight: u32,
    /// Running mean of the time to answer.
    mean_us: f64,
    measured_ms: u64,
    /// When it came back; it takes its full share of reads only some time later. `None` while it never was away.
    returned_ms: Option<u64>,
    /// It has proved itself once.
    known: bool,
    slow_start_ms: u64,
}

/// What an instance can take at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// False while reads fail there.
    pub admits: bool,
    /// Share of the reads that it should get, in (0, 1]; less than 1 shortly after it came back.
    pub share: f64,
    /// Reads under way there.
    pub in_flight: u32,
    /// How long one more read would take there, by what is under way and how long answers took.
    pub expected_us: f64,
}

/// The load at a moment, for people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadView {
    pub phase: Phase,
    /// How often its breaker opened.
    pub trips: u64,
    pub in_flight: u32,
    /// Running mean of the time to answer.
    pub mean_us: f64,
    pub share: f64,
}

impl Load {
    /// An instance that takes its full share this long after it came back.
    #[must_use]
    pub fn new(slow_start_ms: u64) -> Self {
        Self { slow_start_ms, ..Self::default() }
    }

    /// What it can take now.
    #[must_use]
    pub fn offer(&self, now_ms: u64) -> Offer {
        Offer {
            admits: self.breaker.admits(now_ms),
            share: self.share(now_ms),
            in_flight: self.in_flight,
            expected_us: f64::from(self.in_flight + 1) * self.mean_us(now_ms),
        }
    }

    /// A read is sent there.
    pub fn sent(&mut self, now_ms: u64) {
        self.breaker.sent(now_ms);
        self.in_flight += 1;
    }

    /// A read that was sent there ended after this time.
    pub fn ended(&mut self, now_ms: u64, took_us: u64, how: Ended) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.breaker.ended(now_ms, how);
        if how == Ended::Answered {
            let before_us = self.mean_us(now_ms);
            let new = if self.measured_ms == 0 { 1.0 } else { NEW };
            self.mean_us = before_us + new * (took_us as f64 - before_us);
            self.measured_ms = now_ms.max(1);
        }
    }

    /// The instance proved itself, for the first time or after it had been away. At a start all are alike, and shares
    /// that grow would only move queries between them.
    pub fn returned(&mut self, now_ms: u64) {
        self.breaker.close();
        self.returned_ms = std::mem::replace(&mut self.known, true).then_some(now_ms);
        self.mean_us = 0.0;
        self.measured_ms = 0;
    }

    /// The load now.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> LoadView {
        LoadView {
            phase: self.breaker.phase(now_ms),
            trips: self.breaker.trips(),
            in_flight: self.in_flight,
            mean_us: self.mean_us(now_ms),
            share: self.share(now_ms),
        }
    }

    fn share(&self, now_ms: u64) -> f64 {
        let Some(since_ms) = self.returned_ms.map(|returned_ms| now_ms.saturating_sub(returned_ms)) else {
            return 1.0;
        };
        if since_ms >= self.slow_start_ms {
            return 1.0;
        }
        FIRST_SHARE + (1.0 - FIRST_SHARE) * since_ms as f64 / self.slow_start_ms as f64
    }

    fn mean_us(&self, now_ms: u64) -> f64 {
        let idle_ms = now_ms.saturating_sub(self.measured_ms) as f64;
        self.mean_us * (-idle_ms / HALF_LIFE_MS).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_came_back_takes_its_full_share_by_and_by() {
        let mut load = Load::new(10_000);
        load.returned(0);
        assert_eq!(load.offer(0).share.to_bits(), 1.0_f64.to_bits(), "it was not away yet");
        load.returned(5_000);
        let shares: Vec<f64> = [5_000, 10_000, 15_000, 60_000].map(|at| load.offer(at).share).to_vec();
        assert_eq!(shares, [0.1, 0.55, 1.0, 1.0]);
        assert_eq!(Load::new(0).offer(0).share.to_bits(), 1.0_f64.to_bits(), "no slow start, no ramp");
    }

    #[test]
    fn more_under_way_and_slower_answers_make_a_longer_expected_time() {
        let mut load = Load::new(0);
        load.sent(1);
        load.ended(2, 1_000, Ended::Answered);
        let alone = load.offer(2).expected_us;
        load.sent(2);
        load.sent(2);
        assert!((load.offer(2).expected_us - 3.0 * alone).abs() < 1.0);
        load.ended(3, 9_000, Ended::Answered);
        load.ended(3, 0, Ended::Abandoned);
        assert!(load.offer(3).expected_us > alone);
        assert_eq!(load.view(3).in_flight, 0);
    }

    #[test]
    fn a_slow_one_that_is_asked_nothing_is_tried_again_in_time() {
        let mut load = Load::new(0);
        load.sent(1);
        load.ended(1_000, 1_000_000, Ended::Answered);
        assert!(load.offer(60_000).expected_us < 1_000.0);
    }

    #[test]
    fn failures_count_for_the_breaker_and_not_for_the_mean() {
        let mut load = Load::new(0);
        for _ in 0..5 {
            load.sent(10);
            load.ended(10, 1, Ended::Failed);
        }
        assert!(!load.offer(10).admits);
        assert_eq!(load.view(10).trips, 1);
        load.returned(11);
        assert!(load.offer(11).admits);
        assert_eq!(load.view(11).mean_us.to_bits(), 0.0_f64.to_bits());
    }
}
