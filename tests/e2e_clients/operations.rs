//! Single operations that went wrong before: refusals, deletes, names.

use serde_json::json;

use crate::cluster::{Cluster, post_as};
use crate::support::api::{Api, id_of, records};

#[tokio::test]
async fn a_refused_write_is_nowhere_and_leaves_nothing_to_replay() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("strict").await;
    api.add(&id, &records(&["first"])).await.expect(201);
    let refused = [
        (400, json!({ "ids": ["two"], "embeddings": [[1, 2]] })),
        (422, json!({ "ids": ["none"] })),
        (400, json!({ "ids": [""], "embeddings": [[1, 2, 3]] })),
        (400, json!({ "ids": ["x", "y"], "embeddings": [[1, 2, 3]] })),
        (400, json!({ "ids": ["key"], "embeddings": [[1, 2, 3]], "metadatas": [{ "#k": 1 }] })),
        (422, json!({ "ids": ["nested"], "embeddings": [[1, 2, 3]], "metadatas": [{ "k": { "a": 1 } }] })),
    ];
    for (number, (status, body)) in refused.iter().enumerate() {
        let answer = post_as(&api, (&id, "add"), body, &format!("refused-{number}")).await.expect(*status);
        let told = cluster.transaction(&format!("refused-{number}"), 0).await;
        if told.status == 200 {
            let told = told.json();
            assert_eq!(told["state"], "rejected", "{told}");
            assert_eq!(told["result"]["status"], *status, "{told}");
            assert_eq!(told["result"]["body"], answer.json());
            assert_eq!(told["instances"], json!({ "primary": "void", "replica": "void" }));
        }
    }
    let stranger = "0ddba11c-0000-4000-8000-000000000000";
    post_as(&api, (stranger, "add"), &records(&["lost"]), "stranger").await.expect(404);
    cluster.transaction("stranger", 0).await.expect(404);
    cluster.settle().await;
    assert_eq!(cluster.await_identical(&api).await.records, 1);

    cluster.isochrome.kill();
    cluster.isochrome.restart();
    let api = cluster.api();
    cluster.settle().await;
    assert_eq!(api.ids(&id).await, ["first"]);
    assert_eq!(cluster.await_identical(&api).await.records, 1);
    let told = cluster.transaction("refused-0", 0).await.expect(200).json();
    assert_eq!(told["state"], "rejected", "refused stays refused");
}

#[tokio::test]
async fn deleting_one_record_leaves_those_with_the_same_metadata() {
    let cluster = Cluster::shared();
    let api = cluster.space("siblings").await;
    let id = api.new_collection("chunks").await;
    let same = json!({ "document_id": "doc-1" });
    let body = json!({
        "ids": ["a", "b", "c"],
        "embeddings": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "metadatas": [same, same, same],
    });
    api.add(&id, &body).await.expect(201);
    let deleted = api.post(&id, "delete", &json!({ "ids": ["a"] })).await.expect(200);
    assert_eq!(deleted.json(), json!({ "deleted": 1 }));
    cluster.settle().await;
    for server in cluster.direct(&api) {
        let own = id_of(&server.describe("chunks").await.expect(200));
        assert_eq!(server.ids(&own).await, ["b", "c"]);
    }
}

async fn behaves_as_any_other(api: &Api, name: &str) {
    let id = api.new_collection(name).await;
    assert_eq!(id_of(&api.describe(name).await.expect(200)), id);
    for collection in [id.as_str(), name] {
        api.add(collection, &records(&["a", "b"])).await.expect(201);
        api.post(collection, "upsert", &records(&["b", "c"])).await.expect(200);
        api.post(collection, "update", &json!({ "ids": ["a"], "documents": ["x"] })).await.expect(200);
        let query = json!({ "query_embeddings": [[0, 0, 0]], "n_results": 1 });
        api.post(collection, "query", &query).await.expect(200);
        assert_eq!(api.count(collection).await, 3, "{name}");
        api.post(collection, "delete", &json!({ "ids": ["a", "b", "c"] })).await.expect(200);
        assert_eq!(api.ids(collection).await, [""; 0], "{name}");
    }
    api.add(&id, &records(&["kept"])).await.expect(201);
    let again = api.create(&json!({ "name": name })).await.expect(409).json();
    assert_eq!(again["message"], format!("Collection [{name}] already exists"));
}

#[tokio::test]
async fn names_that_look_like_operations_mean_nothing_else() {
    let cluster = Cluster::shared();
    let api = cluster.space("names").await;
    let longest = "n".repeat(512);
    let names = [
        "add",
        "get-x",
        "updates",
        "count1",
        "queries",
        "delete",
        "abc",
        "upsert",
        "query",
        "count",
        "a.b.c",
        "collections",
        "reset",
        "tenants",
        "Add",
        &longest,
    ];
    for name in names {
        behaves_as_any_other(&api, name).await;
    }
    // These mean something else where a path names a collection; by id they are as good as any.
    for name in ["by-id", "0ddba11c-0000-4000-8000-000000000001"] {
        let id = api.new_collection(name).await;
        api.add(&id, &records(&["kept"])).await.expect(201);
        assert_eq!(id_of(&api.describe(name).await.expect(200)), id);
    }
    let same = cluster.await_identical(&api).await;
    assert_eq!((same.collections, same.records), (names.len() + 2, names.len() + 2));
    for name in names {
        api.drop(name).await.expect(200);
        api.describe(name).await.expect(404);
    }
    assert_eq!(cluster.await_identical(&api).await.collections, 2);
}

#[tokio::test]
async fn the_same_name_in_two_tenants_and_two_databases_is_three_collections() {
    let cluster = Cluster::shared();
    let one = cluster.space("delete").await;
    let two = cluster.space("get").await;
    let third = Api { database: "count".to_owned(), ..one.clone() };
    let databases = format!("{}/api/v2/tenants/delete/databases", one.base);
    one.http.post(&databases, &json!({ "name": "count" })).await.expect(200);
    let mut ids = Vec::new();
    for (api, record) in [(&one, "1"), (&two, "2"), (&third, "3")] {
        let id = api.new_collection("add").await;
        api.add("add", &records(&[record])).await.expect(201);
        assert_eq!(api.ids(&id).await, [record]);
        ids.push(id);
    }
    one.drop("add").await.expect(200);
    assert_eq!((two.ids(&ids[1]).await, third.ids(&ids[2]).await), (vec!["2".into()], vec!["3".into()]));
    one.http.delete(&format!("{databases}/count")).await.expect(200);
    third.post(&ids[2], "get", &json!({})).await.expect(404);
    assert_eq!(two.count(&ids[1]).await, 1);
    assert_eq!(cluster.await_identical(&one).await.collections, 0);
    assert_eq!(cluster.await_identical(&two).await.records, 1);
}
