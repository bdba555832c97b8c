//! Figures of the log for its operator.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::error::LogError;
use super::record::Lsn;

/// Commits by duration: bucket `n` counts those that took less than `2^n` microseconds and not less than
/// half of that; the last bucket takes the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CommitTimes {
    pub count: u64,
    pub total_us: u64,
    pub max_us: u64,
    pub buckets: [u64; 25],
}

impl CommitTimes {
    /// Adds one commit.
    pub fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count += 1;
        self.total_us = self.total_us.saturating_add(us);
        self.max_us = self.max_us.max(us);
        let bucket = (u64::BITS - us.leading_zeros()) as usize;
        self.buckets[bucket.min(self.buckets.len() - 1)] += 1;
    }
}

/// The log at a moment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WalStats {
    /// False while commits fail.
    pub available: bool,
    /// The last entry that is durable.
    pub durable_lsn: Lsn,
    /// Entries taken by `append` since the start, and those of them that became durable.
    pub appended_entries: u64,
    pub durable_entries: u64,
    /// Entries and bytes of bodies that wait for a commit.
    pub queued_entries: u64,
    pub queued_bytes: u64,
    /// Entries that are not finished, the bytes of their bodies, about the memory that they take, and when the first
    /// was accepted (Unix time in milliseconds).
    pub pending_entries: u64,
    pub pending_bytes: u64,
    pub pending_memory_bytes: u64,
    pub oldest_accepted_ms: Option<u64>,
    /// The last durable record, and the last that the checkpoint holds.
    pub durable_seq: u64,
    pub covered_seq: u64,
    pub segments: u64,
    /// Bytes of all files of the log and its checkpoint.
    pub disk_bytes: u64,
    /// Bytes that we may still write on the log's disk, if it says.
    pub free_bytes: Option<u64>,
    pub commits: CommitTimes,
}

/// Bytes of the plain files in a directory.
pub fn dir_bytes(dir: &Path) -> Result<u64, LogError> {
    let mut bytes = 0;
    for file in fs::read_dir(dir)? {
        // A file may go while we look.
        if let Ok(data) = file?.metadata()
            && data.is_file()
        {
            bytes += data.len();
        }
    }
    Ok(bytes)
}

/// Bytes left for us on the file system of a directory, if it says.
#[must_use]
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let figures = rustix::fs::statvfs(dir).ok()?;
    figures.f_bavail.checked_mul(figures.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_counted_in_the_bucket_of_its_power_of_two() {
        let mut times = CommitTimes::default();
        for us in [0, 1, 3, 4, 1 << 40] {
            times.add(Duration::from_micros(us));
        }
        assert_eq!((times.buckets[0], times.buckets[1], times.buckets[2], times.buckets[3]), (1, 1, 1, 1));
        assert_eq!((times.buckets[24], times.count, times.max_us), (1, 5, 1 << 40));
    }
}
