//! The log.

use std::fmt;

use super::Snapshot;
use super::page::Page;
use crate::metrics::HistogramView;
use crate::wal::WalStats;

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let status = &snapshot.status;
    page.number(
        "suspects",
        "Writes without a verdict under which an instance died or stopped writing",
        status.suspects.len() as u64,
    )?;
    page.number(
        "poisoned",
        "Writes that were withdrawn because instances did not survive them, and are kept",
        status.poisoned.len() as u64,
    )?;
    page.number(
        "refused",
        "Committed writes that the last instance which has their collection goes on refusing",
        status.refused.len() as u64,
    )?;
    page.number(
        "fenced",
        "1 while nothing is read or written because another Isochrome may be writing",
        u64::from(status.fenced.is_some()),
    )?;
    page.number("epoch", "The epoch that this process took", status.epoch)?;
    page.number("undecided_writes", "Writes without a verdict", status.undecided_writes as u64)?;
    let slowed = status.slowed.iter();
    page.gauge(
        "acknowledgement_delay_seconds",
        "How long acknowledgements wait at most for the instance that lags",
        slowed.map(|slowed| (vec![("instance", slowed.instance.as_str())], slowed.delay_ms as f64 / 1e3)),
    )?;
    let Some(log) = snapshot.log() else {
        return Ok(());
    };
    page.number("wal_available", "1 while the log can be written", u64::from(log.available))?;
    positions(page, log, status.oldest_undecided.map(|lsn| lsn.0))?;
    page.number("wal_pending_entries", "Entries that not every instance has applied", log.pending_entries)?;
    page.number("wal_pending_bytes", "Bytes of their bodies", log.pending_bytes)?;
    page.number("wal_queued_entries", "Entries that wait for a commit", log.queued_entries)?;
    page.number("wal_queued_bytes", "Bytes of bodies that wait for a commit", log.queued_bytes)?;
    page.number("wal_segments", "Files of the log", log.segments)?;
    page.number("wal_disk_bytes", "Bytes of all files of the log", log.disk_bytes)?;
    let free = log.free_bytes.into_iter().map(|bytes| (Vec::new(), bytes));
    page.gauge("wal_disk_free_bytes", "Bytes that can still be written on the log's disk", free)?;
    page.durations(
        "wal_commit_duration_seconds",
        "How long commits of the log took",
        [(Vec::new(), commits(log))],
    )?;
    let groups = snapshot.app.replication.log_groups();
    page.sizes("wal_commit_records", "Records that shared a commit", [(Vec::new(), groups)])
}

fn positions(page: &mut Page<'_>, log: &WalStats, oldest_undecided: Option<u64>) -> fmt::Result {
    let durable = log.durable_lsn.0;
    page.number("wal_appended_lsn", "The last entry that was taken", durable + log.queued_entries)?;
    page.number("wal_durable_lsn", "The last entry that is on disk", durable)?;
    let decided = oldest_undecided.map_or(durable, |lsn| lsn.saturating_sub(1));
    page.number("wal_decided_lsn", "Every entry up to this one has its verdict", decided)
}

/// The log counts by powers of two itself.
fn commits(log: &WalStats) -> HistogramView {
    let times = &log.commits;
    let (last, all_but_last) = times.buckets.split_last().unwrap_or((&0, &[]));
    let buckets = all_but_last.iter().zip(0..).map(|(count, power)| (1_u64 << power, *count)).collect();
    HistogramView { buckets, larger: *last, sum: times.total_us }
}
