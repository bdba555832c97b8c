//! The most memory that a process had.

use std::fs;

/// Forgets the peak so far, so that the next one is that of the next row.
pub fn forget(process: u32) {
    // Not every kernel lets us; then the peak is that of all rows so far.
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// The peak of its resident memory, in MiB.
pub fn mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kib >> 10
}
