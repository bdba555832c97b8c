//! Cores and memory, and what follows from them.

mod usage;

use std::fs;

pub use usage::ProcessUse;

use crate::config::ResourcesConfig;

/// The share of the machine's memory that we use where nothing is configured: Chroma shares the machine.
const SHARE: u64 = 4;
/// The least that is worth starting with.
const LEAST_BYTES: u64 = 256 << 20;

/// The most that goes to kept answers where nothing is configured.
const MOST_KEPT_BYTES: u64 = 64 << 20;

/// How much we may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub memory_bytes: u64,
    /// Threads for clients, of the runtime for all else, and of the pool for computation.
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

    /// These bytes as a share of the memory that we may use.
    #[must_use]
    pub fn percent(&self, bytes: u64) -> f64 {
        bytes as f64 * 100.0 / self.memory_bytes.max(1) as f64
    }

    /// Bodies kept in memory so that they need not be read back from the log.
    #[must_use]
    pub fn body_cache_bytes(&self) -> usize {
        usize::try_from(self.memory_bytes / 8).unwrap_or(usize::MAX)
    }

    /// Writes that wait for instances, without their bodies. At the limit new ones are refused.
    #[must_use]
    pub fn queue_bytes(&self) -> u64 {
        self.memory_bytes / 2
    }

    /// Answers that are kept to be given again: what is configured, else a share that leaves the most to writes.
    #[must_use]
    pub fn kept_answers_bytes(&self, configured: Option<u64>) -> u64 {
        configured.unwrap_or_else(|| (self.memory_bytes / 8).min(MOST_KEPT_BYTES))
    }

    /// Bodies that wait for the log's commit.
    #[must_use]
    pub fn log_queue_bytes(&self) -> usize {
        usize::try_from(self.memory_bytes / 4).unwrap_or(usize::MAX).max(64 << 20)
    }
}

/// Lets the process open as many files as the system lets it; how many that is.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // A hard limit of none is more than anybody needs.
    let wanted = limit.maximum.unwrap_or(1 << 20).min(1 << 20);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    if raised.is_ok() { wanted } else { current }
}

/// What this process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    pub resident_bytes: u64,
    pub peak_bytes: u64,
}

impl ProcessMemory {
    /// As the kernel counts it at this moment; zeros where it does not tell.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |name| kib_line(&status, name).unwrap_or_default();
        Self { resident_bytes: bytes("VmRSS:"), peak_bytes: bytes("VmHWM:") }
    }
}

/// The smaller of the control group's limit and the machine's memory.
fn machine_memory_bytes() -> u64 {
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_line(&text, "MemTotal:"));
    group.into_iter().chain(machine).min().unwrap_or(LEAST_BYTES * SHARE)
}

/// A line of `/proc/meminfo` or `/proc/self/status`, which count in KiB, in bytes.
fn kib_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
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
    fn the_process_uses_some_memory_and_never_more_than_its_peak() {
        let used = ProcessMemory::now();
        assert!(used.resident_bytes > 0 && used.resident_bytes <= used.peak_bytes, "{used:?}");
    }

    #[test]
    fn a_machine_tells_its_memory_in_kib() {
        assert_eq!(kib_line("MemFree: 1 kB\nMemTotal:       2048 kB\n", "MemTotal:"), Some(2 << 20));
        assert_eq!(kib_line("MemFree: 1 kB\n", "MemTotal:"), None);
    }
}
