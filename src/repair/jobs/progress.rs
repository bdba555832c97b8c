//! How far a job is, how fast it goes, and how long it may still take.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Progress as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgressView {
    /// What is being done at the moment.
    pub phase: String,
    pub done: u64,
    /// `None` while nobody knows.
    pub total: Option<u64>,
    /// What is counted, such as `records`.
    pub unit: String,
    /// Since the counting began.
    pub rate_per_s: f64,
    /// At that rate; `None` while nobody knows.
    pub remaining_s: Option<f64>,
}

/// Told by the work, looked at by whoever wants to know.
#[derive(Debug)]
pub struct Progress {
    unit: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: String,
    done: u64,
    total: Option<u64>,
    began: Option<Instant>,
}

impl Progress {
    /// Nothing is done yet.
    #[must_use]
    pub fn new(unit: &'static str) -> Self {
        Self { unit, state: Mutex::default() }
    }

    /// Another part of the work begins.
    pub fn phase(&self, phase: impl Into<String>) {
        self.with(|state| state.phase = phase.into());
    }

    /// Another part of the work begins, which is counted by itself.
    pub fn anew(&self, phase: impl Into<String>) {
        self.with(|state| *state = State { phase: phase.into(), ..State::default() });
    }

    /// There is more to do.
    pub fn expect(&self, more: u64) {
        self.with(|state| {
            state.began.get_or_insert_with(Instant::now);
            state.total = Some(state.total.unwrap_or(0) + more);
        });
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        self.with(|state| state.done += by);
    }

    /// How far it is now.
    #[must_use]
    pub fn view(&self) -> ProgressView {
        self.with(|state| {
            let elapsed_s = state.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
            let mut view = estimate(state.done, state.total, elapsed_s);
            (view.phase, view.unit) = (state.phase.clone(), self.unit.to_owned());
            view
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn estimate(done: u64, total: Option<u64>, elapsed_s: f64) -> ProgressView {
    let rate_per_s = if elapsed_s > 0.0 { done as f64 / elapsed_s } else { 0.0 };
    let left = total.map(|total| total.saturating_sub(done));
    let remaining_s = match left {
        Some(0) => Some(0.0),
        Some(left) if rate_per_s > 0.0 => Some(left as f64 / rate_per_s),
        _ => None,
    };
    ProgressView { phase: String::new(), done, total, unit: String::new(), rate_per_s, remaining_s }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_tells_how_long_the_rest_takes() {
        let view = estimate(100, Some(400), 2.0);
        assert_eq!((view.rate_per_s, view.remaining_s), (50.0, Some(6.0)));
        assert_eq!(estimate(0, Some(400), 2.0).remaining_s, None);
        assert_eq!(estimate(5, None, 2.0).remaining_s, None);
        assert_eq!(estimate(400, Some(400), 0.0).remaining_s, Some(0.0));
    }
}
