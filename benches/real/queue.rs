//! A start with much queued: how soon it serves, and in how much memory; then that the queue drains.
//!
//! The queue is filled through the log itself, as a gateway in front of dead instances would have filled it.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use isochrome::catalog::change::CatalogChange;
use isochrome::chroma::ids::CollectionId;
use isochrome::chroma::scan::scan_records;
use isochrome::wal::record::{EntryHead, Lane, Op, RecordKind, Transaction};
use isochrome::wal::{AppendError, Committed, NewEntry, Setup as LogSetup, Wal, WalOptions};
use serde_json::json;

use crate::peak;
use crate::setting;
use crate::support::api::{Api, records};
use crate::support::chroma::Chroma;
use crate::support::http::{Http, probe};
use crate::support::isochrome::{Isochrome, Setup};
use crate::table::print;

/// Length of an embedding.
const DIMENSION: usize = 384;
/// Entries handed to the log at once while the queue is filled.
const GROUP: usize = 256;
/// Entries on their way into the log at most.
const MOST_UNDER_WAY: u64 = 8_192;
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A queue of single adds, over one lane and over many.
pub async fn measure() {
    let mib: u64 = setting("ISOCHROME_BENCH_QUEUE_MIB", 64);
    let lanes: usize = setting("ISOCHROME_BENCH_QUEUE_LANES", 1);
    let records_each: usize = setting("ISOCHROME_BENCH_QUEUE_RECORDS", 1);
    let drained_s: u64 = setting("ISOCHROME_BENCH_QUEUE_DRAIN_S", 5);
    let mut servers = Chroma::start_many(2);
    let setup =
        Setup::over(&servers).variable("MAX_MEMORY_MB", "400").variable("ISOCHROME_WRITE_WAIT_MS", "200");
    let mut isochrome = setup.start();
    let quiet = prepare(&isochrome, lanes).await;
    isochrome.terminate(PATIENCE);
    servers.iter_mut().for_each(Chroma::kill);
    let began = Instant::now();
    let entries = fill(&isochrome.data(), mib << 20, records_each);
    println!("{entries} writes, {mib} MiB of bodies, logged in {:.1} s", began.elapsed().as_secs_f64());

    let mut rows = vec![start(&mut isochrome, "after a clean stop, no instance").await];
    isochrome.kill();
    rows.push(start(&mut isochrome, "after kill -9, no instance").await);
    isochrome.terminate(PATIENCE);
    servers.iter_mut().for_each(Chroma::restart);
    let began = Instant::now();
    rows.push(start(&mut isochrome, "with two instances").await);
    isochrome.await_ready();
    let api = Api::new(&isochrome.url());
    api.count(&quiet).await;
    let read = began.elapsed();
    api.add(&quiet, &records(&["later"])).await.success();
    println!("first strong read of a collection with nothing queued after {:.2} s", read.as_secs_f64());
    println!("first write to it answered after {:.2} s", began.elapsed().as_secs_f64());
    drain(&isochrome, Duration::from_secs(drained_s), &mut rows).await;
    let head = ["", "first answer of /health", "peak memory so far", "queued"];
    print(&format!("{mib} MiB queued in {lanes} collections, MAX_MEMORY_MB=400"), &head, &rows);
}

/// Makes the collections: those to be filled, with their dimension, and one with nothing queued; its id.
async fn prepare(isochrome: &Isochrome, lanes: usize) -> String {
    let api = Api::new(&isochrome.url());
    for lane in 0..lanes {
        let id = api.new_collection(&format!("queued-{lane}")).await;
        api.add(&id, &json!({ "ids": ["first"], "embeddings": [vec![0.5; DIMENSION]] })).await.success();
    }
    let quiet = api.new_collection("quiet").await;
    api.add(&quiet, &records(&["here"])).await.success();
    quiet
}

/// Logs adds round the collections until so many bytes of bodies are queued; gives how many.
fn fill(data: &Path, bytes: u64, records_each: usize) -> u64 {
    let (sender, committed) = mpsc::channel();
    let names = ["primary", "replica"].map(str::to_owned);
    let options = WalOptions { max_bytes: u64::MAX, ..WalOptions::default() };
    let setup = LogSetup { dir: data, options, instances: &names, new_cluster: "none" };
    let told = Box::new(move |what: Committed| _ = sender.send(what));
    let (log, recovered) = Wal::open(&setup, told).expect("the log opens");
    let lanes: Vec<CollectionId> = recovered
        .changes
        .iter()
        .filter_map(|change| match change {
            CatalogChange::CollectionCreated { id, name, .. } if name.starts_with("queued") => Some(*id),
            _ => None,
        })
        .collect();
    let committed = || match committed.recv_timeout(Duration::from_millis(10)) {
        Ok(Committed::Entries(more)) => more.len() as u64,
        _ => 0,
    };
    let mut lanes = lanes.iter().cycle();
    let (mut queued_bytes, mut entries, mut durable) = (0, 0_u64, 0);
    while queued_bytes < bytes {
        let group: Vec<NewEntry> = (0..GROUP)
            .filter_map(|_| {
                entries += 1;
                Some(add(*lanes.next()?, entries, records_each))
            })
            .collect();
        queued_bytes += group.iter().map(|entry| entry.body.len() as u64).sum::<u64>();
        while let Err(error) = log.append(group.clone()) {
            assert!(matches!(error, AppendError::QueueFull | AppendError::Unavailable(_)), "{error}");
            durable += committed();
        }
        while entries - durable > MOST_UNDER_WAY {
            durable += committed();
        }
    }
    while durable < entries {
        durable += committed();
    }
    log.close();
    entries
}

/// One add as the gateway would log it.
fn add(collection: CollectionId, number: u64, records: usize) -> NewEntry {
    let ids: Vec<String> = (0..records).map(|record| format!("queued-{number}-{record}")).collect();
    let vector = |place: u64| {
        let mut random = fastrand::Rng::with_seed(place);
        let numbers = (0..DIMENSION).flat_map(|_| random.f32().to_le_bytes());
        BASE64_STANDARD.encode(numbers.collect::<Vec<u8>>())
    };
    let vectors: Vec<String> = (0..records as u64).map(|record| vector(number * 1_000 + record)).collect();
    let body = serde_json::to_vec(&json!({ "ids": ids, "embeddings": vectors })).expect("JSON");
    let op = Op::Records(scan_records(RecordKind::Add, &body).expect("a good add"));
    let path = format!(
        "/api/v2/tenants/default_tenant/databases/default_database/collections/{}/add",
        collection.uuid()
    );
    let transaction = Transaction {
        id: uuid::Uuid::new_v4().to_string(),
        fingerprint: u128::from(number),
        method: "POST".to_owned(),
        path,
        accepted_ms: 1_700_000_000_000 + number,
    };
    let (lane, body_bytes) = (Lane::Collection(collection), body.len() as u64);
    let head = EntryHead { lane, op, transaction: Some(transaction), body_bytes };
    NewEntry { head, body: Bytes::from(body), ticket: number }
}

/// Starts it; a row with what came of it.
async fn start(isochrome: &mut Isochrome, what: &str) -> Vec<String> {
    let began = Instant::now();
    isochrome.relaunch();
    while probe(isochrome.port(), "/health").is_none() {
        assert!(began.elapsed() < PATIENCE, "{}", isochrome.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let served = began.elapsed();
    // What the start left behind is given back by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    row(isochrome, what, &format!("{:.2} s", served.as_secs_f64())).await
}

async fn row(isochrome: &Isochrome, what: &str, served: &str) -> Vec<String> {
    let id = isochrome.id();
    let memory = format!("{} MiB, now {} MiB", peak::mib(id), isochrome.memory_kib() >> 10);
    vec![what.to_owned(), served.to_owned(), memory, queued(isochrome).await.to_string()]
}

async fn queued(isochrome: &Isochrome) -> u64 {
    let health = Http::default().get(&format!("{}/health", isochrome.url())).await.json();
    health["pending_writes"].as_u64().unwrap_or(u64::MAX)
}

/// Lets it drain for a while.
async fn drain(isochrome: &Isochrome, time: Duration, rows: &mut Vec<Vec<String>>) {
    let before = queued(isochrome).await;
    let began = Instant::now();
    tokio::time::sleep(time).await;
    let after = queued(isochrome).await;
    let rate = before.saturating_sub(after) as f64 / began.elapsed().as_secs_f64();
    rows.push(row(isochrome, &format!("draining, {rate:.0} writes/s"), "").await);
}
