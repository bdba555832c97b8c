//! The use cases of the predecessor.

use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE, join_all};
use crate::support::api::records;
use crate::support::process::End;

#[tokio::test]
async fn normal_operation_keeps_both_copies_identical() {
    let cluster = Cluster::shared();
    let api = cluster.space("normal").await;
    let kept = api.new_collection("kept").await;
    let gone = api.new_collection("gone").await;
    for id in [&kept, &gone] {
        api.add(id, &records(&["a", "b", "c", "d"])).await.expect(201);
    }
    let query = json!({ "query_embeddings": [[2.1, 0.2, 0.3]], "n_results": 2 });
    let found = api.post(&kept, "query", &query).await.expect(200).json();
    assert_eq!(found["ids"][0][0], "c", "{found}");
    api.post(&kept, "upsert", &json!({ "ids": ["e"], "embeddings": [[9, 9, 9]] })).await.expect(200);
    api.post(&kept, "update", &json!({ "ids": ["a"], "documents": ["new"] })).await.expect(200);
    let deleted = api.post(&kept, "delete", &json!({ "where": { "n": { "$lte": 1 } } })).await.expect(200);
    assert_eq!(deleted.json(), json!({ "deleted": 2 }));
    api.drop("gone").await.expect(200);

    assert_eq!(api.ids(&kept).await, ["c", "d", "e"]);
    let same = cluster.await_identical(&api).await;
    assert_eq!((same.collections, same.records), (1, 3));
    for server in cluster.direct(&api) {
        server.describe("gone").await.expect(404);
    }
}

fn documents(collection: usize, batch: usize) -> Value {
    let numbers = || (0..5).map(move |n| batch * 5 + n);
    json!({
        "ids": numbers().map(|n| format!("c{collection}-{n}")).collect::<Vec<_>>(),
        "embeddings": numbers().map(|n| vec![n as f32 * 0.01 + 0.5; 64]).collect::<Vec<_>>(),
        "documents": numbers().map(|n| format!("document {n} of {collection}")).collect::<Vec<_>>(),
        "metadatas": numbers().map(|n| json!({ "n": n })).collect::<Vec<_>>(),
    })
}

#[tokio::test]
async fn load_of_ten_collections_and_five_hundred_documents_stays_small_and_identical() {
    let cluster = Cluster::start();
    let api = cluster.api();
    let create = |name: String| {
        let api = api.clone();
        async move { api.new_collection(&name).await }
    };
    let ids = join_all((0..10).map(|n| create(format!("load-{n}")))).await;
    let fill = |(collection, id): (usize, String)| {
        let api = api.clone();
        async move {
            for batch in 0..10 {
                api.add(&id, &documents(collection, batch)).await.expect(201);
            }
        }
    };
    join_all(ids.into_iter().enumerate().map(fill)).await;
    let concurrent = join_all((0..30).map(|n| create(format!("concurrent-{n}")))).await;

    let count = api.http.get(&api.collections("_count")).await.expect(200).json();
    assert_eq!(count, 10 + concurrent.len());
    let mebibytes = cluster.isochrome.memory_kib() / 1024;
    assert!(mebibytes < 400, "{mebibytes} MiB");
    let same = cluster.await_identical(&api).await;
    assert_eq!((same.collections, same.records), (40, 500));
}

#[tokio::test]
async fn either_server_may_be_down_for_a_while() {
    for down in [0, 1] {
        let mut cluster = Cluster::start();
        let api = cluster.api();
        let id = api.new_collection("outage").await;
        api.add(&id, &records(&["before"])).await.expect(201);
        cluster.settle().await;
        cluster.servers[down].kill();
        api.add(&id, &records(&["during"])).await.expect(201);
        assert_eq!(api.ids(&id).await, ["before", "during"]);
        let other = api.new_collection("new").await;
        api.add(&other, &records(&["x"])).await.expect(201);
        cluster.servers[down].restart();
        cluster.await_identical(&api).await;
        let end = cluster.isochrome.terminate(PATIENCE);
        assert_eq!(end, End::Code(0));
    }
}
