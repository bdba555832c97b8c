//! A server's disk is lost: emptied while it was stopped.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::api::{Api, id_of};
use super::support::load::Kind;
use super::world::{World, assert_served};

/// Collections whose settings must survive: none of them is what a plain create makes.
fn descriptions() -> [Value; 4] {
    [
        json!({
            "name": "cosine", "metadata": { "a": 1, "f": 1.0, "s": "x", "b": true },
            "configuration": { "hnsw": {
                "space": "cosine", "ef_construction": 77, "ef_search": 33, "max_neighbors": 9,
                "resize_factor": 1.5, "sync_threshold": 500
            } }
        }),
        json!({ "name": "older", "metadata": { "hnsw:space": "ip", "hnsw:M": 8, "hnsw:search_ef": 21 } }),
        json!({ "name": "legacy", "configuration": { "embedding_function": { "type": "legacy" } } }),
        json!({ "name": "empty", "metadata": { "kept": "yes" } }),
    ]
}

async fn fill(world: &World) {
    for (number, description) in descriptions().iter().enumerate() {
        world.collection(description, [40, 40, 40, 0][number]).await;
    }
    // A dimension without a record, and a metadata key that no record has any more.
    let emptied = world.collection(&json!({ "name": "emptied" }), 3).await;
    let all = json!({ "ids": ["r0", "r1", "r2"] });
    world.api.post(&emptied, "delete", &all).await.success();
    let tenants = format!("{}/api/v2/tenants", world.isochrome.url());
    world.api.http.post(&tenants, &json!({ "name": "another" })).await.success();
    let databases = format!("{tenants}/another/databases");
    world.api.http.post(&databases, &json!({ "name": "elsewhere" })).await.success();
    let mut api: Api = world.api.clone();
    (api.tenant, api.database) = ("another".to_owned(), "elsewhere".to_owned());
    let id = api.new_collection("far").await;
    api.add(&id, &super::world::records_of(&[1, 2, 3])).await.success();
}

/// The distances that a server answers to some queries, by query and id.
async fn distances(world: &World, server: usize, name: &str) -> BTreeMap<(usize, String), f64> {
    let direct = world.api.at(&world.servers[server].url());
    let id = id_of(&direct.describe(name).await.success());
    let mut all = BTreeMap::new();
    for (query, vector) in
        [[1.0, 0.2, 0.0, 0.0], [-0.3, 1.5, 0.01, 2.0], [0.5, -0.5, 0.5, -0.5]].iter().enumerate()
    {
        let ask = json!({ "query_embeddings": [vector], "n_results": 40, "include": ["distances"] });
        let found = direct.post(&id, "query", &ask).await.success().json();
        let ids: Vec<String> = serde_json::from_value(found["ids"][0].clone()).expect("ids");
        let near: Vec<f64> = serde_json::from_value(found["distances"][0].clone()).expect("distances");
        all.extend(ids.into_iter().map(|id| (query, id)).zip(near));
    }
    all
}

/// What both servers find is as far away on both. The search is not exact: each may miss a few.
async fn assert_same_distances(world: &World, name: &str) {
    let [ours, others] = [distances(world, 0, name).await, distances(world, 1, name).await];
    // Vectors of a cosine collection come back scaled, and are scaled again.
    let room = if name == "cosine" { 1e-6 } else { 0.0 };
    let both = ours.iter().filter_map(|(key, ours)| Some((key, ours, others.get(key)?)));
    let far = |(_, ours, other): &(_, &f64, &f64)| (*ours - *other).abs() > room;
    assert_eq!(both.clone().filter(far).collect::<Vec<_>>(), [], "{name}");
    assert!(both.count() >= 90, "{name}: only a part of 3 times 40 is found");
}

async fn loses_its_disk(which: usize) {
    let mut world = World::new(2, 250);
    fill(&world).await;
    let docs = world.collection(&json!({ "name": "docs" }), 1_500).await;
    let load = world.load(&docs);
    let acknowledged = load.acknowledged();
    while acknowledged.count() < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.servers[which].wipe();
    world.servers[which].restart();
    world.await_instance(which, "being rebuilt", |found| found["rebuilds"] != json!([])).await;
    world.await_rebuilt(which).await;
    let during = acknowledged.count();
    while acknowledged.count() < during + 20 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let report = load.stop().await;
    eprintln!(
        "instance {which} was filled again: {} writes and {} reads meanwhile, longest pause {} ms in writes",
        report.of(Kind::Write).count(),
        report.of(Kind::Read).count(),
        report.longest_pause(Kind::Write).as_millis()
    );
    assert_served(&report);
    let same = world.identical().await;
    assert_eq!(same.collections, 7);
    let direct = world.api.at(&world.servers[which].url());
    for description in descriptions() {
        let name = description["name"].as_str().expect("a name");
        let found = direct.describe(name).await.success().json();
        assert_eq!(found["metadata"], description["metadata"], "{name}");
    }
    let cosine = direct.describe("cosine").await.success().json();
    let hnsw = &cosine["configuration_json"]["hnsw"];
    let given = (&hnsw["space"], &hnsw["ef_construction"], &hnsw["max_neighbors"], &hnsw["sync_threshold"]);
    assert_eq!(given, (&json!("cosine"), &json!(77), &json!(9), &json!(500)));
    let legacy = direct.describe("legacy").await.success().json();
    assert_eq!(legacy["configuration_json"]["embedding_function"], json!({ "type": "legacy" }));
    for name in ["cosine", "older", "legacy"] {
        assert_same_distances(&world, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lost_its_disk_is_filled_again_under_reads_and_writes() {
    loses_its_disk(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_lost_its_disk_is_filled_again_under_reads_and_writes() {
    loses_its_disk(0).await;
}
