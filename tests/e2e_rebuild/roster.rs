//! A server is added to a cluster in use, and one that is in use is removed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use http::Method;
use serde_json::json;

use super::support::chroma::Chroma;
use super::support::http::request;
use super::support::load::Load;
use super::support::patience::in_time;
use super::support::places;
use super::support::process::{End, Signal};
use super::world::{World, assert_served, records_of};

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

    world.isochrome.terminate(Duration::from_secs(60));
    assert!(on_data(&world, "add", "third").status.success());
    world.servers.extend(Chroma::start_many(1));
    let address = ("third".to_owned(), world.servers[2].url());
    world.isochrome.setup.instances.push(address);
    world.isochrome.relaunch();
    world.isochrome.await_ready();
    world.api.add(&id, &json!({ "ids": ["new"], "embeddings": [[1, 2, 3, 4]] })).await.success();
    world.await_rebuilt(2).await;
    assert_eq!(world.identical().await.records, 201, "all three");

    world.isochrome.terminate(Duration::from_secs(60));
    assert!(on_data(&world, "remove", "primary").status.success());
    world.isochrome.relaunch();
    world.isochrome.wait(Duration::from_secs(60));
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

/// Two servers that a configuration file names, and how to name one more.
struct Named {
    world: World,
    file: PathBuf,
    instances: Vec<(String, String)>,
}

impl Named {
    fn start() -> Self {
        let file = places::directory("joining").join("isochrome.toml");
        let mut instances = Vec::new();
        let world = World::with(2, 50, |mut setup| {
            instances = std::mem::take(&mut setup.instances);
            file_of(&file, &instances);
            setup.arguments(&["--config", file.to_str().expect("a path")])
        });
        Self { world, file, instances }
    }

    /// Starts a third server, names it, and has the file read again.
    fn name_another(&mut self) {
        self.world.servers.extend(Chroma::start_many(1));
        self.instances.push(("third".to_owned(), self.world.servers[2].url()));
        file_of(&self.file, &self.instances);
        self.world.isochrome.signal(Signal::HUP);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_a_reload_names_joins_while_clients_go_on() {
    let mut named = Named::start();
    let id = named.world.collection(&json!({ "name": "docs" }), 400).await;
    let load = named.world.load(&id);
    ten_more(&load).await;
    named.name_another();
    named.world.await_told("an instance joins").await;
    named.world.await_settled(2).await;
    ten_more(&load).await;
    assert_served(&load.stop().await);
    let same = named.world.identical().await;
    assert_eq!(same.collections, 1, "all three");
}

/// Waits until ten more writes are acknowledged.
async fn ten_more(load: &Load) {
    let acknowledged = load.acknowledged();
    let wanted = acknowledged.count() + 10;
    let reached = async {
        while acknowledged.count() < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    in_time("ten more writes", reached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_told_to_end_while_it_would_begin_anew_ends() {
    let mut named = Named::start();
    let id = named.world.collection(&json!({ "name": "docs" }), 1).await;
    for server in &mut named.world.servers {
        server.stop();
    }
    let api = named.world.api.clone();
    let held = tokio::spawn(async move {
        let url = api.collections(&format!("/{id}/add"));
        api.http.send(request(Method::POST, &url, Some(&records_of(&[7])))).await
    });
    let undecided = async { while named.world.status().await["undecided_writes"] != 1 {} };
    in_time("the write", undecided).await;
    named.name_another();
    named.world.await_told("beginning anew").await;
    named.world.isochrome.signal(Signal::TERM);
    assert_eq!(named.world.isochrome.wait(Duration::from_secs(60)), End::Code(0));
    assert!(!named.world.isochrome.log().contains("an instance joins"), "{}", named.world.isochrome.log());
    held.abort();
}
