//! One instance dies or hangs under a steady load.

use std::collections::HashSet;
use std::time::Duration;

use crate::setting;
use crate::subject::{Subject, starters};
use crate::support::api::{Api, id_of};
use crate::support::chroma::Chroma;
use crate::support::compare::Comparer;
use crate::support::load::{Kind, Load, Report, Sample};
use crate::table::{millis, print};
use crate::work::Work;

const PER_SECOND: u32 = 20;
const COLLECTION: &str = "steady";

#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill,
    Stop,
}

impl Blow {
    fn strike(self, server: &mut Chroma) {
        match self {
            Self::Kill => server.kill(),
            Self::Stop => server.stop(),
        }
    }

    fn mend(self, server: &mut Chroma) {
        match self {
            Self::Kill => server.relaunch(),
            Self::Stop => server.cont(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
        }
    }
}

/// Every kind of blow to every instance, each on new servers. The blow comes after a third of the
/// time, the instance comes back after two thirds.
pub async fn measure() {
    let seconds = Duration::from_secs(setting("ISOCHROME_BENCH_FAILOVER_S", 90));
    let mut rows = Vec::new();
    for starter in starters(&["isochrome"]) {
        for blow in [Blow::Kill, Blow::Stop] {
            for victim in 0..starter.servers {
                rows.push(row(&mut (starter.start)(), blow, victim, seconds).await);
            }
        }
    }
    let title = format!(
        "An instance fails at {PER_SECOND} writes/s and {PER_SECOND} reads/s for {} s",
        seconds.as_secs()
    );
    let head = [
        "subject",
        "blow",
        "instance",
        "writes failed",
        "reads failed",
        "reads stale",
        "pause of writes",
        "pause of reads",
        "lost",
        "applied unannounced",
        "afterwards",
    ];
    print(&title, &head, &rows);
    println!(
        "wanted: none failed, stale, lost or unannounced; pauses up to 1 s (SIGKILL), 4 s (SIGSTOP); identical"
    );
}

async fn row(subject: &mut Subject, blow: Blow, victim: usize, time: Duration) -> Vec<String> {
    let work = Work::on_new_collection(&subject.url, COLLECTION).await;
    let report = under_load(subject, &work, blow, victim, time).await;
    let comparison = settled(&subject.servers).await;
    let kept = kept_by(&subject.servers[0]).await;
    let failed = report.failed(Kind::Write);
    let acknowledged = report.of(Kind::Write).filter(|sample| sample.is_success());
    let lost = acknowledged.filter(|sample| !kept.contains(&sample.label)).count();
    let unannounced =
        failed.iter().filter(|sample| kept.contains(&sample.label) && !is_announced(sample)).count();
    let of = |failed: usize, kind| format!("{failed} of {}", report.of(kind).count());
    for sample in failed.iter().chain(&report.failed(Kind::Read)).take(5) {
        println!("  {}", sample.describe());
    }
    vec![
        subject.name.to_owned(),
        blow.name().to_owned(),
        (victim + 1).to_string(),
        of(failed.len(), Kind::Write),
        of(report.failed(Kind::Read).len(), Kind::Read),
        stale(&report).to_string(),
        millis(report.longest_pause(Kind::Write)),
        millis(report.longest_pause(Kind::Read)),
        lost.to_string(),
        unannounced.to_string(),
        comparison,
    ]
}

async fn under_load(subject: &mut Subject, work: &Work, blow: Blow, victim: usize, time: Duration) -> Report {
    let mut load = Load::start();
    let acknowledged = load.acknowledged();
    let (writer, reader) = (work.clone(), work.clone());
    load.at_rate(Kind::Write, PER_SECOND, move |number| writer.add(number));
    // The latest and any other, in turn: the one is not shipped yet, the other may be anywhere.
    load.at_rate(Kind::Read, PER_SECOND, move |number| {
        reader.read(if number % 2 == 0 { acknowledged.latest() } else { acknowledged.any() })
    });
    tokio::time::sleep(time / 3).await;
    blow.strike(&mut subject.servers[victim]);
    tokio::time::sleep(time / 3).await;
    blow.mend(&mut subject.servers[victim]);
    load.run_for(time / 3).await
}

/// Whether the servers become the same in time.
async fn settled(servers: &[Chroma]) -> String {
    let comparer = Comparer::of(servers);
    for _ in 0..120 {
        if comparer.compare().await.is_ok_and(|comparison| comparison.differences.is_empty()) {
            return "identical".to_owned();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let last = comparer.compare().await;
    println!("  after two minutes: {}", last.map_or_else(|error| error, |comparison| comparison.to_string()));
    "DIFFERENT".to_owned()
}

async fn kept_by(server: &Chroma) -> HashSet<String> {
    let api = Api::new(&server.url());
    let id = id_of(&api.describe(COLLECTION).await.success());
    api.ids(&id).await.into_iter().collect()
}

/// An error that says, with the transaction's id, that the write may still be applied.
fn is_announced(sample: &Sample) -> bool {
    sample.status == 503 && sample.transaction.is_some()
}

/// Reads of an acknowledged record that did not show it.
fn stale(report: &Report) -> usize {
    let by_id = report.of(Kind::Read).filter(|sample| sample.is_success() && !sample.label.is_empty());
    by_id
        .filter(|sample| !String::from_utf8_lossy(&sample.body).contains(&format!("\"{}\"", sample.label)))
        .count()
}
