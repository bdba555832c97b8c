//! Disk space of writes that every instance has is given back, across restarts too.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::api::Api;
use super::support::chroma::Chroma;
use super::support::compare::Comparer;
use super::support::isochrome::Setup;

fn disk_use(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_use(&entry.path()),
            Ok(metadata) => metadata.len(),
            // Deleted meanwhile.
            Err(_) => 0,
        })
        .sum()
}

async fn await_less(directory: &Path, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while disk_use(directory) >= bytes {
        assert!(Instant::now() < deadline, "{} bytes are still used, not {bytes}", disk_use(directory));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn space_of_what_every_instance_has_is_given_back() {
    let segment = 1 << 20;
    let mut servers = Chroma::start_many(2);
    let setup = Setup::over(&servers)
        .variable("ISOCHROME_WAL_SEGMENT_BYTES", &segment.to_string())
        .variable("ISOCHROME_WAL_KEEP_S", "0");
    let mut isochrome = setup.start();
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
    let wal = isochrome.data().join("wal");
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    servers[1].kill();
    isochrome.await_health(|_, body| body["healthy_instances"] == "1/2");
    let document = "x".repeat(128 << 10);
    for n in 0..48 {
        let body = json!({ "ids": [format!("r{n}")], "embeddings": [[n, 1]], "documents": [document] });
        api.add(&docs, &body).await.expect(201);
    }
    let full = disk_use(&wal);
    assert!(full > 5 * segment, "48 bodies of 128 KiB are kept for the one that is down: {full}");
    isochrome.kill();
    isochrome.restart();
    assert!(disk_use(&wal) > 5 * segment, "still kept");

    servers[1].restart();
    Comparer::of(&servers).await_identical(Duration::from_secs(60)).await;
    await_less(&wal, 3 * segment).await;
    eprintln!("{full} bytes of log with one instance down, {} after it caught up", disk_use(&wal));
    isochrome.kill();
    isochrome.restart();
    assert_eq!(api.count(&docs).await, 48);
    await_less(&wal, 3 * segment).await;
}
