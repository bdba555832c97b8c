//! Which instance gets which reads: all take their part, and one that fails reads is left alone for a while.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::support::api::records;
use super::support::proxy::{Fault, Rule};
use super::world::{World, record};

/// Numbers requests, so that none repeats another, whose answer may have been kept.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// Reads one record after another by different requests, and counts which instance answered.
async fn read_all(world: &World, collection: &str, rounds: u32) -> BTreeMap<String, u32> {
    let mut answered = BTreeMap::new();
    for _ in 0..rounds {
        let other = format!("never-{}", REQUESTS.fetch_add(1, Ordering::Relaxed));
        let request = json!({ "ids": ["a", other], "include": [] });
        let answer = world.api.post(collection, "get", &request).await.expect(200);
        assert_eq!(answer.json()["ids"], json!(["a"]));
        let by = answer.headers.get("isochrome-instance").expect("who answered").to_str().expect("a name");
        *answered.entry(by.to_owned()).or_default() += 1;
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn four_instances_share_the_reads_and_one_alone_takes_them_all() {
    for count in [4, 1] {
        let world = World::new(count, |setup| setup);
        let docs = world.api.new_collection("docs").await;
        world.api.add(&docs, &records(&["a", "b", "c"])).await.success();
        world.identical().await;
        let answered = read_all(&world, &docs, 200).await;
        assert_eq!(answered.len(), count, "{answered:?}");
        let least = *answered.values().min().expect("a number");
        assert!(least as usize * count > 60, "{answered:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_fails_reads_is_left_alone_and_then_tried_again() {
    let world = World::behind_proxies(|setup| setup);
    let docs = world.api.new_collection("docs").await;
    world.api.add(&docs, &record("a", 1)).await.success();
    world.identical().await;

    let path = world.line(0, "docs", "get").await;
    let rule = Rule { method: "POST", path, times: u32::MAX, fault: Fault::DropAnswer };
    world.proxies[0].rule(rule);
    read_all(&world, &docs, 300).await;
    let spoilt = world.proxies[0].faults();
    let status = world.status(0).await;
    assert!(status["breaker_trips"].as_u64() >= Some(1), "{status}");
    assert!(spoilt < 100, "half of 300 reads would have been asked there; {spoilt} were");
    assert!(
        status["healthy"].as_bool().expect("a truth value"),
        "its writes and heartbeats are well: {status}"
    );

    world.proxies[0].clear();
    let mut rounds = 0;
    while world.status(0).await["breaker"] != "closed" {
        rounds += 1;
        assert!(rounds < 1_000, "it is never tried again");
        read_all(&world, &docs, 10).await;
    }
    let answered = read_all(&world, &docs, 100).await;
    assert_eq!(answered.len(), 2, "both take their part again: {answered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_came_back_begins_with_a_smaller_share() {
    let mut world = World::new(2, |setup| setup);
    let docs = world.api.new_collection("docs").await;
    world.api.add(&docs, &record("a", 1)).await.success();
    world.servers[1].kill();
    world.await_up(1);
    world.servers[1].restart();
    world.await_up(2);
    let (stayed, returned) = (world.status(0).await, world.status(1).await);
    assert!(returned["read_share"].as_f64() < stayed["read_share"].as_f64(), "{returned}");
    let mut rounds = 0;
    while read_all(&world, &docs, 20).await.len() < 2 {
        rounds += 1;
        assert!(rounds < 500, "it gets no reads");
    }
}
