//! A server is added to a cluster in use, and one that is in use is removed.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use super::support::chroma::Chroma;
use super::support::places;
use super::support::process::Signal;
use super::world::{World, assert_served};

/// Runs a command on the data directory, which nobody serves from.
fn on_data(world: &World, command: &str, instance: &str) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_isochrome"));
    run.args([command, instance, "--data-dir"]).arg(world.isochrome.data());
    run.output().expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_is_filled_and_takes_the_place_of_one_that_is_removed() {
    let mut world = World::new(2, 50);
    let id = world.collection(&json!({ "name": "docs" }), 200).await;
    world.identical().await;
    let busy = on_data(&world, "add", "third");
    assert!(!busy.status.success(), "somebody serves from it");

    world.isochrome.terminate(Duration::from_secs(30));
    assert!(on_data(&world, "add", "third").status.success());
    world.servers.extend(Chroma::start_many(1));
    let address = ("third".to_owned(), world.servers[2].url());
    world.isochrome.setup.instances.push(address);
    world.isochrome.relaunch();
    world.isochrome.await_ready();
    world.api.add(&id, &json!({ "ids": ["new"], "embeddings": [[1, 2, 3, 4]] })).await.success();
    world.await_rebuilt(2).await;
    assert_eq!(world.identical().await.records, 201, "all three");

    world.isochrome.terminate(Duration::from_secs(30));
    assert!(on_data(&world, "remove", "primary").status.success());
    world.isochrome.relaunch();
    world.isochrome.wait(Duration::from_secs(30));
    let log = world.isochrome.log();
    assert!(log.contains("take one out with `isochrome remove`"), "the configuration names it: {log}");
    world.isochrome.setup.instances.remove(0);
    drop(world.servers.remove(0));
    world.isochrome.relaunch();
    world.isochrome.await_ready();
    assert_eq!(world.api.count(&id).await, 201);
    world.api.add(&id, &json!({ "ids": ["newer"], "embeddings": [[1, 2, 3, 4]] })).await.success();
    assert_eq!(world.identical().await.records, 202, "the two that stay");
}

/// The file that names these servers.
fn file_of(path: &Path, instances: &[(String, String)]) {
    let tables =
        instances.iter().map(|(name, url)| format!("[[instances]]\nname = \"{name}\"\nurl = \"{url}\"\n"));
    std::fs::write(path, tables.collect::<String>()).expect("the file is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_a_reload_names_joins_while_clients_go_on() {
    let file = places::directory("joining").join("isochrome.toml");
    let mut instances = Vec::new();
    let mut world = World::with(2, 50, |mut setup| {
        instances = std::mem::take(&mut setup.instances);
        file_of(&file, &instances);
        setup.arguments(&["--config", file.to_str().expect("a path")])
    });
    let id = world.collection(&json!({ "name": "docs" }), 400).await;
    let load = world.load(&id);
    let before = load.acknowledged().count() + 10;
    until(|| load.acknowledged().count() >= before).await;

    world.servers.extend(Chroma::start_many(1));
    instances.push(("third".to_owned(), world.servers[2].url()));
    file_of(&file, &instances);
    world.isochrome.signal(Signal::HUP);
    world.await_told("an instance joins").await;
    world.await_settled(2).await;
    let since = load.acknowledged().count() + 10;
    until(|| load.acknowledged().count() >= since).await;
    assert_served(&load.stop().await);
    let same = world.identical().await;
    assert_eq!(same.collections, 1, "all three");
}

async fn until(reached: impl Fn() -> bool) {
    while !reached() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
