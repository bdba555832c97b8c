//! An instance returns and gets what it missed: single adds, which go to it in as few requests as may be.

use std::time::{Duration, Instant};

use crate::setting;
use crate::subject::Subject;
use crate::support::api::{Api, id_of};
use crate::support::chroma::Chroma;
use crate::support::load::{Kind, Load};
use crate::table::{median, print};
use crate::work::Work;

const COLLECTION: &str = "queued";
const CLIENTS: usize = 128;
/// Records in a request with which a server shows what it can take.
const BATCH: u64 = 500;
const PAUSE: Duration = Duration::from_millis(50);

/// How a server took records.
struct Taken {
    /// Records a second, from the first that could be seen to the last.
    per_second: f64,
    /// From the moment when it could be asked.
    within: Duration,
}

/// Interleaved rounds of: so many adds while the second server is away, then its return; and the same number in
/// batches to a server of its own.
pub async fn measure() {
    let records: u64 = setting("ISOCHROME_BENCH_QUEUED", 10_000);
    let rounds: u64 = setting("ISOCHROME_BENCH_DRAIN_ROUNDS", 3);
    let (mut returned, mut own, mut peak_mib) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        let (taken, peak) = returning(records).await;
        peak_mib = peak_mib.max(peak);
        returned.push(taken);
        own.push(batches(records).await);
    }
    let rate = |all: &[Taken]| median(all.iter().map(|taken| taken.per_second).collect());
    let row = |name: &str, all: &[Taken]| {
        let within = median(all.iter().map(|taken| taken.within.as_secs_f64()).collect());
        vec![
            name.to_owned(),
            format!("{:.0}", rate(all)),
            format!("{:.2}", rate(all) / rate(&own)),
            format!("{within:.1} s"),
        ]
    };
    let mut rows = vec![row("Chroma, batches of 500", &own), row("Isochrome, instance returns", &returned)];
    rows[0].extend([String::new(), String::new()]);
    rows[1].extend(["0.8 of its own".to_owned(), format!("{peak_mib} MiB")]);
    let title = format!("{records} queued single adds ({rounds} rounds)");
    print(&title, &["subject", "records/s", "of its own", "all after", "wanted", "peak memory"], &rows);
}

async fn returning(records: u64) -> (Taken, u64) {
    let mut subject = Subject::isochrome();
    let work = Work::on_new_collection(&subject.url, COLLECTION).await;
    work.send(work.add(u64::MAX)).await;
    subject.servers[1].kill();
    subject.forget_peak_memory();
    let mut load = Load::start();
    load.closed(Kind::Write, CLIENTS, move |number| work.add(number));
    until_acknowledged(&load, records).await;
    let report = load.stop().await;
    let queued = report.of(Kind::Write).filter(|sample| sample.is_success()).count() as u64;
    let returned = &mut subject.servers[1];
    returned.restart();
    let taken = watch(returned, queued + 1).await;
    (taken, subject.peak_memory_mib().unwrap_or_default())
}

async fn batches(records: u64) -> Taken {
    let subject = Subject::direct();
    let work = Work::on_new_collection(&subject.url, COLLECTION).await;
    work.send(work.add(u64::MAX)).await;
    let sends = async {
        for number in 0..records / BATCH {
            work.send(work.add_many(number, BATCH)).await;
        }
    };
    let all = records / BATCH * BATCH + 1;
    tokio::join!(sends, watch(&subject.servers[0], all)).1
}

async fn until_acknowledged(load: &Load, records: u64) {
    while (load.acknowledged().count() as u64) < records {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts the records of the collection at a server that holds one of them, until it holds all.
async fn watch(server: &Chroma, all: u64) -> Taken {
    let api = Api::new(&server.url());
    let id = id_of(&api.describe(COLLECTION).await.success());
    let began = Instant::now();
    let mut first = None;
    loop {
        let count = api.count(&id).await;
        if count > 1 && first.is_none() {
            first = Some((Instant::now(), count));
        }
        if let Some((since, seen)) = first.filter(|_| count >= all) {
            let per_second = (count - seen) as f64 / since.elapsed().as_secs_f64();
            return Taken { per_second, within: began.elapsed() };
        }
        tokio::time::sleep(PAUSE).await;
    }
}
