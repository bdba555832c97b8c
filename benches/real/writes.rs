//! Clients that write, each its next write when the last is answered.

use std::time::Duration;

use crate::setting;
use crate::subject::{Subject, starters};
use crate::support::load::Kind;
use crate::table::{median, millis, print};
use crate::workload::{Round, WORKLOADS, Wanted, Workload};

/// What one workload showed: per subject, its rounds.
struct Row {
    workload: &'static Workload,
    rounds: Vec<Vec<Round>>,
}

/// Measures the workloads whose names are asked for, in short interleaved rounds, and prints the medians.
pub async fn measure(wanted: impl Fn(&str) -> bool) {
    let workloads: Vec<_> = WORKLOADS.iter().filter(|workload| wanted(workload.name)).collect();
    if workloads.is_empty() {
        return;
    }
    let (rounds, seconds) = (setting("ISOCHROME_BENCH_ROUNDS", 5), setting("ISOCHROME_BENCH_ROUND_S", 3));
    let subjects: Vec<Subject> =
        starters(&["direct", "isochrome"]).iter().map(|starter| (starter.start)()).collect();
    let mut rows = Vec::new();
    for workload in workloads {
        let mut row = Row { workload, rounds: subjects.iter().map(|_| Vec::new()).collect() };
        for round in 0..rounds {
            for (index, subject) in subjects.iter().enumerate() {
                let round = workload.round(subject, round, Duration::from_secs(seconds)).await;
                row.rounds[index].push(round);
            }
        }
        rows.push(row);
    }
    let cells: Vec<Vec<String>> = rows.iter().flat_map(|row| row.cells(&subjects)).collect();
    let title = format!("Writes of 384 dimensions ({rounds} rounds of {seconds} s)");
    let head = [
        "load",
        "subject",
        "records/s",
        "of direct",
        "wanted",
        "p50",
        "p99",
        "failed",
        "all the same after",
        "peak memory",
    ];
    print(&title, &head, &cells);
}

impl Row {
    fn cells(&self, subjects: &[Subject]) -> Vec<Vec<String>> {
        let row = |(index, subject): (usize, &Subject)| {
            let rounds = &self.rounds[index];
            let peak_mib = rounds.iter().filter_map(|round| round.peak_mib).max();
            let unexpected: usize = rounds.iter().map(|round| Workload::unexpected(&round.report)).sum();
            let settled = self.median(index, |round| round.settled.as_secs_f64());
            vec![
                self.workload.title.to_owned(),
                subject.name.to_owned(),
                format!("{:.0}", self.rate(index)),
                format!("{:.2}", self.rate(index) / self.rate(0)),
                if index == 0 { String::new() } else { self.wanted() },
                millis(self.latency(index, 50.0)),
                millis(self.latency(index, 99.0)),
                unexpected.to_string(),
                if subject.servers.len() > 1 { format!("{settled:.1} s") } else { String::new() },
                peak_mib.map_or_else(String::new, |mib| format!("{mib} MiB")),
            ]
        };
        subjects.iter().enumerate().map(row).collect()
    }

    fn median(&self, subject: usize, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds[subject].iter().map(of).collect())
    }

    fn rate(&self, subject: usize) -> f64 {
        let records = self.workload.records as f64;
        self.median(subject, |round| round.report.per_second(Kind::Write) * records)
    }

    fn latency(&self, subject: usize, percent: f64) -> Duration {
        Duration::from_secs_f64(
            self.median(subject, |round| round.report.latency(Kind::Write, percent).as_secs_f64()),
        )
    }

    fn wanted(&self) -> String {
        match self.workload.wanted {
            Wanted::Rate(of_direct) => format!("{of_direct:.1} of direct"),
            Wanted::Latency { times, plus_ms } => {
                let direct_ms = self.latency(0, 50.0).as_secs_f64() * 1000.0;
                format!("p50 {:.1} ms", (direct_ms * times).min(direct_ms + plus_ms))
            }
        }
    }
}
