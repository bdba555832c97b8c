//! `isochrome serve` refuses to start with the reason.

use std::time::Duration;

use crate::cluster::{Cluster, PATIENCE};
use crate::commands::run;
use crate::support::api::{Api, records};
use crate::support::chroma::Chroma;
use crate::support::isochrome::Setup;
use crate::support::process::End;
use crate::support::proxy::Proxy;

/// Starts over these addresses, waits for the refusal and gives its words.
fn refusal(urls: &[String]) -> String {
    let mut isochrome = Setup::urls(urls).launch();
    let end = isochrome.wait(PATIENCE);
    let log = isochrome.log();
    assert!(matches!(end, End::Code(1 | 64)), "{end:?}: {log}");
    assert!(!log.contains("listens on"), "{log}");
    log
}

#[tokio::test]
async fn servers_that_are_not_ours_to_use_are_refused() {
    let fresh = Chroma::start();
    let foreign = Chroma::start();
    Api::new(&foreign.url()).new_collection("theirs").await;
    let log = refusal(&[fresh.url(), foreign.url()]);
    assert!(log.contains("replica") && log.contains("holds data but not our marker"), "{log}");
    assert!(log.contains("it has a collection"), "{log}");
    Api::new(&foreign.url()).describe("theirs").await.expect(200);

    let theirs = Cluster::shared();
    let log = refusal(&[theirs.servers[0].url(), theirs.servers[1].url()]);
    assert!(log.contains("primary") && log.contains("another Isochrome cluster"), "{log}");
}

#[tokio::test]
async fn one_server_under_two_addresses_is_refused() {
    let server = Chroma::start();
    let proxy = Proxy::start(server.port());
    let log = refusal(&[server.url(), proxy.url()]);
    assert!(log.contains("replica") && log.contains("primary"), "{log}");
    assert!(log.contains("under another address"), "{log}");
    let log = refusal(&[server.url(), server.url().replace("127.0.0.1", "localhost")]);
    assert!(log.contains("same"), "{log}");
}

#[tokio::test]
async fn servers_of_this_cluster_in_each_other_s_place_are_refused() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("kept").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    cluster.settle().await;
    cluster.isochrome.terminate(PATIENCE);
    let right = cluster.isochrome.setup.clone();
    cluster.isochrome.setup = Setup::urls(&[cluster.servers[1].url(), cluster.servers[0].url()]);
    cluster.isochrome.relaunch();
    assert_eq!(cluster.isochrome.wait(PATIENCE), End::Code(1));
    let log = cluster.isochrome.log();
    assert!(log.contains("instance primary") && log.contains("\"replica\""), "{log}");
    cluster.isochrome.setup = right;
    cluster.isochrome.restart();
    assert_eq!(cluster.api().ids(&id).await, ["a"]);
}

#[tokio::test]
async fn a_taken_port_says_by_what_and_a_held_directory_by_whom() {
    let cluster = Cluster::shared();
    let holder = cluster.isochrome.id();
    let data = cluster.isochrome.data();
    let instance = format!("primary={}", cluster.servers[0].url());
    let listen = format!("127.0.0.1:{}", cluster.isochrome.port());
    let other = crate::support::places::directory("second").join("data");
    let other = other.to_str().expect("a path");
    let (code, out, err) = run(&["serve", "--data-dir", other, "--listen", &listen, "--instance", &instance]);
    assert_eq!(code, 1, "{out}{err}");
    let taken =
        format!("port {} on 127.0.0.1 is taken by isochrome (pid {holder})", cluster.isochrome.port());
    assert!(err.contains(&taken), "{err}");

    let free = format!("127.0.0.1:{}", crate::support::places::free_port());
    let data = data.to_str().expect("a path");
    let (code, out, err) = run(&["serve", "--data-dir", data, "--listen", &free, "--instance", &instance]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains(data) && err.contains(&format!("process {holder}")), "{err}");
    cluster.page("/health").await.expect(200);
}

#[tokio::test]
async fn an_absent_server_is_waited_for() {
    let mut servers = Chroma::start_many(2);
    servers[1].kill();
    let isochrome = Setup::over(&servers).start();
    let api = Api::new(&isochrome.url());
    let id = api.new_collection("early").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    servers[1].restart();
    crate::support::compare::Comparer::of(&servers).await_identical(Duration::from_secs(60)).await;
}
