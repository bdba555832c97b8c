//! Writes whose senders do not wait.

use http::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, post_with};
use crate::support::api::{Api, id_of, records};
use crate::support::http::{Answer, request};

const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// A write of any kind, without waiting.
async fn send(api: &Api, method: Method, url: &str, body: Option<&Value>) -> Answer {
    let mut request = request(method, url, body);
    request.headers_mut().insert("prefer", http::HeaderValue::from_static("respond-async"));
    api.http.send(request).await.expect("an answer")
}

/// The page that an accepted write names, after a wait for its outcome.
async fn outcome(cluster: &Cluster, accepted: &Answer) -> Value {
    assert_eq!(accepted.header("preference-applied"), Some("respond-async"));
    let location = accepted.header("location").expect("a location");
    let told = cluster.page(&format!("{location}?wait_ms=60000")).await.expect(200).json();
    assert_eq!(told["transaction_id"].as_str(), accepted.header("transaction-id"));
    assert_eq!(told["lsn"], accepted.json()["lsn"]);
    told
}

#[tokio::test]
async fn every_kind_of_write_is_accepted_at_once_and_its_outcome_can_be_asked_for() {
    let cluster = Cluster::shared();
    let api = cluster.space("later").await;
    let id = api.new_collection("kept").await;
    api.add(&id, &records(&["a", "b", "c"])).await.expect(201);
    let databases = format!("{}/api/v2/tenants/later/databases", cluster.isochrome.url());
    let of = |rest: &str| api.collections(rest);
    let gone = json!({ "where": { "n": { "$gte": 2 } } });
    let writes = [
        (Method::POST, of(&format!("/{id}/add")), records(&["d"]), 201),
        (Method::POST, of(&format!("/{id}/upsert")), records(&["a"]), 200),
        (Method::POST, of(&format!("/{id}/update")), records(&["b"]), 200),
        (Method::POST, of(&format!("/{id}/delete")), gone, 200),
        (Method::POST, of(""), json!({ "name": "made-later" }), 200),
        (Method::PUT, of(&format!("/{id}")), json!({ "new_name": "renamed-later" }), 200),
        (Method::POST, databases.clone(), json!({ "name": "database-later" }), 200),
        (Method::DELETE, format!("{databases}/database-later"), Value::Null, 200),
        (Method::DELETE, of("/made-later"), Value::Null, 200),
        (Method::POST, of(&format!("/{id}/add")), json!({ "ids": ["x"], "embeddings": [[1, 2]] }), 400),
    ];
    for (method, url, body, status) in writes {
        let accepted = send(&api, method, &url, Some(&body).filter(|body| !body.is_null())).await;
        let told = outcome(cluster, &accepted.expect(202)).await;
        assert_eq!(told["result"]["status"], status, "{url}: {told}");
    }
    assert_eq!(api.ids(&id).await, ["a", "b", "d"]);
    cluster.await_identical(&api).await;
}

#[tokio::test]
async fn what_is_certainly_wrong_or_already_there_is_answered_directly() {
    let cluster = Cluster::shared();
    let api = cluster.space("at-once").await;
    let id = api.new_collection("there").await;
    let uneven = json!({ "ids": ["a", "b"], "embeddings": [[1, 2, 3]] });
    for (url, body, status) in [
        (api.collections(&format!("/{id}/add")), uneven, 400),
        (api.collections("/nobody/add"), records(&["a"]), 404),
        (api.collections(""), json!({ "name": "there", "get_or_create": true }), 200),
    ] {
        let answer = send(&api, Method::POST, &url, Some(&body)).await.expect(status);
        assert_eq!(answer.header("preference-applied"), None, "{url}");
    }
}

#[tokio::test]
async fn with_every_server_down_a_write_is_accepted_and_applied_when_they_return() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("later").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    for place in 0..2 {
        cluster.servers[place].kill();
        cluster.await_state(place, "refused").await;
    }
    // An id as strange as it may be comes back from its location.
    let name = [ASYNC, ("transaction-id", "order/1?50%#a")];
    let to = (id.as_str(), "add");
    let accepted = post_with(&api, to, &records(&["b"]), &name).await.expect(202);
    assert_eq!(accepted.json()["state"], "logged");
    let location = accepted.header("location").expect("a location").to_owned();
    assert_eq!(location, "/transactions/order%2F1%3F50%25%23a");
    let told = cluster.page(&location).await.expect(200).json();
    assert_eq!((&told["state"], &told["result"]), (&json!("logged"), &Value::Null));
    let again = post_with(&api, to, &records(&["b"]), &name).await.expect(202);
    assert_eq!((again.header("location"), &again.json()["lsn"]), (Some(location.as_str()), &told["lsn"]));
    post_with(&api, to, &records(&["x"]), &name).await.expect(422);
    let made = send(&api, Method::POST, &api.collections(""), Some(&json!({ "name": "new" }))).await;
    for server in &mut cluster.servers {
        server.restart();
    }
    assert_eq!(outcome(&cluster, &accepted).await["result"]["status"], 201);
    let made = outcome(&cluster, &made.expect(202)).await;
    assert_eq!(made["result"]["body"]["id"], id_of(&api.describe("new").await.expect(200)));
    post_with(&api, to, &records(&["b"]), &name).await.expect(201);
    post_with(&api, to, &records(&["b"]), &name[1..]).await.expect(201);
    assert_eq!(api.ids(&id).await, ["a", "b"]);
    cluster.settle().await;
    cluster.await_identical(&api).await;
}
