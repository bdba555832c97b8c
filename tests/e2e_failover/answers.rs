//! Answers that break off, never come, or come late: each write has exactly one effect and its own answer.

use std::time::Duration;

use serde_json::json;

use super::support::api::{id_of, records};
use super::support::http::request;
use super::support::proxy::{Fault, Proxy, Rule};
use super::world::{World, record};

/// The server executes the request; nobody hears of it.
fn lose(world: &World, method: &'static str, path: &str) {
    for proxy in &world.proxies {
        proxy.rule(Rule { method, path: path.to_owned(), times: 1, fault: Fault::DropAnswer });
    }
}

fn assert_lost(world: &World, count: u64) {
    let lost: u64 = world.proxies.iter().map(Proxy::faults).sum();
    assert!(lost >= count, "only {lost} answers were lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_records_whose_answer_is_lost_has_one_effect() {
    let world = World::behind_proxies(|setup| setup);
    let api = &world.api;
    let docs = api.new_collection("docs").await;
    api.add(&docs, &records(&["x", "y", "z"])).await.success();
    world.identical().await;

    world.spoil("docs", "add", &Fault::DropAnswer).await;
    api.add(&docs, &record("a", 1)).await.expect(201);
    api.post(&docs, "delete", &json!({ "ids": ["a"] })).await.success();
    world.spoil("docs", "add", &Fault::DropAnswer).await;
    api.add(&docs, &record("a", 2)).await.expect(201);
    world.spoil("docs", "upsert", &Fault::DropAnswer).await;
    let merge = json!({ "ids": ["a"], "embeddings": [[1, 2, 3]], "metadatas": [{ "m": 1, "n": null }] });
    api.post(&docs, "upsert", &merge).await.expect(200);
    world.spoil("docs", "update", &Fault::DropAnswer).await;
    api.post(&docs, "update", &json!({ "ids": ["y"], "documents": ["new"] })).await.expect(200);
    world.spoil("docs", "delete", &Fault::DropAnswer).await;
    let by_predicate = api.post(&docs, "delete", &json!({ "where": { "n": 2 } })).await.expect(200);
    assert_eq!(by_predicate.json()["deleted"], 1, "z was there when the predicate was resolved");
    world.spoil("docs", "delete", &Fault::DropAnswer).await;
    let by_ids = api.post(&docs, "delete", &json!({ "ids": ["x", "never"] })).await.expect(200);
    assert_eq!(by_ids.json()["deleted"], 2, "as many as were named");

    world.identical().await;
    assert_lost(&world, 6);
    let all = json!({ "include": ["documents", "metadatas"] });
    let left = api.post(&docs, "get", &all).await.success().json();
    assert_eq!(left["ids"], json!(["y", "a"]));
    assert_eq!(left["documents"], json!(["new", "document 2 of a"]));
    assert_eq!(left["metadatas"], json!([{ "n": 1 }, { "m": 1 }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_entry_whose_answer_is_lost_has_one_effect() {
    let world = World::behind_proxies(|setup| setup);
    let api = &world.api;

    lose(&world, "POST", "/default_database/collections HTTP");
    let docs = id_of(&api.create(&json!({ "name": "docs", "metadata": { "k": 1 } })).await.success());
    api.add(&docs, &record("a", 1)).await.success();
    lose(&world, "PUT", "/default_database/collections/");
    let rename = json!({ "new_name": "papers" });
    api.http.put(&api.collections(&format!("/{docs}")), &rename).await.success();
    assert_eq!(id_of(&api.describe("papers").await.success()), docs);
    api.describe("docs").await.expect(404);
    lose(&world, "POST", "/default_tenant/databases HTTP");
    let databases = format!("{}/api/v2/tenants/default_tenant/databases", api.base);
    api.http.post(&databases, &json!({ "name": "other" })).await.success();
    let gone = api.new_collection("gone").await;
    api.add(&gone, &record("a", 1)).await.success();
    // A drop takes two requests; the answer of either may be lost.
    lose(&world, "DELETE", "/default_database/collections/");
    api.drop("gone").await.success();
    api.drop("gone").await.expect(404);
    lose(&world, "DELETE", "/databases/");
    api.http.delete(&format!("{databases}/other")).await.success();

    world.identical().await;
    assert_lost(&world, 5);
    for server in 0..2 {
        assert_eq!(world.ids_on(server, "papers").await, Some(vec!["a".to_owned()]));
        assert_eq!(world.ids_on(server, "gone").await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_no_answer() {
    let world = World::behind_proxies(|setup| setup);
    let api = &world.api;
    let docs = api.new_collection("docs").await;
    world.identical().await;
    for (round, fault) in [Fault::ResetAfter(20), Fault::CutAfterHeaders].into_iter().enumerate() {
        world.spoil("docs", "add", &fault).await;
        world.spoil("docs", "get", &fault).await;
        let id = format!("r{round}");
        api.add(&docs, &record(&id, 1)).await.expect(201);
        let seen = api.post(&docs, "get", &json!({ "ids": [id], "include": [] })).await.expect(200);
        assert_eq!(seen.json()["ids"], json!([id]));
        // Spends what is left of the rules before the next round.
        world.identical().await;
        world.proxies.iter().for_each(Proxy::clear);
    }
    assert_lost(&world, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_that_breaks_off_never_ends_cleanly() {
    let world = World::behind_proxies(|setup| setup);
    let api = &world.api;
    let docs = api.new_collection("docs").await;
    let long = json!({ "ids": ["long"], "embeddings": [[1, 2, 3]], "documents": ["x".repeat(2 << 20)] });
    api.add(&docs, &long).await.success();
    world.identical().await;
    for (server, proxy) in world.proxies.iter().enumerate() {
        let line = world.line(server, "docs", "get").await;
        proxy.rule(Rule { times: u32::MAX, ..Rule::once(&line, Fault::ResetAfter(1 << 20)) });
    }
    let get = request(
        http::Method::POST,
        &api.collections(&format!("/{docs}/get")),
        Some(&json!({ "ids": ["long"] })),
    );
    let broken = api.http.send(get).await;
    assert!(broken.is_err(), "half of an answer looked whole: {} bytes", broken.expect("it").body.len());
    world.proxies.iter().for_each(Proxy::clear);
    let whole = api.post(&docs, "get", &json!({ "ids": ["long"] })).await.success();
    assert!(whole.body.len() > 2 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_late_do_not_take_an_instance_out() {
    let world = World::behind_proxies(|setup| setup);
    let api = &world.api;
    let docs = api.new_collection("docs").await;
    api.add(&docs, &record("a", 0)).await.success();
    world.identical().await;
    for verb in ["upsert", "upsert", "get"] {
        world.spoil("docs", verb, &Fault::DelayAnswer(Duration::from_secs(3))).await;
    }
    for n in 1..=2 {
        api.post(&docs, "upsert", &record("a", n)).await.success();
        let seen = api.post(&docs, "get", &json!({ "ids": ["a"] })).await.success().json();
        assert_eq!(seen["documents"], json!([format!("document {n} of a")]));
    }
    world.identical().await;
    // Also a canary write may take its time, while heartbeats are answered.
    let spoilt = || world.proxies.iter().map(Proxy::faults).sum::<u64>();
    let before = spoilt();
    for proxy in &world.proxies {
        proxy.rule(Rule::once("/isochrome_system/", Fault::DelayAnswer(Duration::from_secs(3))));
    }
    while spoilt() < before + 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Long enough for a patience of a second or two to be over.
    tokio::time::sleep(Duration::from_secs(3)).await;
    api.post(&docs, "upsert", &record("a", 3)).await.success();
    world.identical().await;
    world.assert_never_down();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_that_keeps_a_server_busy_for_seconds_does_not_take_it_out() {
    let world = World::new(2, |setup| setup);
    let api = &world.api;
    let (docs, other) = (api.new_collection("docs").await, api.new_collection("other").await);
    let count = 1_000;
    let ids: Vec<String> = (0..count).map(|n| format!("r{n}")).collect();
    let body = |round: u32| {
        json!({
            "ids": ids,
            "embeddings": (0..count).map(|n| vec![(n * round) as f32; 128]).collect::<Vec<_>>(),
            "documents": ids.iter().map(|id| format!("{id} in round {round}")).collect::<Vec<_>>(),
        })
    };
    api.add(&docs, &body(1)).await.success();
    let slow = {
        let (api, docs, body) = (api.clone(), docs.clone(), body(2));
        tokio::spawn(async move { api.post(&docs, "upsert", &body).await })
    };
    // Others wait for the same writer, and are answered.
    for n in 0..5 {
        api.add(&other, &record(&format!("o{n}"), n)).await.success();
        assert_eq!(api.count(&other).await, n + 1);
    }
    slow.await.expect("the upsert ends").success();
    let same = world.identical().await;
    assert_eq!(same.records, count as usize + 5);
    world.assert_never_down();
}
