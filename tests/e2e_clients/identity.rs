//! One public id for each collection, however it is written, wherever it shows.

use serde_json::json;

use crate::cluster::{Cluster, new_space};
use crate::support::api::{Api, id_of, records};
use crate::support::proxy::{Fault, Rule, answer_bytes};

#[tokio::test]
async fn the_id_that_a_client_holds_works_on_whichever_server_is_left() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("held").await;
    api.add(&id, &records(&["a", "b"])).await.expect(201);
    for down in [0, 1] {
        cluster.settle().await;
        cluster.servers[down].kill();
        let new = format!("during-{down}");
        api.add(&id, &records(&[&new])).await.expect(201);
        assert!(api.ids(&id).await.contains(&new));
        let query = json!({ "query_embeddings": [[0.1, 0.2, 0.3]], "n_results": 1 });
        api.post(&id, "query", &query).await.expect(200);
        assert_eq!(api.count(&id).await, 3);
        let changed = json!({ "ids": [new], "documents": ["changed"] });
        api.post(&id, "update", &changed).await.expect(200);
        api.post(&id, "upsert", &records(&["a"])).await.expect(200);
        let deleted = api.post(&id, "delete", &json!({ "ids": [new] })).await.expect(200);
        assert_eq!(deleted.json(), json!({ "deleted": 1 }));
        assert_eq!(id_of(&api.describe("held").await.expect(200)), id);
        cluster.servers[down].restart();
        cluster.await_state(down, "up").await;
    }
    cluster.await_identical(&api).await;
}

#[tokio::test]
async fn fifty_looks_at_a_collection_show_one_id_and_no_server_s_own() {
    let cluster = Cluster::shared();
    let api = cluster.space("one-id").await;
    let id = api.new_collection("looked-at").await;
    cluster.settle().await;
    for _ in 0..50 {
        assert_eq!(id_of(&api.describe("looked-at").await.expect(200)), id);
    }
    api.add(&id, &records(&["a"])).await.expect(201);
    for server in cluster.direct(&api) {
        let own = id_of(&server.describe("looked-at").await.expect(200));
        assert_ne!(own, id);
        let error = api.add(&own, &records(&["b"])).await.expect(404);
        assert_eq!(error.json()["message"], format!("Collection [{own}] does not exist."));
    }
    assert_eq!(cluster.await_identical(&api).await.records, 1);
}

#[tokio::test]
async fn every_spelling_of_the_id_and_the_name_mean_the_same_collection() {
    let cluster = Cluster::shared();
    let api = cluster.space("spellings").await;
    let id = api.new_collection("spelled").await;
    let plain = id.replace('-', "");
    let spellings = [
        id.clone(),
        id.to_uppercase(),
        plain.clone(),
        format!("%7B{id}%7D"),
        format!("urn:uuid:{id}"),
        "spelled".to_owned(),
    ];
    for (number, spelling) in spellings.iter().enumerate() {
        let record = format!("r{number}");
        api.add(spelling, &records(&[&record])).await.expect(201);
        assert_eq!(api.count(spelling).await, number as u64 + 1, "{spelling}");
        assert_eq!(id_of(&api.describe(spelling).await.expect(200)), id, "{spelling}");
    }
    for spelling in &spellings[..5] {
        let by_id = api.http.get(&api.collections(&format!("/by-id/{spelling}"))).await.expect(200);
        assert_eq!(id_of(&by_id), id);
    }
    let renamed = json!({ "new_name": "renamed" });
    api.http.put(&api.collections(&format!("/{plain}")), &renamed).await.expect(200);
    assert_eq!(id_of(&api.describe("renamed").await.expect(200)), id);
    api.describe("spelled").await.expect(404);
    api.count(&id).await;
    api.drop(&id.to_uppercase()).await.expect(200);
    let error = api.post(&plain, "get", &json!({})).await.expect(404);
    assert_eq!(error.json()["message"], format!("Collection [{id}] does not exist."));
    api.drop("renamed").await.expect(404);
}

#[tokio::test]
async fn a_path_with_another_tenant_or_database_does_not_reach_a_collection() {
    let cluster = Cluster::shared();
    let owner = cluster.space("owner").await;
    let id = owner.new_collection("private").await;
    let stranger = new_space(&cluster.isochrome.url(), "stranger").await;
    let elsewhere = Api { database: "elsewhere".to_owned(), ..owner.clone() };
    for api in [&stranger, &elsewhere, &cluster.api()] {
        api.add(&id, &records(&["a"])).await.expect(404);
        api.post(&id, "get", &json!({})).await.expect(404);
        api.post(&id, "delete", &json!({ "ids": ["a"] })).await.expect(404);
        api.http.get(&api.collections(&format!("/{id}/count"))).await.expect(404);
        api.http.get(&api.collections(&format!("/by-id/{id}"))).await.expect(404);
        api.http.put(&api.collections(&format!("/{id}")), &json!({ "new_name": "mine" })).await.expect(404);
        api.drop(&id).await.expect(404);
        api.drop("private").await.expect(404);
    }
    assert_eq!(owner.count(&id).await, 0);
}

#[tokio::test]
async fn our_own_place_on_the_servers_is_not_shown() {
    let cluster = Cluster::shared();
    let ours = Api {
        tenant: "isochrome_system".to_owned(),
        database: "isochrome_system".to_owned(),
        ..cluster.api()
    };
    for server in cluster.direct(&ours) {
        server.describe("marker").await.expect(200);
    }
    ours.describe("marker").await.expect(404);
    ours.drop("marker").await.expect(404);
    let base = cluster.isochrome.url();
    ours.http.get(&format!("{base}/api/v2/tenants/isochrome_system")).await.expect(404);
    let list = ours.http.get(&ours.collections("")).await.expect(200);
    assert_eq!(list.json(), json!([]));
    let name = json!({ "name": "isochrome_system" });
    let refused = ours.http.post(&format!("{base}/api/v2/tenants"), &name).await;
    assert!((400..500).contains(&refused.status), "{refused}");
}

#[tokio::test]
async fn error_messages_of_either_server_name_the_public_id() {
    let cluster = Cluster::behind_proxies(|setup| setup);
    let api = cluster.api();
    let id = api.new_collection("named").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    cluster.settle().await;
    let direct = cluster.direct(&api);
    for (place, server) in direct.iter().enumerate() {
        let own = id_of(&server.describe("named").await.expect(200));
        let words = json!({ "error": "InvalidArgumentError", "message": format!("no luck with [{own}]") });
        let answer = answer_bytes("400 Bad Request", "application/json", &words.to_string());
        for path in ["/get", "/query"] {
            cluster.proxies[place].rule(Rule {
                method: "POST",
                path: format!("{own}{path}"),
                times: u32::MAX,
                fault: Fault::Replace(answer.clone()),
            });
        }
    }
    for n in 0..10 {
        let query = json!({ "query_embeddings": [[n, 0.2, 0.3]], "n_results": 1 });
        let error = api.post(&id, "query", &query).await.expect(400);
        assert_eq!(error.json()["message"], format!("no luck with [{id}]"));
    }
}
