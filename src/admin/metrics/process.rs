//! This process.

use std::fmt;
use std::time::UNIX_EPOCH;

use super::page::Page;
use crate::resources::{ProcessMemory, ProcessUse};

pub(super) fn write(page: &mut Page<'_>) -> fmt::Result {
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    page.gauge("build_info", "1, with what is running", [(version, 1_u64)])?;
    let (memory, used) = (ProcessMemory::now(), ProcessUse::now());
    page.number("process_resident_memory_bytes", "Memory in use", memory.resident_bytes)?;
    page.number("process_resident_memory_max_bytes", "The most memory that was in use", memory.peak_bytes)?;
    page.total("process_cpu_seconds", "Time on any core", used.cpu.as_secs_f64())?;
    page.number("process_threads", "Threads", used.threads)?;
    page.number("process_open_fds", "Open files and connections", used.open_files)?;
    let limit = used.max_files.into_iter().map(|files| (Vec::new(), files));
    page.gauge("process_max_fds", "Open files and connections at most", limit)?;
    let started = used.started().duration_since(UNIX_EPOCH).unwrap_or_default();
    page.number("process_start_time_seconds", "When it was started, as Unix time", started.as_secs_f64())
}
