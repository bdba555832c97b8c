//! The use cases that people know: the primary is down, the replica is down.

use serde_json::{Value, json};

use super::support::api::{Api, id_of, records};
use super::world::{World, record};

/// One of each operation on a collection known by its id, and on new ones.
async fn work(api: &Api, docs: &str, round: &str) {
    let name = |what: &str| format!("{what}-{round}");
    api.add(docs, &records(&[&name("a"), &name("b"), &name("c")])).await.success();
    api.post(docs, "upsert", &record(&name("a"), 7)).await.success();
    api.post(docs, "update", &json!({ "ids": [name("b")], "documents": ["altered"] })).await.success();
    let deleted = api.post(docs, "delete", &json!({ "ids": [name("c")] })).await.success();
    assert_eq!(deleted.json()["deleted"], 1);
    let got = api.post(docs, "get", &json!({ "ids": [name("a"), name("b"), name("c")] })).await.success();
    assert_eq!(got.json()["ids"], json!([name("a"), name("b")]));
    assert_eq!(got.json()["documents"], json!([format!("document 7 of a-{round}"), "altered"]));
    let query = json!({ "query_embeddings": [[7.0, 0.5, -1.25]], "n_results": 1, "include": ["distances"] });
    let near: Value = api.post(docs, "query", &query).await.success().json();
    assert_eq!(near["distances"][0][0], 0.0);

    let fresh = id_of(&api.create(&json!({ "name": name("fresh") })).await.success());
    api.add(&fresh, &record("only", 1)).await.success();
    assert_eq!(api.count(&fresh).await, 1);
    let passing = api.new_collection(&name("passing")).await;
    api.add(&passing, &record("gone", 1)).await.success();
    api.drop(&name("passing")).await.success();
    api.describe(&name("passing")).await.expect(404);
}

async fn down_and_back(which: usize) {
    let mut world = World::new(2, |setup| setup);
    let docs = world.api.new_collection("docs").await;
    work(&world.api, &docs, "before").await;

    world.servers[which].kill();
    work(&world.api, &docs, "down").await;
    assert_eq!(id_of(&world.api.describe("docs").await), docs, "one id, whoever answers");

    world.servers[which].restart();
    world.await_up(2);
    let caught_up = world.identical().await;
    assert_eq!((caught_up.collections, caught_up.records), (3, 6));

    work(&world.api, &docs, "after").await;
    world.servers[1 - which].kill();
    work(&world.api, &docs, "other").await;
    world.servers[1 - which].restart();
    world.await_up(2);
    let same = world.identical().await;
    assert_eq!((same.collections, same.records), (5, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn use_case_primary_down() {
    down_and_back(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn use_case_replica_down() {
    down_and_back(1).await;
}
