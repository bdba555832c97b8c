//! Writes as their senders see them: one id, one execution, one outcome that can be asked for.

use serde_json::{Value, json};

use crate::cluster::{Cluster, join_all, post_as, post_with};
use crate::support::api::{Api, records};
use crate::support::chroma::Chroma;
use crate::support::http::Answer;

fn transaction_of(answer: &Answer) -> &str {
    answer.header("transaction-id").expect("a transaction id")
}

#[tokio::test]
async fn every_write_has_an_id_and_one_that_is_given_comes_back() {
    let cluster = Cluster::shared();
    let api = cluster.space("transaction-ids").await;
    let id = api.new_collection("ids").await;
    for header in ["Transaction-ID", "X-Transaction-ID", "Idempotency-Key"] {
        let given = format!("given-by-{header}");
        let answer = post_with(&api, (&id, "add"), &records(&[&given]), &[(header, &given)]).await;
        assert_eq!(transaction_of(&answer.expect(201)), given);
        cluster.transaction(&given, 0).await.expect(200);
    }
    let ours = api.add(&id, &records(&["a"])).await.expect(201);
    cluster.transaction(transaction_of(&ours), 0).await.expect(200);
    let create = api.create(&json!({ "name": "also-a-write" })).await.expect(200);
    cluster.transaction(transaction_of(&create), 0).await.expect(200);
    assert_ne!(transaction_of(&ours), transaction_of(&create));
    let read = api.post(&id, "get", &json!({})).await.expect(200);
    assert_eq!(read.header("transaction-id"), None, "reads are no transactions");
    let contradicting = [("transaction-id", "one"), ("idempotency-key", "two")];
    post_with(&api, (&id, "add"), &records(&["b"]), &contradicting).await.expect(400);
    let unknown = cluster.transaction("never-heard-of", 0).await.expect(404);
    assert_eq!(unknown.json()["error"], "NotFoundError");
}

#[tokio::test]
async fn the_same_request_under_the_same_id_is_executed_once_and_another_is_refused() {
    let cluster = Cluster::shared();
    let api = cluster.space("once").await;
    let id = api.new_collection("once").await;
    api.add(&id, &records(&["a", "b", "c"])).await.expect(201);
    let delete = json!({ "where": { "n": { "$gte": 0 } }, "limit": 1 });
    for _ in 0..3 {
        // Executed again it would delete another record.
        let answer = post_as(&api, (&id, "delete"), &delete, "delete-one").await.expect(200);
        assert_eq!(answer.json(), json!({ "deleted": 1 }));
        assert_eq!(transaction_of(&answer), "delete-one");
    }
    assert_eq!(api.ids(&id).await, ["b", "c"]);
    let other = json!({ "where": { "n": { "$gte": 0 } }, "limit": 2 });
    for (verb, body) in [("delete", &other), ("get", &delete), ("add", &records(&["d"]))] {
        let answer = post_as(&api, (&id, verb), body, "delete-one").await;
        if verb == "get" {
            answer.expect(200);
        } else {
            answer.expect(422);
        }
    }
    let create = json!({ "name": "created-once" });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = http::Request::post(api.collections(""))
            .header("content-type", "application/json")
            .header("idempotency-key", "create-one")
            .body(create.to_string().into());
        let answer = api.http.send(request.expect("a request")).await.expect("an answer").expect(200);
        ids.push(answer.json()["id"].clone());
    }
    assert_eq!(ids[0], ids[1], "no 409");
    assert_eq!(api.ids(&id).await, ["b", "c"]);
    cluster.await_identical(&api).await;
}

/// 40 senders of the same delete of one record at once.
async fn all_at_once(api: &Api, id: &str, transaction: &str) -> Vec<Answer> {
    let send = |_| {
        let (api, id, transaction) = (api.clone(), id.to_owned(), transaction.to_owned());
        let delete = json!({ "where": { "n": { "$gte": 0 } }, "limit": 1 });
        async move { post_as(&api, (&id, "delete"), &delete, &transaction).await }
    };
    join_all((0..40).map(send)).await
}

#[tokio::test]
async fn senders_at_once_and_after_a_restart_get_the_one_outcome() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("crowd").await;
    api.add(&id, &records(&["a", "b", "c", "d"])).await.expect(201);
    for answer in all_at_once(&api, &id, "crowd").await {
        assert_eq!(answer.expect(200).json(), json!({ "deleted": 1 }));
    }
    assert_eq!(api.count(&id).await, 3);
    let refused = json!({ "ids": ["x"], "embeddings": [[1, 2]] });
    let words = post_as(&api, (&id, "add"), &refused, "refused").await.expect(400).json();
    cluster.isochrome.kill();
    cluster.isochrome.restart();
    let api = cluster.api();
    for answer in all_at_once(&api, &id, "crowd").await {
        assert_eq!(answer.expect(200).json(), json!({ "deleted": 1 }));
    }
    assert_eq!(api.count(&id).await, 3, "nothing was executed again");
    assert_eq!(post_as(&api, (&id, "add"), &refused, "refused").await.expect(400).json(), words);
    post_as(&api, (&id, "add"), &records(&["y"]), "crowd").await.expect(422);
    for answer in all_at_once(&api, &id, "crowd-2").await {
        answer.expect(200);
    }
    assert_eq!(api.count(&id).await, 2);
    cluster.await_identical(&api).await;
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z') && text.contains('T'))
}

#[tokio::test]
async fn the_fate_of_a_write_is_told_for_each_instance() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("fate").await;
    post_as(&api, (&id, "add"), &records(&["a"]), "both").await.expect(201);
    let told = cluster.await_applied("both").await;
    assert_eq!(told["transaction_id"], "both");
    assert_eq!((&told["method"], &told["result"]["status"]), (&json!("POST"), &json!(201)));
    assert!(told["path"].as_str().is_some_and(|path| path.ends_with("/add")), "{told}");
    assert!(is_time(&told["accepted_at"]) && is_time(&told["decided_at"]), "{told}");
    assert!(told["decided_at"].as_str() >= told["accepted_at"].as_str(), "{told}");
    cluster.servers[1].kill();
    post_as(&api, (&id, "add"), &records(&["b"]), "one").await.expect(201);
    let told = cluster.transaction("one", 0).await.expect(200).json();
    assert_eq!(told["state"], "committed");
    assert_eq!(told["instances"], json!({ "primary": "applied", "replica": "pending" }));
    cluster.servers[1].restart();
    cluster.await_applied("one").await;
}

#[tokio::test]
async fn without_any_instance_a_write_is_promised_and_kept() {
    let mut cluster = Cluster::start_as(|setup| {
        setup.variable("ISOCHROME_WRITE_WAIT_MS", "300").variable("ISOCHROME_READ_WAIT_MS", "300")
    });
    let api = cluster.api();
    let id = api.new_collection("promised").await;
    cluster.settle().await;
    cluster.servers.iter_mut().for_each(Chroma::kill);
    let answer = post_as(&api, (&id, "add"), &records(&["a"]), "promise").await.expect(503);
    assert_eq!(transaction_of(&answer), "promise");
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{answer}");
    let message = answer.json()["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("is logged") && message.contains("will be applied"), "{message}");
    assert!(message.contains("promise"), "{message}");
    let read = api.post(&id, "get", &json!({})).await.expect(503);
    assert!(read.header("retry-after").is_some(), "{read}");
    let told = cluster.transaction("promise", 100).await.expect(200).json();
    assert_eq!((&told["state"], &told["result"]), (&json!("logged"), &Value::Null));
    assert_eq!(told["instances"], json!({ "primary": "pending", "replica": "pending" }));
    // The sender comes again: the same write, still open.
    post_as(&api, (&id, "add"), &records(&["a"]), "promise").await.expect(503);

    cluster.isochrome.kill();
    cluster.isochrome.relaunch();
    cluster.servers.iter_mut().for_each(Chroma::restart);
    cluster.isochrome.await_ready();
    let api = cluster.api();
    let told = cluster.transaction("promise", 60_000).await.expect(200).json();
    assert_eq!((&told["state"], &told["result"]["status"]), (&json!("committed"), &json!(201)));
    cluster.await_applied("promise").await;
    post_as(&api, (&id, "add"), &records(&["a"]), "promise").await.expect(201);
    assert_eq!(api.ids(&id).await, ["a"]);
    assert_eq!(cluster.await_identical(&api).await.records, 1);
}
