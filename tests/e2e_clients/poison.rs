//! What would harm or hang a Chroma server is refused before the log.

use std::fmt::Write;

use http::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, post_as};
use crate::support::api::{Api, id_of, records};
use crate::support::http::{Answer, request};

fn assert_clear(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status) || answer.status == 501, "{what}: {answer}");
    let error = answer.json();
    let known = ["InvalidArgumentError", "ChromaError", "NotFoundError"];
    assert!(known.iter().any(|name| error["error"] == *name), "{what}: {answer}");
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{what}: {answer}");
}

fn one(metadata: &Value) -> Value {
    json!({ "ids": ["bad"], "embeddings": [[1, 2, 3]], "metadatas": [metadata] })
}

/// Record writes that would stop a server, or a collection on it, for good; or fix its dimension unseen.
fn dangerous_records() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for value in [json!(5), json!(true), json!(["x"]), json!(1.5)] {
        all.push((format!("T1 with {value}"), one(&json!({ "chroma:document": value }))));
        all.push((format!("a uri of {value}"), one(&json!({ "chroma:uri": value }))));
    }
    let keys: serde_json::Map<_, _> = (0..5_462).map(|n| (format!("k{n}"), json!(n))).collect();
    all.push(("T2 with keys".to_owned(), one(&Value::Object(keys))));
    let elements: Vec<_> = (0..8_191).collect();
    all.push(("T2 with a list".to_owned(), one(&json!({ "list": elements }))));
    all.push(("a hidden key".to_owned(), one(&json!({ "chroma:foo": "x" }))));
    all.push(("an empty id".to_owned(), json!({ "ids": [""], "embeddings": [[1, 2, 3]] })));
    all.push(("unequal lengths".to_owned(), json!({ "ids": ["a", "b"], "embeddings": [[1, 2, 3]] })));
    let sparse = json!({ "#type": "sparse_vector", "indices": [1], "values": [0.5] });
    all.push(("a sparse vector".to_owned(), one(&json!({ "sv": sparse }))));
    all
}

async fn refuse_records(cluster: &Cluster, api: &Api, id: &str) {
    let before = cluster.last_lsn().await;
    for (number, (what, body)) in dangerous_records().iter().enumerate() {
        for verb in ["add", "upsert", "update"] {
            let transaction = format!("poison-{verb}-{number}");
            assert_clear(&post_as(api, (id, verb), body, &transaction).await, what);
            cluster.transaction(&transaction, 0).await.expect(404);
        }
    }
    let null = one(&json!({ "chroma:document": null }));
    assert_clear(&api.post(id, "update", &null).await, "T1 with null");
    assert_eq!(cluster.last_lsn().await, before, "nothing of it was logged");
}

async fn refuse_schemas(cluster: &Cluster, api: &Api, id: &str) {
    let before = cluster.last_lsn().await;
    let lists = json!({ "name": "lists", "metadata": { "l": ["a"] } });
    assert_clear(&api.create(&lists).await, "T3 in a create");
    let modify = json!({ "new_metadata": { "l": [1, 2] } });
    let put = api.http.put(&api.collections(&format!("/{id}")), &modify).await;
    assert_clear(&put, "T3 in a modification");
    let crn = format!("{}/api/v2/collections/default_tenant:default_database:kept", api.base);
    assert_clear(&api.http.get(&crn).await, "T4");
    let malformed = api.http.get(&format!("{}/api/v2/collections/crn", api.base)).await;
    assert_clear(&malformed, "a malformed CRN");
    assert_eq!(cluster.last_lsn().await, before, "nothing of it was logged");
    api.describe("lists").await.expect(404);
}

#[tokio::test]
async fn dangerous_requests_go_no_further_and_both_servers_still_write() {
    let cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("kept").await;
    let dimension = async || api.describe("kept").await.expect(200).json()["dimension"].clone();
    refuse_records(&cluster, &api, &id).await;
    refuse_schemas(&cluster, &api, &id).await;
    assert_eq!(dimension().await, Value::Null, "no refusal fixed the dimension");

    api.add(&id, &records(&["good"])).await.expect(201);
    cluster.settle().await;
    for server in cluster.direct(&api) {
        let own = id_of(&server.describe("kept").await.expect(200));
        server.add(&own, &records(&["direct"])).await.expect(201);
    }
    assert_eq!(cluster.await_identical(&api).await.records, 2);
}

#[tokio::test]
async fn poison_in_any_disguise_is_recognised() {
    let cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("disguises").await;
    let mut escaped = String::new();
    for unit in "chroma:document".encode_utf16() {
        write!(escaped, "\\u{unit:04x}").expect("a string");
    }
    let bodies = [
        format!(r#"{{"ids":["a"],"embeddings":[[1,2,3]],"metadatas":[{{"{escaped}":5}}]}}"#),
        r#"{"metadatas":[{"chroma:document":5}],"embeddings":[[1,2,3]],"ids":["a"],"more":{"x":[1]}}"#.to_owned(),
        r#" { "ids" : ["a"] , "embeddings":["AACAPwAAAEAAAEBA"], "metadatas" : [ {"a":1,"chroma:document" : [ "x" ]}]}"#
            .to_owned(),
        r#"{"ids":["a","b"],"embeddings":[[1,2,3],[1,2,3]],"metadatas":[null,{"chroma:document":false}]}"#.to_owned(),
        r#"{"\u0069ds":["a"],"embeddings":[[1,2,3]],"metadat\u0061s":[{"chroma:document":5}]}"#.to_owned(),
    ];
    let before = cluster.last_lsn().await;
    for body in bodies {
        let mut add = request(Method::POST, &api.collections(&format!("/{id}/add")), None);
        *add.body_mut() = body.clone().into();
        assert_clear(&api.http.send(add).await.expect("an answer"), &body);
    }
    assert_eq!(cluster.last_lsn().await, before);
    api.add(&id, &records(&["good"])).await.expect(201);
    cluster.await_identical(&api).await;
}
