//! Every call of the file system that the log makes fails once: SQLite's, through a layer over its file system, and the
//! log's own. After each the log refuses clearly or goes on; nothing acknowledged is lost, nothing refused is there, no
//! thread panics, and it can be written again. The same holds of what would be left on the disk if the power went after
//! the story, or at any call of it: what was synced, and of the rest some or nothing.
//!
//! The story is told with the first call failing, then the second, and so on, until one is told to its end without
//! reaching the call. `cargo test` takes about one call in `ISOCHROME_EVERY` (`make faults`: all of them), beginning where
//! `ISOCHROME_SEED` says; `ISOCHROME_AT` is one call alone.
//!
//! A segment that is made ready has a thread of its own, so that its calls are counted by themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed expectation is the test's verdict, and a test tells what it did"
)]

mod disk;
mod story;

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use faults::{Fault, Gate};
use isochrome::wal::disk::replace;

static PANICKED: AtomicBool = AtomicBool::new(false);

/// Puts the faulty disk in place and notes a panic of the log's threads, which the log survives without a word.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        assert!(replace(Box::new(disk::FaultyDisk)).is_ok(), "the disk is in use already");
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name().is_some_and(|name| name.starts_with("wal-")) {
                PANICKED.store(true, Ordering::SeqCst);
            }
            tell(panic);
        }));
    });
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn fail_one_after_the_other(fault: Fault) {
    let calls = fail_each(fault, "", number("ISOCHROME_EVERY").unwrap_or(12));
    assert!(calls > 100, "the story makes only {calls} calls");
}

/// Fails about one call in `every` on files with `only` in their name; gives about how many there are.
fn fail_each(fault: Fault, only: &'static str, every: u64) -> u64 {
    prepare();
    let seed = number("ISOCHROME_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    if let Some(at) = number("ISOCHROME_AT") {
        assert!(fails_at(fault, only, at, &mut random), "the story makes fewer calls");
        return u64::MAX;
    }
    let (mut at, mut failed) = (0, 0);
    loop {
        // On average one in `every`.
        at += random.u64(1..2 * every);
        if !fails_at(fault, only, at, &mut random) {
            break;
        }
        failed += 1;
    }
    eprintln!("{fault:?}: {failed} calls failed, of less than {at} (ISOCHROME_SEED={seed})");
    at
}

/// Tells the story with this call failing; false where there is no such call.
fn fails_at(fault: Fault, only: &'static str, at: u64, random: &mut fastrand::Rng) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::over(dir.path());
    gate.set_on(only, fault, at);
    let told = story::tell(dir.path(), &gate, !only.is_empty());
    assert!(!PANICKED.load(Ordering::SeqCst), "a thread of the log panicked");
    let Some(call) = gate.failed() else { return false };
    eprintln!("{call}");
    // What the disk would hold now without power; in the dark, that is all there is.
    let disk = tempfile::tempdir().unwrap();
    let left = random.u8(0..=2);
    gate.restore(disk.path(), || random.u8(0..2) < left).unwrap();
    told.clone().judge(disk.path(), &Gate::over(disk.path()), &format!("{call}, and without power after it"));
    if fault != Fault::Power {
        gate.open();
        told.judge(dir.path(), &gate, &call);
    }
    true
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes_at_any_call() {
    fail_one_after_the_other(Fault::Power);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_call_fails_with_eio() {
    fail_one_after_the_other(Fault::Io);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_call_finds_no_space() {
    fail_one_after_the_other(Fault::Full);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_call_does_half_of_its_work() {
    fail_one_after_the_other(Fault::Short);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_call_does_its_work_and_fails() {
    fail_one_after_the_other(Fault::Torn);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_call_on_a_segment_that_is_made_ready_fails() {
    for fault in [Fault::Power, Fault::Io, Fault::Full, Fault::Short, Fault::Torn] {
        let calls = fail_each(fault, story::SPARE, number("ISOCHROME_EVERY").unwrap_or(4));
        assert!(calls > 10, "{fault:?}: only {calls} calls");
    }
}
