//! A collection whose vector index does not load after a restart of its server, which answers 500 to every read and write
//! of it, while all else there is well.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use super::support::api::id_of;
use super::world::{PATIENCE, World, assert_served};

/// Stops a server, removes a file of the index of a collection, and starts it again, which Isochrome notices.
async fn damage_index(world: &mut World, server: usize, collection: &str) {
    world.servers[server].terminate();
    let data = world.servers[server].data();
    let segment = segment_of(&data, collection);
    std::fs::remove_file(data.join(segment).join("header.bin")).expect("the index is on disk");
    world.await_instance(server, "down", |found| found["healthy"] == false).await;
    world.servers[server].restart();
    world.await_instance(server, "up", |found| found["state"] == "up").await;
}

/// The directory that holds the vector index of a collection.
fn segment_of(data: &Path, collection: &str) -> String {
    let conn = Connection::open(data.join("chroma.sqlite3")).expect("Chroma's database");
    let segment = conn.query_row(
        "SELECT s.id FROM segments s JOIN collections c ON s.collection = c.id \
         WHERE c.name = ?1 AND s.scope = 'VECTOR'",
        [collection],
        |row| row.get(0),
    );
    segment.expect("the collection has an index")
}

/// A collection whose index is on disk, and others.
async fn filled() -> (World, String) {
    let world = World::new(2, 50);
    let description = json!({ "name": "docs", "configuration": { "hnsw": { "sync_threshold": 100 } } });
    let docs = world.collection(&description, 400).await;
    world.collection(&json!({ "name": "other" }), 40).await;
    world.identical().await;
    (world, docs)
}

/// What is told once a copy is given up.
const TOLD: &str = "a copy is not to be trusted";

async fn id_there(world: &World, server: usize, name: &str) -> String {
    id_of(&world.api.at(&world.servers[server].url()).describe(name).await.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_finds_the_index_that_does_not_load_and_its_client_is_answered_by_another_instance() {
    let (mut world, docs) = filled().await;
    damage_index(&mut world, 1, "docs").await;
    let before = id_there(&world, 1, "docs").await;
    let log = world.isochrome.log();
    assert!(!log.contains(TOLD), "nobody read it, or wrote to it");
    let deadline = Instant::now() + PATIENCE;
    let mut asked = 0;
    while !world.isochrome.log().contains(TOLD) {
        // Which instance is asked follows from the question.
        let question = json!({ "ids": ["r1"], "limit": 1 + asked, "include": ["documents"] });
        let seen = world.api.post(&docs, "get", &question).await.success().json();
        assert_eq!(seen["ids"], json!(["r1"]), "question {asked}");
        asked += 1;
        assert!(Instant::now() < deadline, "nobody noticed");
    }
    world.await_rebuilt(1).await;
    assert_ne!(
        before,
        id_there(&world, 1, "docs").await,
        "it is another one there, and the same for clients"
    );
    let same = world.identical().await;
    assert_eq!((same.collections, same.records), (2, 440));
    let log = world.isochrome.log()[log.len()..].to_owned();
    assert_eq!(log.matches(TOLD).count(), 1, "{log}");
    assert!(log.contains("Error loading hnsw index"), "{log}");
    assert!(!log.contains("instance is down"), "its other collections were served all the time: {log}");
}

/// With the primary it is the leader, which has the write on disk and never applies it.
async fn a_write_meets_it(which: usize) {
    let (mut world, docs) = filled().await;
    let load = world.load(&docs);
    let acknowledged = load.acknowledged();
    damage_index(&mut world, which, "docs").await;
    world.await_told(TOLD).await;
    world.await_rebuilt(which).await;
    let during = acknowledged.count();
    while acknowledged.count() < during + 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_served(&load.stop().await);
    world.identical().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_meets_it_on_the_leader_is_decided_by_another_instance() {
    a_write_meets_it(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_meets_it_on_a_replica_is_acknowledged_all_the_same() {
    a_write_meets_it(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_names_it_where_nobody_reads_and_has_it_made_again() {
    let (mut world, _) = filled().await;
    damage_index(&mut world, 1, "docs").await;
    let report = world.verify(&json!({})).await;
    assert_eq!(
        (&report["verdict"], &report["difference_count"]),
        (&json!("different"), &json!(1)),
        "{report}"
    );
    let found = &report["differences"][0];
    assert_eq!((&found["collection"], &found["field"]), (&json!("docs"), &json!("index")), "{report}");
    assert!(found["instances"]["replica"].as_str().is_some_and(|why| why.contains("hnsw")), "{report}");
    world.await_told(TOLD).await;
    world.await_rebuilt(1).await;
    world.identical().await;
    let again = world.verify(&json!({})).await;
    assert_eq!(again["verdict"], "same", "{again}");
}
