//! How far an instance is behind in a lane, in time.
//!
//! The *lag* is the age of the oldest committed write that a read could see and that the instance has not applied. A
//! write's age counts from the moment its verdict became durable in this process; of writes decided before the start it
//! is not known, and an unknown lag is longer than any.

use std::collections::VecDeque;

use super::lane::LaneState;
use super::pending::{Effect, Pending};
use crate::chroma::ids::InstanceId;
use crate::wal::record::{Lsn, Op};

/// Entries looked at for one read and instance.
pub(super) const LOOKED_AT: usize = 512;
/// Verdicts closer together than this, in milliseconds, share a mark.
const STEP_MS: u64 = 10;
/// Marks that a lane has at most; thinning leaves fewer than 300 for a day.
const MOST_MARKS: usize = 512;
/// Thinning leaves no marks further apart than this part of their age, so that no age gets longer by more.
const PRECISION: u64 = 8;

/// When the verdicts of a lane became durable: exact for fresh ones, coarser the older they are. Never makes a verdict
/// younger than it is.
#[derive(Clone, Debug, Default)]
pub struct Ages {
    /// From this entry on verdicts became durable at this time or later.
    marks: VecDeque<(Lsn, u64)>,
}

impl Ages {
    /// Notes that an entry's verdict became durable; entries come in order.
    pub(super) fn note(&mut self, lsn: Lsn, now_ms: u64) {
        if self.marks.back().is_some_and(|(_, last_ms)| now_ms < last_ms + STEP_MS) {
            return;
        }
        if self.marks.len() == MOST_MARKS {
            self.thin(now_ms);
        }
        self.marks.push_back((lsn, now_ms));
    }

    /// Forgets what tells of nothing but finished entries.
    pub(super) fn forget(&mut self, finished: Lsn) {
        while self.marks.get(1).is_some_and(|(from, _)| from.0 <= finished.0 + 1) {
            self.marks.pop_front();
        }
    }

    /// Age of a durable verdict in milliseconds; `None` where it was there at the start.
    pub(super) fn age_ms(&self, lsn: Lsn, now_ms: u64) -> Option<u64> {
        let after = self.marks.partition_point(|(from, _)| *from <= lsn);
        let (_, at_ms) = self.marks.get(after.checked_sub(1)?)?;
        Some(now_ms.saturating_sub(*at_ms))
    }

    /// Drops marks whose neighbours are close to each other for their age.
    fn thin(&mut self, now_ms: u64) {
        let mut kept = VecDeque::new();
        let mut next_ms = now_ms;
        for (place, mark) in self.marks.iter().enumerate().rev() {
            let before = place.checked_sub(1).and_then(|before| self.marks.get(before));
            let needless = before.is_some_and(|(_, ms)| next_ms - ms <= (now_ms - next_ms) / PRECISION);
            if !needless {
                kept.push_front(*mark);
                next_ms = mark.1;
            }
        }
        self.marks = kept;
    }
}

/// What of a lane a read can see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    /// Sorted hashes of ids, where it sees only their records.
    pub ids: Option<&'a [u64]>,
    /// It sees what schema entries change, and no records.
    pub schema_only: bool,
}

/// True where an instance's lag in a lane is shorter than `most_ms`, which no instance is that misses anything where
/// `most_ms` is 0.
pub(super) fn is_within(
    lane: &LaneState,
    instance: InstanceId,
    sight: Sight<'_>,
    most_ms: u64,
    now_ms: u64,
) -> bool {
    let applied = lane.at[instance.index()].applied;
    let oldest = if sight.schema_only {
        oldest_missing(lane.others_after(applied).filter(|entry| !entry.is(&Op::DeleteWhere)), lane, sight)
    } else {
        oldest_missing(lane.entries.range(lane.index_after(applied)..), lane, sight)
    };
    oldest.is_none_or(|lsn| lane.ages.age_ms(lsn, now_ms).is_some_and(|age_ms| age_ms < most_ms))
}

/// The first committed entry that can be seen, or the first that is too far away to be looked at: all after it is
/// younger.
fn oldest_missing<'a>(
    missing: impl Iterator<Item = &'a Pending>,
    lane: &LaneState,
    sight: Sight<'_>,
) -> Option<Lsn> {
    let counts = |entry: &Pending| {
        matches!(entry.effect(), Effect::Apply | Effect::FixDimension(_))
            && sight.ids.is_none_or(|ids| entry.touches(ids))
    };
    let mut decided = missing.take_while(|entry| entry.lsn <= lane.decided).enumerate();
    decided.find(|(place, entry)| *place >= LOOKED_AT || counts(entry)).map(|(_, entry)| entry.lsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_before_the_start_has_no_age() {
        let mut ages = Ages::default();
        assert_eq!(ages.age_ms(Lsn(5), 100), None);
        ages.note(Lsn(6), 100);
        assert_eq!(ages.age_ms(Lsn(5), 150), None);
        assert_eq!(ages.age_ms(Lsn(6), 150), Some(50));
        assert_eq!(ages.age_ms(Lsn(9), 150), Some(50), "later ones are not older");
    }

    #[test]
    fn marks_are_few_and_never_make_a_verdict_younger_nor_much_older() {
        let mut ages = Ages::default();
        let (mut now_ms, mut noted) = (0, Vec::new());
        for (lsn, pause_ms) in (1..60_000).zip([1, 3, 40, 900].into_iter().cycle()) {
            now_ms += pause_ms;
            ages.note(Lsn(lsn), now_ms);
            noted.push(now_ms);
            assert!(ages.marks.len() <= MOST_MARKS);
        }
        for (index, at_ms) in noted.iter().enumerate() {
            let (age_ms, told_ms) = (now_ms - at_ms, ages.age_ms(Lsn(index as u64 + 1), now_ms));
            let told_ms = told_ms.expect("all were decided since the start");
            let longest_ms = age_ms + age_ms / 7 + 2 * 944;
            assert!((age_ms..=longest_ms).contains(&told_ms), "{told_ms} instead of {age_ms}");
        }
        ages.forget(Lsn(59_990));
        assert!(ages.marks.len() < 8 && ages.age_ms(Lsn(59_991), now_ms).is_some());
    }
}
