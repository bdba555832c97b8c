//! Cores and memory, and what follows from them.

use std::fs;

use crate::config::ResourcesConfig;

/// The share of the machine's memory that we use where nothing is configured: Chroma shares the machine.
const SHARE: u64 = 4;
/// The least that is worth starting with.
const LEAST_BYTES: u64 = 256 << 20;

/// How much we may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub memory_bytes: u64,
    /// Threads of the runtime, and of the pool for computation.
    pub workers: usize,
}

impl Budget {
    /// From the configuration, else from the control group or the machine.
    #[must_use]
    pub fn of(config: &ResourcesConfig) -> Self {
        let memory_bytes = match config.max_memory_mb {
            Some(megabytes) => megabytes << 20,
            None => (machine_memory_bytes() / SHARE).max(LEAST_BYTES),
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = config.max_workers.and_then(|workers| usize::try_from(workers).ok()).unwrap_or(cores);
        Self { memory_bytes, workers: workers.max(1) }
    }

    /// Bodies kept in memory so that they need not be read back from the log.
    #[must_use]
    pub fn body_cache_bytes(&self) -> usize {
        usize::try_from(self.memory_bytes / 8).unwrap_or(usize::MAX)
    }

    /// Bodies that wait for the log's commit.
    #[must_use]
    pub fn log_queue_bytes(&self) -> usize {
        usize::try_from(self.memory_bytes / 4).unwrap_or(usize::MAX).max(64 << 20)
    }
}

/// The smaller of the control group's limit and the machine's memory.
fn machine_memory_bytes() -> u64 {
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
    group.into_iter().chain(machine).min().unwrap_or(LEAST_BYTES * SHARE)
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_wins_over_the_machine() {
        let budget = Budget::of(&ResourcesConfig { max_memory_mb: Some(400), max_workers: Some(3) });
        assert_eq!(budget, Budget { memory_bytes: 400 << 20, workers: 3 });
    }

    #[test]
    fn a_machine_tells_its_memory_in_kib() {
        assert_eq!(total_bytes("MemFree: 1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
    }
}
