//! What waits for an instance: it is not given up, however often it was tried and however long that takes, and it does not
//! contradict what comes meanwhile.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::support::api::Api;
use super::support::http::request;
use super::support::patience::in_time;
use super::support::proxy::{Fault, Mode, Proxy, Rule, answer_bytes};
use super::world::{World, record};

const REPLICA: usize = 1;

/// The replica answers 503 to these requests, and does nothing, until its proxy is cleared.
fn refuse(world: &World, path: &str) {
    let later = answer_bytes("503 Service Unavailable", "text/plain", "later");
    world.proxies[REPLICA].rule(Rule { times: u32::MAX, ..Rule::once(path, Fault::Intercept(later)) });
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_an_instance_refuses_time_after_time_stay_pending_until_it_takes_them() {
    let world = World::behind_proxies(|setup| setup);
    let docs = world.api.new_collection("docs").await;
    world.identical().await;
    refuse(&world, &world.line(REPLICA, "docs", "add").await);
    for n in 0..3 {
        let add = world.api.collections(&format!("/{docs}/add"));
        world.write(&format!("tx-{n}"), Method::POST, &add, &record(&format!("r{n}"), n)).await.expect(201);
    }
    let attempts = &world.proxies[REPLICA];
    let tried = async {
        while attempts.faults() < 8 {
            let status = world.status(REPLICA).await;
            assert_eq!(
                (&status["pending_writes"], &status["divergent"]),
                (&json!(3), &json!([])),
                "{status}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time("it is tried again and again", tried).await;
    assert_eq!(world.ids_on(REPLICA, "docs").await, Some(Vec::new()));
    attempts.clear();
    assert_eq!(world.identical().await.records, 3);
    for n in 0..3 {
        let fate = world.fate(&format!("tx-{n}")).await.expect(200).json();
        assert_eq!(fate["instances"], json!({ "primary": "applied", "replica": "applied" }), "{fate}");
    }
    world.assert_never_down();
}

/// A collection is dropped, and made again with other records.
async fn next_generation(api: &Api, name: &str, generation: u64) {
    api.drop(name).await.success();
    let id = api.new_collection(name).await;
    for n in 0..3 {
        api.add(&id, &record(&format!("g{generation}-{n}"), n)).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_and_creates_that_come_while_a_backlog_waits_never_contradict_it() {
    let mut world = World::behind_proxies(|setup| setup);
    let api = world.api.clone();
    let names = ["first", "second", "third"];
    for name in names {
        let id = api.new_collection(name).await;
        api.add(&id, &record("g0", 0)).await.success();
    }
    world.identical().await;
    world.proxies[REPLICA].set(Mode::Refuse);
    world.await_up(1);
    for generation in 1..5 {
        next_generation(&api, names[0], generation).await;
        next_generation(&api, names[1], generation).await;
    }
    // It is back, and cannot make collections for as long as this takes: what waits for that goes on waiting.
    refuse(&world, "/default_database/collections HTTP");
    world.proxies[REPLICA].set(Mode::Pass);
    world.await_up(2);
    for generation in 5..15 {
        for name in names {
            next_generation(&api, name, generation).await;
            let there = world.ids_on(REPLICA, name).await.unwrap_or_default();
            let old = |id: &String| id == "g0";
            assert!(there.iter().all(old), "{name} is made again out of turn: {there:?}");
        }
        let tried = world.proxies[REPLICA].faults();
        let again = async {
            while generation < 8 && world.proxies[REPLICA].faults() == tried {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        in_time("what waits is tried again", again).await;
    }
    world.proxies[REPLICA].clear();
    assert_eq!(world.identical().await.records, 9);
    for server in 0..2 {
        for name in names {
            let last: Vec<String> = (0..3).map(|n| format!("g14-{n}")).collect();
            assert_eq!(world.ids_on(server, name).await, Some(last), "{name} on {server}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_return_within_one_health_cycle_are_each_recovered_once() {
    let mut world = World::behind_proxies(|setup| setup.variable("ISOCHROME_HEALTH_INTERVAL_MS", "2000"));
    let docs = world.api.new_collection("docs").await;
    world.api.add(&docs, &record("before", 0)).await.success();
    world.identical().await;
    world.proxies.iter().for_each(|proxy| proxy.set(Mode::Refuse));
    world.await_up(0);
    let promise = async |verb: &str, body: &Value| {
        let url = world.api.collections(&format!("/{docs}/{verb}"));
        let mut request = request(Method::POST, &url, Some(body));
        request.headers_mut().insert("prefer", "respond-async".parse().expect("a header"));
        world.api.http.send(request).await.expect("an answer").expect(202);
    };
    // Each must be alone: it conflicts with the one before it. A second execution would show in what is left.
    for n in 1..=10 {
        promise("add", &record("again", n)).await;
        promise("delete", &json!({ "ids": ["again"] })).await;
    }
    promise("add", &record("again", 99)).await;
    let (before, told) = (deliveries(&world).await, world.isochrome.log().len());
    world.proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
    world.await_up(2);
    assert_eq!(world.identical().await.records, 2);
    let seen = world.api.post(&docs, "get", &json!({ "ids": ["again"] })).await.success().json();
    assert_eq!(seen["metadatas"], json!([{ "n": 99 }]));
    assert_eq!(deliveries(&world).await - before, 42, "21 writes to each of two");
    let log = world.isochrome.log()[told..].to_owned();
    for name in ["primary", "replica"] {
        let up = log.lines().filter(|line| line.contains("instance is up") && line.contains(name)).count();
        assert_eq!(up, 1, "{name}: {log}");
    }
    assert_eq!(world.proxies.iter().map(Proxy::faults).sum::<u64>(), 0);
}

/// Writes of records that were delivered so far, to any instance.
async fn deliveries(world: &World) -> u64 {
    let page = world.api.http.get(&format!("{}/metrics", world.isochrome.url())).await.success().text();
    let sums = page.lines().filter(|line| line.starts_with("isochrome_run_writes_sum{"));
    let whole =
        |line: &str| line.rsplit(' ').next().and_then(|number| number.split('.').next()?.parse::<u64>().ok());
    let of = |line: &str| whole(line).unwrap_or_else(|| panic!("no number: {line}"));
    sums.filter(|line| line.contains("add") || line.contains("delete")).map(of).sum()
}
