//! How long to wait before a server is started again. Pure: the life that ended comes in.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);
/// A server that lived this long was well; what ended it is a new story.
const STABLE: Duration = Duration::from_secs(60);

/// Doubles the pause with every short life.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The pause after a life of this length.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= STABLE {
            self.next = FIRST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new();
        let pauses: Vec<Duration> = (0..8).map(|_| backoff.after(Duration::ZERO)).collect();
        assert_eq!(pauses[0], FIRST);
        assert_eq!(pauses[1], FIRST * 2);
        assert_eq!(pauses[7], LONGEST);
    }

    #[test]
    fn a_long_life_starts_over() {
        let mut backoff = Backoff::new();
        let _ = backoff.after(Duration::ZERO);
        let _ = backoff.after(STABLE / 2);
        assert_eq!(backoff.after(STABLE / 2), FIRST * 4);
        assert_eq!(backoff.after(STABLE), FIRST);
        assert_eq!(backoff.after(Duration::ZERO), FIRST * 2);
    }
}
