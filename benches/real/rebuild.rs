//! An instance loses its disk and is filled again: idle, and while clients read and write.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::setting;
use crate::support::api::Api;
use crate::support::chroma::Chroma;
use crate::support::isochrome::{Isochrome, Setup};
use crate::support::load::{Kind, Load, Report};
use crate::table::{millis, print};
use crate::work::{Work, random_embedding};

const COLLECTION: &str = "large";
/// Records in a request with which a server shows what it can take; the rebuild's own chunks are as large.
const BATCH: u64 = 1_000;
/// Of the load that goes on meanwhile.
const PER_SECOND: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Isochrome over two servers that hold a large collection.
struct World {
    isochrome: Isochrome,
    servers: Vec<Chroma>,
    api: Api,
    work: Work,
}

/// One row idle, one under load, and what a server takes of the same records without us.
pub async fn measure() {
    let records: u64 = setting("ISOCHROME_BENCH_REBUILD_RECORDS", 20_000);
    let baseline = Duration::from_secs(setting("ISOCHROME_BENCH_REBUILD_BASE_S", 20));
    let own = own_rate(records).await;
    let mut world = World::filled(records).await;
    let idle = world.loses_its_disk().await;
    let idle_verdict = world.verify().await;
    let before = world.load().run_for(baseline).await;
    let load = world.load();
    let under_load = world.loses_its_disk().await;
    let during = load.stop().await;
    let verdict = world.verify().await;
    let row = |name: &str, took: Duration, verdict: &str| {
        let rate = records as f64 / took.as_secs_f64();
        let took = format!("{:.1} s", took.as_secs_f64());
        vec![name.to_owned(), took, format!("{rate:.0}"), format!("{:.2}", rate / own), verdict.to_owned()]
    };
    let rows = [row("idle", idle, &idle_verdict), row("under load", under_load, &verdict)];
    print(
        &format!("An instance is filled with {records} records again; one Chroma takes {own:.0} records/s"),
        &["", "until it serves", "records/s", "of Chroma's own (wanted: 0.7 idle)", "compared afterwards"],
        &rows,
    );
    let rows = [latencies("before", &before), latencies("meanwhile", &during)];
    print(
        &format!("Clients at {PER_SECOND} writes/s and {PER_SECOND} reads/s"),
        &["", "writes failed", "reads failed", "writes p50", "writes p99", "reads p50", "reads p99"],
        &rows,
    );
    println!("wanted: none failed; p99 meanwhile at most twice that before");
}

fn latencies(name: &str, report: &Report) -> Vec<String> {
    let failed = |kind| format!("{} of {}", report.failed(kind).len(), report.of(kind).count());
    let of = |kind, percent| millis(report.latency(kind, percent));
    let (write, read) = (Kind::Write, Kind::Read);
    let mut row = vec![name.to_owned(), failed(write), failed(read)];
    row.extend([of(write, 50.0), of(write, 99.0), of(read, 50.0), of(read, 99.0)]);
    row
}

/// Records a second that one server takes in batches.
async fn own_rate(records: u64) -> f64 {
    let server = Chroma::start();
    let work = Work::on_new_collection(&server.url(), COLLECTION).await;
    let began = Instant::now();
    fill(&work, records).await;
    records as f64 / began.elapsed().as_secs_f64()
}

async fn fill(work: &Work, records: u64) {
    for number in 0..records.div_ceil(BATCH) {
        let first = number * BATCH;
        work.send(work.adds(batch(first, BATCH.min(records - first)))).await;
    }
}

/// The body of an add of so many records, no two of them alike.
fn batch(first: u64, records: u64) -> String {
    let numbers = first..first + records;
    let each = |make: &dyn Fn(u64) -> Value| numbers.clone().map(make).collect::<Value>();
    json!({
        "ids": each(&|number| json!(format!("r{number}"))),
        "embeddings": each(&|_| json!(STANDARD.encode(random_embedding()))),
        "documents": each(&|number| json!(format!("what is known about record {number}, in a sentence"))),
        "metadatas": each(&|number| json!({ "n": number, "even": number % 2 == 0 })),
    })
    .to_string()
}

impl World {
    async fn filled(records: u64) -> Self {
        let servers = Chroma::start_many(2);
        let isochrome = Setup::over(&servers).start();
        let api = Api::new(&isochrome.url());
        let work = Work::on_new_collection(&isochrome.url(), COLLECTION).await;
        fill(&work, records).await;
        let world = Self { isochrome, servers, api, work };
        world.until(1, |found| found["pending_writes"] == 0).await;
        world
    }

    /// Steady adds, and reads of what they added.
    fn load(&self) -> Load {
        let mut load = Load::start();
        let acknowledged = load.acknowledged();
        let (writer, reader, from) = (self.work.clone(), self.work.clone(), fastrand::u64(..) >> 1);
        load.at_rate(Kind::Write, PER_SECOND, move |number| writer.add(from + number));
        load.at_rate(Kind::Read, PER_SECOND, move |_| reader.read(acknowledged.any()));
        load
    }

    /// The time from the loss of the second server's disk, with the server back, until it serves again.
    async fn loses_its_disk(&mut self) -> Duration {
        self.servers[1].wipe();
        self.until(1, |found| found["state"] != "up").await;
        self.servers[1].restart();
        let began = Instant::now();
        self.until(1, |found| found["state"] == "up" && found["condition"] == "serving").await;
        began.elapsed()
    }

    async fn until(&self, instance: usize, wanted: impl Fn(&Value) -> bool) {
        let url = format!("{}/status", self.isochrome.url());
        while !wanted(&self.api.http.get(&url).await.expect(200).json()["instances"][instance]) {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Has everything compared; gives the verdict.
    async fn verify(&self) -> String {
        let begun = self.isochrome.on_socket(Method::POST, "/admin/verify", Some(&json!({}))).await;
        let job = format!("/admin/jobs/{}", begun.expect(202).json()["id"]);
        loop {
            let found = self.isochrome.on_socket(Method::GET, &job, None).await.expect(200).json();
            if found["state"] == "done" {
                return found["result"]["verdict"].as_str().unwrap_or("no verdict").to_owned();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
