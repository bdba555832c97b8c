//! The last comparison of all instances.

use std::fmt;

use super::Snapshot;
use super::page::Page;

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let Some(last) = &snapshot.status.verify else { return Ok(()) };
    let ended = [(Vec::new(), last.ended_s)];
    page.gauge("verify_last_end_seconds", "When the last comparison of all instances ended", ended)?;
    let verdicts = ["same", "incomplete", "different"];
    let verdicts = verdicts.map(|verdict| (vec![("verdict", verdict)], u64::from(verdict == last.verdict)));
    page.gauge("verify_last_verdict", "1 for what it said", verdicts)?;
    page.number("verify_last_records", "Records that it compared", last.records)?;
    page.number("verify_last_differences", "Differences that it found", last.differences)
}
