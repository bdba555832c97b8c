//! What Isochrome does for its users, measured against real Chroma servers, side by side in one run.
//!
//!     cargo bench --bench real [-- passing reads kept writes visibility failover queue rebuild]
//!
//! Instead of `writes`, single loads of that table can be named: `single-1`, `single-32`, `single-128`, `batch-100`,
//! `hot`, `collections`, `wrong`, `drain`.
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `ISOCHROME_BENCH_ROUNDS` | interleaved rounds of each load of the table of writes | 5 |
//! | `ISOCHROME_BENCH_ROUND_S` | seconds of one round of one subject | 3 |
//! | `ISOCHROME_BENCH_QUEUED` | writes that wait for an instance to return | 10000 |
//! | `ISOCHROME_BENCH_DRAIN_ROUNDS` | how often it returns | 3 |
//! | `ISOCHROME_BENCH_WRITES` | writes of the visibility table | 500 |
//! | `ISOCHROME_BENCH_FAILOVER_S` | seconds of load of one row of the failover table | 90 |
//! | `ISOCHROME_BENCH_READ_ROUNDS` | interleaved rounds of each row of the tables of reads | 5 |
//! | `ISOCHROME_BENCH_READ_ROUND_MS` | milliseconds of one round of one column there | 700 |
//! | `ISOCHROME_BENCH_QUEUE_MIB` | bodies queued for the table of the queue | 64 |
//! | `ISOCHROME_BENCH_QUEUE_LANES`, `_RECORDS`, `_DRAIN_S` | its collections, records of a write, seconds of draining | 1, 1, 5 |
//! | `ISOCHROME_BENCH_REBUILD_RECORDS` | records of the collection that is copied again | 20000 |
//! | `ISOCHROME_BENCH_REBUILD_BASE_S` | seconds of load before that | 20 |
//! | `ISOCHROME_BENCH_SUBJECTS` | subjects, with commas | all that a table has |
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a measurement prints, or stops loudly")]

#[path = "../../tests/support/mod.rs"]
mod support;

mod corpus;
mod drain;
mod failover;
mod peak;
mod proxy;
mod queue;
mod rate;
mod reads;
mod rebuild;
mod subject;
mod table;
mod upstream;
mod visibility;
mod work;
mod workload;
mod writes;

use std::env;
use std::str::FromStr;

/// A number from the environment.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let asked: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |table: &str| asked.is_empty() || asked.iter().any(|name| name == table);
    println!("{}", machine());
    if wanted("passing") {
        reads::pass_through().await;
    }
    if wanted("reads") {
        reads::real_servers().await;
    }
    if wanted("kept") {
        reads::kept_answers().await;
    }
    writes::measure(|row| wanted("writes") || wanted(row)).await;
    if wanted("writes") || wanted("drain") {
        drain::measure().await;
    }
    if wanted("visibility") {
        visibility::measure().await;
    }
    if wanted("failover") {
        failover::measure().await;
    }
    if wanted("queue") {
        queue::measure().await;
    }
    if wanted("rebuild") {
        rebuild::measure().await;
    }
}

/// What the numbers were measured on.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    format!("{cores} cores shared by servers, gateway and load; load average {load} at the start; {build}")
}
