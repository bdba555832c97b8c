//! Times as operators read them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// ISO 8601, in UTC, to the millisecond.
pub(super) fn iso(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// The same for a Unix time in milliseconds.
pub(super) fn iso_ms(unix_ms: u64) -> String {
    iso(UNIX_EPOCH + Duration::from_millis(unix_ms))
}

/// When a moment of the steady clock was, by the wall clock of now.
pub(super) fn wall(moment: Instant) -> SystemTime {
    SystemTime::now() - moment.elapsed()
}

/// How long ago a Unix time in milliseconds was; zero where the clock went back since.
pub(super) fn age_ms(unix_ms: u64) -> u64 {
    let then = UNIX_EPOCH + Duration::from_millis(unix_ms);
    let age = SystemTime::now().duration_since(then).unwrap_or_default();
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(iso_ms(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }
}
