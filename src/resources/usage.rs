//! What this process uses, as the kernel counts it.

use std::fs;
use std::time::{Duration, SystemTime};

/// What this process uses, but for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUse {
    /// Time on any core since the start.
    pub cpu: Duration,
    /// Since the start.
    pub age: Duration,
    pub threads: u64,
    pub open_files: u64,
    /// `None` where there is no limit.
    pub max_files: Option<u64>,
}

impl ProcessUse {
    /// At this moment; zeros where the kernel does not tell. Reads a few small files.
    #[must_use]
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime_s: f64 = uptime.split_whitespace().next().and_then(|s| s.parse().ok()).unwrap_or_default();
        let ticks_per_s = rustix::param::clock_ticks_per_second().max(1) as f64;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        // The name before the last parenthesis may hold anything.
        let fields: Vec<u64> = stat.rsplit_once(')').map_or(Vec::new(), |(_, fields)| {
            fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect()
        });
        // As numbered in proc_pid_stat(5); the first of these is number 3.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default() as f64;
        let seconds = |ticks: f64| Duration::try_from_secs_f64(ticks / ticks_per_s).unwrap_or_default();
        Self {
            cpu: seconds(field(14) + field(15)),
            age: Duration::try_from_secs_f64(uptime_s).unwrap_or_default().saturating_sub(seconds(field(22))),
            threads: fields.get(20 - 3).copied().unwrap_or_default(),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            max_files: limit.current,
        }
    }

    /// When the process was started.
    #[must_use]
    pub fn started(&self) -> SystemTime {
        SystemTime::now() - self.age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_open_files_are_counted() {
        let before = ProcessUse::now();
        assert!(before.threads > 0 && before.open_files > 2, "{before:?}");
        assert!(before.max_files.is_none_or(|most| most >= before.open_files));
        let mut sum = 0_u64;
        while ProcessUse::now().cpu <= before.cpu {
            sum = (0..1_000_000).fold(sum, |sum, number| sum.wrapping_mul(31) + number);
        }
        let after = ProcessUse::now();
        assert!(after.age >= after.cpu / u32::try_from(after.threads).unwrap_or(1), "{sum} {after:?}");
    }
}
