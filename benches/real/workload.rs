//! The kinds of write load, each with what is wanted of it.

use std::time::Duration;

use crate::subject::Subject;
use crate::support::compare::Comparer;
use crate::support::load::{Job, Kind, Load, Report};
use crate::work::Work;

/// One row of the table of writes.
pub struct Workload {
    /// By which an argument chooses it.
    pub name: &'static str,
    pub title: &'static str,
    pub clients: usize,
    /// Records in a request.
    pub records: u64,
    collections: u64,
    make: fn(&Work, u64) -> Job,
    pub wanted: Wanted,
}

/// What is wanted, against a Chroma server without us.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// At least this share of its records a second.
    Rate(f64),
    /// At most this much more time to answer than it takes.
    Latency { times: f64, plus_ms: f64 },
}

/// The ids that many clients write again and again.
const HOT_IDS: u64 = 8;
/// One in so many writes has the wrong dimension.
const WRONG_EVERY: u64 = 20;
const INTO_ONE: fn(&Work, u64) -> Job = |work, number| work.add(number);

/// All of them.
pub const WORKLOADS: [Workload; 7] = [
    Workload {
        wanted: Wanted::Latency { times: 1.5, plus_ms: 1.0 },
        ..adds("single-1", "1 client, single adds", 1, 4.0)
    },
    adds("single-32", "32 clients, single adds", 32, 4.0),
    adds("single-128", "128 clients, single adds", 128, 7.0),
    Workload {
        records: 100,
        make: |work, number| work.add_many(number, 100),
        ..adds("batch-100", "8 clients, adds of 100", 8, 0.5)
    },
    Workload {
        make: |work, number| work.upsert(number % HOT_IDS, number),
        ..adds("hot", "128 clients, upserts of 8 ids", 128, 1.0)
    },
    Workload { collections: 64, ..adds("collections", "64 clients, adds to 64 collections", 64, 1.0) },
    Workload {
        make: |work, number| match number % WRONG_EVERY {
            WRONG => work.add_wrong(number),
            _ => work.add(number),
        },
        ..adds("wrong", "32 clients, adds, 5 % of a wrong dimension", 32, 1.0)
    },
];
/// Not the first, which may fix the dimension.
const WRONG: u64 = WRONG_EVERY - 1;

const fn adds(name: &'static str, title: &'static str, clients: usize, of_direct: f64) -> Workload {
    Workload {
        name,
        title,
        clients,
        records: 1,
        collections: 1,
        make: INTO_ONE,
        wanted: Wanted::Rate(of_direct),
    }
}

/// What a round of one subject showed.
pub struct Round {
    pub report: Report,
    /// From the last answer until all its servers were the same.
    pub settled: Duration,
    /// The gateway's highest memory since the round began, where there is one.
    pub peak_mib: Option<u64>,
}

impl Workload {
    /// Loads the subject for a time, waits until its servers are the same, and drops what was written.
    pub async fn round(&self, subject: &Subject, number: u64, time: Duration) -> Round {
        let mut works = Vec::new();
        for collection in 0..self.collections {
            let name = format!("{}-{number}-{collection}", self.name);
            works.push(Work::on_new_collection(&subject.url, &name).await);
        }
        for work in &works {
            // Fixes the dimension, and shows the collection to every client.
            work.send(work.add(u64::MAX)).await;
        }
        subject.forget_peak_memory();
        let (make, load_works) = (self.make, works.clone());
        let mut load = Load::start();
        load.closed(Kind::Write, self.clients, move |number| {
            let turn = usize::try_from(number).unwrap_or_default() % load_works.len();
            make(&load_works[turn], number)
        });
        let report = load.run_for(time).await;
        let stopped = std::time::Instant::now();
        Comparer::of(&subject.servers).await_identical(Duration::from_secs(120)).await;
        let settled = stopped.elapsed();
        let peak_mib = subject.peak_memory_mib();
        for work in works {
            work.drop_collection().await;
        }
        Round { report, settled, peak_mib }
    }

    /// Answers that are neither a success nor the refusal that was asked for.
    pub fn unexpected(report: &Report) -> usize {
        let failed = report.failed(Kind::Write);
        failed.iter().filter(|sample| sample.status != 400 || !sample.label.starts_with("wrong")).count()
    }
}
