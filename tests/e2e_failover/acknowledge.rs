//! `write.acknowledge = "all"`: answered when every instance that serves has it.

use std::time::Duration;

use serde_json::json;

use super::support::isochrome::Setup;
use super::support::patience::in_time;
use super::support::proxy::{Fault, Mode, Rule};
use super::world::{World, record};

fn all(setup: Setup) -> Setup {
    setup.variable("ISOCHROME_WRITE_ACKNOWLEDGE", "all")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_acknowledge_is_on_every_instance_when_it_is_answered() {
    let world = World::behind_proxies(all);
    let docs = world.api.new_collection("docs").await;
    for late in 0..2 {
        for n in 0..3 {
            let delay = Fault::DelayRequest(Duration::from_millis(300));
            world.proxies[late].rule(Rule::once("/add", delay));
            let id = format!("r{late}{n}");
            world.api.add(&docs, &record(&id, n)).await.expect(201);
            for server in 0..2 {
                let there = world.ids_on(server, "docs").await.expect("the collection");
                assert!(there.contains(&id), "{id} was answered and is not on {server}");
            }
        }
    }
    world.api.drop("docs").await.success();
    for server in 0..2 {
        assert_eq!(world.ids_on(server, "docs").await, None);
    }
    world.identical().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_dies_while_all_are_waited_for_stops_counting() {
    for mode in [Mode::Refuse, Mode::BlackHole] {
        for which in 0..2 {
            let mut world = World::behind_proxies(all);
            let docs = world.api.new_collection("docs").await;
            world.proxies[which].rule(Rule::once("/add", Fault::Hold));
            let waiting = {
                let (api, docs) = (world.api.clone(), docs.clone());
                tokio::spawn(async move { api.add(&docs, &record("a", 1)).await })
            };
            let held = async {
                while world.proxies[which].faults() == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            in_time("it is on its way", held).await;
            assert!(!waiting.is_finished(), "it was answered before {which} had it");
            world.proxies[which].set(mode);
            waiting.await.expect("a task").expect(201);
            world.api.add(&docs, &record("b", 2)).await.expect(201);
            world.proxies[which].clear();
            world.proxies[which].set(Mode::Pass);
            world.await_up(2);
            assert_eq!(world.identical().await.records, 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_write_is_not_answered_with_an_error_because_another_instance_is_late() {
    let world = World::behind_proxies(|setup| {
        all(setup).variable("ISOCHROME_WRITE_TIMEOUT_MS", "5000").variable("ISOCHROME_WRITE_WAIT_MS", "5000")
    });
    let docs = world.api.new_collection("docs").await;
    world.proxies[1].rule(Rule::once("/add", Fault::Hold));
    world.api.add(&docs, &record("a", 1)).await.expect(201);
    let seen = world.api.post(&docs, "get", &json!({ "ids": ["a"] })).await.success().json();
    assert_eq!(seen["ids"], json!(["a"]));
    world.proxies[1].clear();
    world.identical().await;
}
