//! Long stories with an instance away: whatever happened meanwhile, it ends as the other one.

use serde_json::json;

use super::support::api::id_of;
use super::world::{World, record};

const REPLICA: usize = 1;

fn away(world: &mut World, which: usize) {
    world.servers[which].kill();
    world.await_up(1);
}

fn back(world: &mut World, which: usize) {
    world.servers[which].restart();
    world.await_up(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_dropped_while_an_instance_is_down_stays_gone() {
    let mut world = World::new(2, |setup| setup);
    for name in ["first", "second", "kept"] {
        let id = world.api.new_collection(name).await;
        world.api.add(&id, &record("a", 1)).await.success();
    }
    world.identical().await;
    for (which, name) in [(REPLICA, "first"), (0, "second")] {
        away(&mut world, which);
        world.api.drop(name).await.success();
        back(&mut world, which);
        world.identical().await;
        for server in 0..2 {
            assert_eq!(world.ids_on(server, name).await, None, "{name} on {server}");
        }
        world.api.describe(name).await.expect(404);
    }
    assert_eq!(world.identical().await.collections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_pending_writes_of_all_kinds_arrive_in_order() {
    let mut world = World::new(2, |setup| setup);
    let docs = world.api.new_collection("docs").await;
    let api = world.api.clone();
    away(&mut world, REPLICA);

    let saga = api.new_collection("saga").await;
    for n in 0..400 {
        let target = if n % 4 == 0 { &docs } else { &saga };
        api.add(target, &record(&format!("r{n}"), n)).await.success();
    }
    for n in 0..50 {
        let target = if n % 4 == 0 { &docs } else { &saga };
        let change = json!({ "ids": [format!("r{n}")], "documents": [format!("altered {n}")] });
        api.post(target, "update", &change).await.success();
    }
    for n in 0..20 {
        let target = if n % 4 == 0 { &docs } else { &saga };
        api.post(target, "delete", &json!({ "ids": [format!("r{n}")] })).await.success();
    }
    api.post(&docs, "delete", &json!({ "where": { "n": { "$gt": 300 } } })).await.success();
    api.post(&docs, "upsert", &record("r24", 9_000)).await.success();
    api.add(&docs, &record("r28", 9_001)).await.success();
    api.drop("saga").await.success();
    let again = api.new_collection("saga").await;
    assert_ne!(again, saga);
    for n in 0..10 {
        api.add(&again, &record(&format!("r{n}"), n)).await.success();
    }
    for n in 0..20 {
        api.post(&again, "upsert", &record(&format!("r{}", n % 15), 100 + n)).await.success();
    }
    let pending = world.status(REPLICA).await["pending_writes"].as_u64().expect("a number");
    assert!(pending >= 500, "{pending} pending");

    back(&mut world, REPLICA);
    world.identical().await;
    let new: Vec<String> = (0..15).map(|n| format!("r{n}")).collect();
    let old: Vec<String> = (5..=75).map(|n| format!("r{}", n * 4)).collect();
    for server in 0..2 {
        assert_eq!(world.ids_on(server, "saga").await.as_ref(), Some(&new));
        assert_eq!(world.ids_on(server, "docs").await.as_ref(), Some(&old));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_of_a_name_do_not_mix() {
    let mut world = World::new(2, |setup| setup);
    let mut ids = Vec::new();
    for generation in 0..6 {
        // Each step meets another set of instances.
        let which = usize::from(generation % 2 == 1);
        away(&mut world, which);
        let id = world.api.new_collection("docs").await;
        world.api.add(&id, &record(&format!("g{generation}"), generation)).await.success();
        if generation % 3 == 0 {
            back(&mut world, which);
        }
        if generation == 5 {
            ids.push(id);
            back(&mut world, which);
            break;
        }
        world.api.drop("docs").await.success();
        world.api.add(&id, &record("late", 1)).await.expect(404);
        if generation % 3 != 0 {
            back(&mut world, which);
        }
        ids.push(id);
    }
    assert_eq!(world.identical().await.records, 1);
    for server in 0..2 {
        assert_eq!(world.ids_on(server, "docs").await, Some(vec!["g5".to_owned()]));
    }
    assert_eq!(id_of(&world.api.describe("docs").await), ids[5]);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "every generation has an id of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_across_outages_of_both_ends_the_same() {
    let mut world = World::new(2, |setup| setup);
    away(&mut world, 0);
    let docs = world.api.new_collection("docs").await;
    world.api.add(&docs, &record("a", 1)).await.success();
    back(&mut world, 0);
    away(&mut world, 1);
    for n in 0..30 {
        world.api.add(&docs, &record(&format!("r{n}"), n)).await.success();
    }
    let half = json!({ "where": { "n": { "$lt": 15 } } });
    let deleted = world.api.post(&docs, "delete", &half).await.success().json();
    assert_eq!(deleted["deleted"], 16);
    back(&mut world, 1);
    for round in 0..3 {
        world.servers[0].kill();
        world.api.post(&docs, "upsert", &record("flap", round)).await.success();
        world.servers[0].relaunch();
        world.api.post(&docs, "update", &record("r20", round)).await.success();
        world.await_up(2);
    }
    let same = world.identical().await;
    assert_eq!((same.collections, same.records), (1, 16));
    let seen = world.api.post(&docs, "get", &json!({ "ids": ["flap", "r20"] })).await.success().json();
    assert_eq!(seen["documents"], json!(["document 2 of r20", "document 2 of flap"]));
}
