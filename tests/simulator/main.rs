//! The pure core in a deterministic simulator: virtual time, model servers, clients, and faults.
//!
//! A seed tells one story from the first write to the end, when everything has healed and every server must hold the
//! same. The invariants are checked after every event. A story that fails says how it is told again.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise, and its numbers are small"
)]

mod check;
mod clients;
mod courier;
mod deadly;
mod errands;
mod history;
mod holds;
mod kept;
mod log;
mod model;
mod network;
mod plan;
mod reference;
mod rehearsal;
mod server;
mod shell;
mod trouble;
mod world;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn words(panic: &dyn Any) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(words), _) => words,
        (None, Some(words)) => words,
        (None, None) => "without words",
    }
}

/// `ISOCHROME_SEED=n` tells that story alone, with every event; `ISOCHROME_SEEDS=n` tells so many, from
/// `ISOCHROME_FIRST` on, and ends after `ISOCHROME_FAILURES` of them failed.
#[test]
fn every_story_keeps_the_invariants() {
    if let Some(seed) = number("ISOCHROME_SEED") {
        return World::new(seed, true).run();
    }
    let first = number("ISOCHROME_FIRST").unwrap_or(0);
    let seeds = number("ISOCHROME_SEEDS").unwrap_or(2_000);
    let most = number("ISOCHROME_FAILURES").unwrap_or(1);
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(0));
    let totals = Mutex::new(BTreeMap::<&str, u64>::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || failed.load(Ordering::Relaxed) >= most {
                        return;
                    }
                    let mut world = World::new(seed, false);
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("FAILED: {}", words(panic.as_ref()));
                        println!("to tell it again: ISOCHROME_SEED={seed} cargo test --test simulator -- --nocapture");
                    }
                    let mut totals = totals.lock().expect("no thread dies with the totals");
                    for (what, count) in &world.counters {
                        *totals.entry(what).or_default() += count;
                    }
                }
            });
        }
    });
    println!("{seeds} stories: {:?}", totals.into_inner().expect("no thread died with the totals"));
    assert_eq!(failed.into_inner(), 0, "stories failed; see above how to tell them again");
}
