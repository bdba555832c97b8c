//! Broken answers of an instance: none is taken for a success, none reaches a client as one.

use serde_json::{Value, json};

use crate::cluster::{Cluster, post_as};
use crate::support::api::{Api, records};
use crate::support::proxy::{Fault, Proxy, Rule, answer_bytes};

fn spoil_reads(proxies: &[Proxy], times: u32, fault: &Fault) {
    for proxy in proxies {
        proxy.rule(Rule { method: "POST", path: "/get".to_owned(), times, fault: fault.clone() });
    }
}

async fn small(cluster: &Cluster) -> (Api, String) {
    let api = cluster.api();
    let id = api.new_collection("small").await;
    api.add(&id, &records(&["a", "b", "c"])).await.expect(201);
    cluster.settle().await;
    (api, id)
}

#[tokio::test]
async fn a_small_answer_that_breaks_off_is_asked_for_elsewhere() {
    let cluster = Cluster::behind_proxies(|setup| setup);
    let (api, id) = small(&cluster).await;
    let faults = [Fault::ResetAfter(150), Fault::CutAfterHeaders, Fault::DropAnswer];
    for (place, fault) in [0, 1, 0, 1].into_iter().zip(faults.iter().cycle()) {
        let spoilt = &cluster.proxies[place];
        let before = spoilt.faults();
        spoil_reads(&cluster.proxies[place..=place], 1, fault);
        let mut limit = 3;
        while spoilt.faults() == before {
            let answer = api.post(&id, "get", &json!({ "ids": ["a", "b", "c"], "limit": limit })).await;
            assert_eq!(answer.expect(200).json()["ids"], json!(["a", "b", "c"]), "{fault:?}");
            limit += 1;
        }
        cluster.await_state(place, "up").await;
    }
}

#[tokio::test]
async fn with_no_whole_answer_anywhere_the_client_gets_an_error() {
    let cluster = Cluster::behind_proxies(|setup| setup.variable("ISOCHROME_READ_WAIT_MS", "400"));
    let (api, id) = small(&cluster).await;
    for fault in [Fault::CutAfterHeaders, Fault::ResetAfter(150), Fault::DropAnswer] {
        spoil_reads(&cluster.proxies, u32::MAX, &fault);
        let answer = api.post(&id, "get", &json!({})).await.expect(503);
        assert!(answer.header("retry-after").is_some(), "{answer}");
        assert_eq!(answer.json()["error"], "InternalError");
        cluster.proxies.iter().for_each(Proxy::clear);
        cluster.await_state(0, "up").await;
        cluster.await_state(1, "up").await;
        assert_eq!(api.ids(&id).await, ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn a_large_answer_that_breaks_off_is_aborted_and_never_ended_cleanly() {
    let cluster = Cluster::behind_proxies(|setup| setup);
    let api = cluster.api();
    let id = api.new_collection("large").await;
    let ids: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let blobs: Vec<Value> = (0..40).map(|_| json!({ "blob": "x".repeat(50_000) })).collect();
    let embeddings = vec![[1, 2, 3]; 40];
    let body = json!({ "ids": ids, "embeddings": embeddings, "metadatas": blobs });
    api.add(&id, &body).await.expect(201);
    cluster.settle().await;
    let get = || {
        crate::support::http::request(
            http::Method::POST,
            &api.collections(&format!("/{id}/get")),
            Some(&json!({})),
        )
    };
    let whole = api.http.send(get()).await.expect("an answer").expect(200).body.len();
    assert!(whole > 2_000_000, "{whole}");
    // A reset also takes what was sent and not received yet; where too little came to have begun the answer to the
    // client, it is asked for elsewhere.
    let mut aborted = 0;
    for _ in 0..20 {
        spoil_reads(&cluster.proxies, 1, &Fault::ResetAfter(1_000_000));
        match api.http.send(get()).await {
            Ok(answer) => assert_eq!(answer.expect(200).body.len(), whole, "never a part for the whole"),
            Err(error) => {
                assert!(!error.contains("no answer within"), "aborted at once: {error}");
                aborted += 1;
            }
        }
        cluster.proxies.iter().for_each(Proxy::clear);
    }
    assert!(aborted > 0, "nothing broke off");
    assert_eq!(api.http.send(get()).await.expect("an answer").expect(200).body.len(), whole);
}

/// Answers that say nothing of what became of a write.
fn lies() -> Vec<(&'static str, Fault)> {
    let json = "application/json";
    let internal = r#"{"error":"InternalError","message":"Error in compaction: out of order"}"#;
    let missing = r#"{"error":"NotFoundError","message":"no such page"}"#;
    let page = "<html><body>Welcome</body></html>";
    vec![
        ("a 500", Fault::Intercept(answer_bytes("500 Internal Server Error", json, internal))),
        ("a 502 page", Fault::Intercept(answer_bytes("502 Bad Gateway", "text/html", page))),
        ("a 404 page", Fault::Intercept(answer_bytes("404 Not Found", "text/html", page))),
        ("an empty 404", Fault::Intercept(answer_bytes("404 Not Found", json, ""))),
        ("a foreign 404", Fault::Intercept(answer_bytes("404 Not Found", json, missing))),
        ("an empty 200", Fault::Intercept(answer_bytes("200 OK", json, ""))),
        ("a 200 page", Fault::Intercept(answer_bytes("200 OK", "text/html", page))),
        ("a 201 page", Fault::Intercept(answer_bytes("201 Created", "text/html", page))),
        ("a 202", Fault::Intercept(answer_bytes("202 Accepted", json, "{}"))),
        ("a redirect", Fault::Intercept(answer_bytes("307 Temporary Redirect", json, "{}"))),
        ("a 429", Fault::Intercept(answer_bytes("429 Too Many Requests", "text/plain", "slow"))),
        ("a cut", Fault::CutAfterHeaders),
        ("a lost answer", Fault::DropAnswer),
    ]
}

/// Each lie as the replica's only answer to a write, until it is seen that nobody took it for done.
async fn nobody_believes(cluster: &Cluster, id: &str, (number, what): (usize, &str), fault: Fault) {
    let api = cluster.api();
    let executed = matches!(fault, Fault::CutAfterHeaders | Fault::DropAnswer);
    let replica = &cluster.proxies[1];
    let before = replica.faults();
    replica.rule(Rule { method: "POST", path: "/add".to_owned(), times: u32::MAX, fault });
    let transaction = format!("lie-{number}");
    post_as(&api, (id, "add"), &records(&[&transaction]), &transaction).await.expect(201);
    let seen = |status: &Value| status["unified_wal"]["pending_writes"] == 0 || replica.faults() > before + 1;
    cluster.await_status(what, seen).await;
    let told = cluster.transaction(&transaction, 0).await.expect(200).json();
    assert_eq!(told["instances"], json!({ "primary": "applied", "replica": "pending" }), "{what}: {told}");
    let status = cluster.status().await;
    assert!(status["instances"][1]["pending_writes"].as_u64() >= Some(1), "{what}: {status:#}");
    assert_eq!(status["unified_wal"]["pending_writes"], 1, "{what}");
    if !executed {
        let direct = &cluster.direct(&api)[1];
        let ids = direct.ids(&crate::support::api::id_of(&direct.describe("believed").await)).await;
        assert!(!ids.contains(&transaction), "{what}");
    }
    replica.clear();
    cluster.await_applied(&transaction).await;
}

#[tokio::test]
async fn no_broken_answer_to_a_write_is_taken_for_done() {
    let cluster = Cluster::behind_proxies(|setup| setup);
    let api = cluster.api();
    let id = api.new_collection("believed").await;
    api.add(&id, &records(&["first"])).await.expect(201);
    cluster.settle().await;
    let lies = lies();
    let count = lies.len();
    for (number, (what, fault)) in lies.into_iter().enumerate() {
        nobody_believes(&cluster, &id, (number, what), fault).await;
    }
    cluster.settle().await;
    assert_eq!(cluster.await_identical(&api).await.records, count + 1);
}
