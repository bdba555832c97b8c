//! The log's disk is nearly full, or full: writes are refused clearly, reads go on, nothing acknowledged is lost, and all
//! goes on by itself as soon as there is room.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::FallocateFlags;
use serde_json::{Value, json};

use super::support::api::{Api, id_of, records};
use super::support::chroma::Chroma;
use super::support::compare::Comparer;
use super::support::isochrome::{Isochrome, Setup};
use super::support::patience::in_time;

const DISK_BYTES: u64 = 160 << 20;
const SAME_WITHIN: Duration = Duration::from_secs(60);

/// What somebody else has on the disk.
struct Ballast(PathBuf);

impl Ballast {
    /// Leaves so many bytes free.
    fn leave(isochrome: &Isochrome, left_bytes: u64) -> Self {
        let path = isochrome.disk().join("ballast");
        let file = File::create(&path).expect("a file");
        let take = |left_bytes: u64| {
            let figures = rustix::fs::statvfs(isochrome.disk()).expect("the disk's figures");
            let free_bytes = figures.f_bavail * figures.f_frsize;
            let from = file.metadata().expect("the file's length").len();
            let bytes = free_bytes.saturating_sub(left_bytes);
            bytes == 0 || rustix::fs::fallocate(&file, FallocateFlags::empty(), from, bytes).is_ok()
        };
        // Others take some of it meanwhile.
        while !take(left_bytes) {}
        Self(path)
    }

    fn remove(self) {
        std::fs::remove_file(self.0).expect("the file goes");
    }
}

/// In front of two servers, with its data on a small disk; nothing where no such disk can be had.
fn on_small_disk() -> Option<(Vec<Chroma>, Isochrome)> {
    let servers = Chroma::start_many(2);
    let setup = Setup::over(&servers).variable("ISOCHROME_WAL_SEGMENT_BYTES", &(1 << 20).to_string());
    let Some(setup) = setup.on_small_disk(DISK_BYTES) else {
        eprintln!("not told: nobody may mount a disk here");
        return None;
    };
    let mut isochrome = setup.start();
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
    Some((servers, isochrome))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_refuses_writes_until_there_is_room_and_reads_go_on() {
    let Some((mut servers, mut isochrome)) = on_small_disk() else { return };
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    servers[1].kill();
    isochrome.await_health(|_, body| body["healthy_instances"] == "1/2");
    api.add(&docs, &records(&["a", "b"])).await.expect(201);

    let ballast = Ballast::leave(&isochrome, 48 << 20);
    let writes = [
        api.add(&docs, &records(&["refused"])).await,
        api.post(&docs, "delete", &json!({ "ids": ["a"] })).await,
        api.create(&json!({ "name": "refused" })).await,
    ];
    for refused in writes {
        assert_eq!(
            (refused.status, refused.header("isochrome-error")),
            (507, Some("LOG_UNAVAILABLE")),
            "{refused}"
        );
        assert!(
            refused.header("retry-after").is_some() && refused.text().contains("must stay free"),
            "{refused}"
        );
    }
    assert_eq!(api.ids(&docs).await, ["a", "b"], "reads go on");
    // And so does what was accepted before.
    servers[1].restart();
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
    assert_eq!(Comparer::of(&servers).await_identical(SAME_WITHIN).await.records, 2);
    api.add(&docs, &records(&["refused"])).await.expect(507);

    ballast.remove();
    api.add(&docs, &records(&["c"])).await.expect(201);
    assert_eq!(api.ids(&docs).await, ["a", "b", "c"]);
    let same = Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    assert_eq!((same.collections, same.records), (1, 3));
}

/// Adds records of its own until told to stop; the ids that were acknowledged, and those that were refused for certain.
async fn write(api: Api, docs: String, writer: usize, going: Arc<AtomicBool>) -> [BTreeSet<String>; 2] {
    let [mut acknowledged, mut refused] = [BTreeSet::new(), BTreeSet::new()];
    for n in 0.. {
        if !going.load(Ordering::SeqCst) {
            break;
        }
        let id = format!("w{writer}-{n}");
        let body = json!({ "ids": [id], "embeddings": [[writer, n, 1]], "documents": ["x".repeat(40_000)] });
        match api.add(&docs, &body).await.status {
            201 => acknowledged.insert(id),
            507 => refused.insert(id),
            other => panic!("{id}: {other}"),
        };
    }
    [acknowledged, refused]
}

/// Adds records until one is refused: those that were acknowledged, and the one. Writers that load the disk may all wait
/// meanwhile for a verdict that finds no room.
async fn until_refused(api: &Api, docs: &str, round: u32) -> [BTreeSet<String>; 2] {
    let mut acknowledged = BTreeSet::new();
    for n in 0.. {
        let id = format!("probe{round}-{n}");
        match api.add(docs, &records(&[id.as_str()])).await.status {
            201 => acknowledged.insert(id),
            507 => return [acknowledged, BTreeSet::from([id])],
            other => panic!("{id}: {other}"),
        };
    }
    unreachable!("it adds until one is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_under_load_loses_nothing_that_was_acknowledged() {
    let Some((servers, mut isochrome)) = on_small_disk() else { return };
    let api = Api::new(&isochrome.url());
    let docs = id_of(&api.create(&json!({ "name": "docs" })).await.success());
    let going = Arc::new(AtomicBool::new(true));
    let writers: Vec<_> = (0..6)
        .map(|writer| tokio::spawn(write(api.clone(), docs.clone(), writer, Arc::clone(&going))))
        .collect();
    let count = |least: u64| {
        let (api, docs) = (&api, &docs);
        in_time("more records", async move { while api.count(docs).await < least {} })
    };
    let (mut acknowledged, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for round in 1..=3 {
        count(api.count(&docs).await + 20).await;
        let ballast = Ballast::leave(&isochrome, 0);
        let [done, not] = in_time("a refusal", until_refused(&api, &docs, round)).await;
        acknowledged.extend(done);
        refused.extend(not);
        assert!(api.count(&docs).await > 0, "round {round}: reads go on");
        ballast.remove();
    }
    count(api.count(&docs).await + 20).await;
    going.store(false, Ordering::SeqCst);
    for writer in writers {
        let [done, not] = writer.await.expect("a writer");
        acknowledged.extend(done);
        refused.extend(not);
    }
    eprintln!("{} acknowledged, {} refused", acknowledged.len(), refused.len());
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    let found: Value = api.post(&docs, "get", &json!({ "include": [] })).await.success().json();
    let found: BTreeSet<String> = serde_json::from_value(found["ids"].clone()).expect("ids");
    assert_eq!(found, acknowledged, "what was acknowledged is there, and what was refused is not");
}
