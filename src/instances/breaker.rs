//! Keeps reads away from an instance that fails them, before its watch has noticed.
//!
//! Closed: reads go there. Open: they don't, after [`TRIP_AFTER`] failures in a row, for a pause. Half open: when the
//! pause is over, one read at a time goes there; its answer closes the breaker, its failure doubles the pause.
//! A pure machine: what happened and the time come in as arguments.

/// Failures in a row after which no more reads are sent.
const TRIP_AFTER: u32 = 5;
/// First and longest pause.
const PAUSE_MS: (u64, u64) = (200, 5_000);

/// How a read at an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an answer, whatever it says.
    Answered,
    /// Without one, or with one that says only that the server can't answer now.
    Failed,
    /// Nobody waits for it any more.
    Abandoned,
}

/// What a breaker does, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Closed,
    Open,
    HalfOpen,
}

impl Phase {
    /// The word that operators see.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failed_in_a_row: u32 },
    Open { until_ms: u64 },
    Probing,
}

/// The breaker of one instance.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    /// The pause that the next trip begins with.
    pause_ms: u64,
    trips: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { failed_in_a_row: 0 }, pause_ms: PAUSE_MS.0, trips: 0 }
    }
}

impl Breaker {
    /// Whether a read may be sent now.
    #[must_use]
    pub fn admits(&self, now_ms: u64) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until_ms } => now_ms >= until_ms,
            State::Probing => false,
        }
    }

    /// A read is sent. Where no other instance could take it, it is sent though the breaker does not admit it.
    pub fn sent(&mut self, now_ms: u64) {
        if matches!(self.state, State::Open { until_ms } if now_ms >= until_ms) {
            self.state = State::Probing;
        }
    }

    /// A read ended.
    pub fn ended(&mut self, now_ms: u64, how: Ended) {
        match (how, self.state) {
            (Ended::Answered, _) => self.close(),
            (Ended::Failed, State::Closed { failed_in_a_row }) if failed_in_a_row + 1 < TRIP_AFTER => {
                self.state = State::Closed { failed_in_a_row: failed_in_a_row + 1 };
            }
            (Ended::Failed, State::Closed { .. } | State::Probing) => self.open(now_ms),
            (Ended::Abandoned, State::Probing) => self.state = State::Open { until_ms: now_ms },
            (Ended::Failed, State::Open { .. }) | (Ended::Abandoned, _) => {}
        }
    }

    /// The instance proved itself anew: what was before says nothing about it.
    pub fn close(&mut self) {
        self.state = State::Closed { failed_in_a_row: 0 };
        self.pause_ms = PAUSE_MS.0;
    }

    /// What it does now.
    #[must_use]
    pub fn phase(&self, now_ms: u64) -> Phase {
        match self.state {
            State::Closed { .. } => Phase::Closed,
            State::Open { until_ms } if now_ms < until_ms => Phase::Open,
            State::Open { .. } | State::Probing => Phase::HalfOpen,
        }
    }

    /// How often it opened.
    #[must_use]
    pub fn trips(&self) -> u64 {
        self.trips
    }

    fn open(&mut self, now_ms: u64) {
        self.state = State::Open { until_ms: now_ms + self.pause_ms };
        self.pause_ms = (self.pause_ms * 2).min(PAUSE_MS.1);
        self.trips += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(breaker: &mut Breaker, now_ms: u64, times: u32) {
        for _ in 0..times {
            breaker.sent(now_ms);
            breaker.ended(now_ms, Ended::Failed);
        }
    }

    fn tripped() -> Breaker {
        let mut breaker = Breaker::default();
        failed(&mut breaker, 0, TRIP_AFTER);
        breaker
    }

    fn probing() -> Breaker {
        let mut breaker = tripped();
        breaker.sent(PAUSE_MS.0);
        breaker
    }

    #[test]
    fn closed_stays_closed_below_the_limit() {
        let mut breaker = Breaker::default();
        failed(&mut breaker, 0, TRIP_AFTER - 1);
        assert!(breaker.admits(0));
        assert_eq!(breaker.phase(0), Phase::Closed);
    }

    #[test]
    fn an_answer_forgets_failures() {
        let mut breaker = Breaker::default();
        failed(&mut breaker, 0, TRIP_AFTER - 1);
        breaker.ended(0, Ended::Answered);
        failed(&mut breaker, 0, TRIP_AFTER - 1);
        assert_eq!(breaker.phase(0), Phase::Closed);
    }

    #[test]
    fn closed_opens_at_the_limit() {
        let breaker = tripped();
        assert!(!breaker.admits(PAUSE_MS.0 - 1));
        assert_eq!((breaker.phase(0), breaker.trips()), (Phase::Open, 1));
    }

    #[test]
    fn open_becomes_half_open_after_the_pause_for_one_read() {
        let mut breaker = tripped();
        assert!(breaker.admits(PAUSE_MS.0));
        breaker.sent(PAUSE_MS.0);
        assert!(!breaker.admits(PAUSE_MS.0), "one at a time");
        assert_eq!(breaker.phase(PAUSE_MS.0), Phase::HalfOpen);
    }

    #[test]
    fn half_open_closes_by_an_answer_and_forgets_the_pause() {
        let mut breaker = probing();
        breaker.ended(PAUSE_MS.0, Ended::Answered);
        assert_eq!(breaker.phase(PAUSE_MS.0), Phase::Closed);
        failed(&mut breaker, 1_000, TRIP_AFTER);
        assert!(breaker.admits(1_000 + PAUSE_MS.0));
    }

    #[test]
    fn half_open_opens_by_a_failure_for_twice_as_long() {
        let mut breaker = probing();
        breaker.ended(PAUSE_MS.0, Ended::Failed);
        assert!(!breaker.admits(PAUSE_MS.0 + 2 * PAUSE_MS.0 - 1));
        assert!(breaker.admits(PAUSE_MS.0 + 2 * PAUSE_MS.0));
    }

    #[test]
    fn the_pause_has_an_upper_end() {
        let (mut breaker, mut now_ms) = (tripped(), 0);
        for _ in 0..20 {
            now_ms += PAUSE_MS.1;
            assert!(breaker.admits(now_ms));
            failed(&mut breaker, now_ms, 1);
        }
    }

    #[test]
    fn half_open_lets_another_try_when_nobody_waited_for_the_first() {
        let mut breaker = probing();
        breaker.ended(PAUSE_MS.0, Ended::Abandoned);
        assert!(breaker.admits(PAUSE_MS.0));
    }

    #[test]
    fn abandoned_reads_say_nothing_while_closed_or_open() {
        let mut breaker = Breaker::default();
        failed(&mut breaker, 0, TRIP_AFTER - 1);
        breaker.ended(0, Ended::Abandoned);
        assert_eq!(breaker.phase(0), Phase::Closed);
        failed(&mut breaker, 0, 1);
        breaker.ended(0, Ended::Abandoned);
        assert_eq!(breaker.phase(0), Phase::Open);
    }

    #[test]
    fn open_closes_by_an_answer_to_a_read_that_had_nowhere_else_to_go() {
        let mut breaker = tripped();
        breaker.sent(1);
        breaker.ended(1, Ended::Answered);
        assert!(breaker.admits(1));
    }

    #[test]
    fn open_is_not_prolonged_by_late_failures() {
        let mut breaker = tripped();
        breaker.ended(PAUSE_MS.0 - 1, Ended::Failed);
        assert!(breaker.admits(PAUSE_MS.0));
    }

    #[test]
    fn any_phase_closes_when_the_instance_proved_itself() {
        for mut breaker in [tripped(), probing()] {
            breaker.close();
            assert_eq!(breaker.phase(1), Phase::Closed);
        }
    }
}
