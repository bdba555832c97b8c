//! Many clients that add single records to one collection.

use std::time::Duration;

use crate::setting;
use crate::subject::{Subject, starters};
use crate::support::compare::Comparer;
use crate::support::load::{Kind, Load, Report};
use crate::table::{median, millis, print};
use crate::work::Work;

const CLIENTS: [usize; 2] = [32, 128];

struct Cell {
    subject: usize,
    clients: usize,
    report: Report,
}

/// Measures in interleaved rounds, each on a collection of its own, and prints the medians.
pub async fn measure() {
    let (rounds, seconds) = (setting("ISOCHROME_BENCH_ROUNDS", 3), setting("ISOCHROME_BENCH_ROUND_S", 10));
    let starters = starters(&["direct", "isochrome"]);
    let subjects: Vec<Subject> = starters.iter().map(|starter| (starter.start)()).collect();
    let mut cells = Vec::new();
    for round in 0..rounds {
        for clients in CLIENTS {
            for (index, subject) in subjects.iter().enumerate() {
                let name = format!("adds-{clients}-{round}");
                let report = round_of(subject, &name, clients, Duration::from_secs(seconds)).await;
                cells.push(Cell { subject: index, clients, report });
            }
        }
    }
    let rows: Vec<Vec<String>> =
        CLIENTS.iter().flat_map(|clients| rows(&subjects, &cells, *clients)).collect();
    let title = format!("Single adds of 384 dimensions to one collection ({rounds} rounds of {seconds} s)");
    let head = ["clients", "subject", "adds/s (median)", "of direct", "p50", "p99", "failed"];
    print(&title, &head, &rows);
}

async fn round_of(subject: &Subject, name: &str, clients: usize, time: Duration) -> Report {
    let work = Work::on_new_collection(&subject.url, name).await;
    let mut load = Load::start();
    load.closed(Kind::Write, clients, move |number| work.add(number));
    let report = load.run_for(time).await;
    // What is still being shipped must not cost the next subject, and must be the same everywhere.
    Comparer::of(&subject.servers).await_identical(Duration::from_secs(120)).await;
    report
}

fn rows(subjects: &[Subject], cells: &[Cell], clients: usize) -> Vec<Vec<String>> {
    let of =
        |subject: usize| cells.iter().filter(move |cell| cell.subject == subject && cell.clients == clients);
    let rate = |subject| median(of(subject).map(|cell| cell.report.per_second(Kind::Write)).collect());
    let row = |(index, subject): (usize, &Subject)| {
        let latency = |percent| {
            let all = of(index).map(|cell| cell.report.latency(Kind::Write, percent).as_secs_f64());
            millis(Duration::from_secs_f64(median(all.collect())))
        };
        let failed: usize = of(index).map(|cell| cell.report.failed(Kind::Write).len()).sum();
        vec![
            clients.to_string(),
            subject.name.to_owned(),
            format!("{:.0}", rate(index)),
            format!("{:.2}", rate(index) / rate(0)),
            latency(50.0),
            latency(99.0),
            failed.to_string(),
        ]
    };
    subjects.iter().enumerate().map(row).collect()
}
