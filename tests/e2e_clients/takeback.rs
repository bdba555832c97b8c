//! Writes that are taken back.

use serde_json::{Value, json};

use crate::cluster::{Cluster, post_as, post_with};
use crate::support::api::records;
use crate::support::http::Answer;

async fn cancel(cluster: &Cluster, id: &str) -> Answer {
    cluster.api().http.delete(&format!("{}/transactions/{id}", cluster.isochrome.url())).await
}

fn says(refused: &Answer, code: &str, words: &str) {
    assert_eq!(refused.header("isochrome-error"), Some(code));
    let error = refused.json();
    assert_eq!(error["error"], "ChromaError");
    assert!(error["message"].as_str().expect("words").contains(words), "{error}");
}

#[tokio::test]
async fn a_write_that_was_sent_nowhere_can_be_taken_back_for_good() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("kept").await;
    let add = (id.as_str(), "add");
    post_as(&api, add, &records(&["a"]), "done").await.expect(201);
    cluster.settle().await;
    says(&cancel(&cluster, "done").await.expect(409), "NOT_CANCELLED", "it is committed");
    cancel(&cluster, "never-heard-of").await.expect(404);
    for place in 0..2 {
        cluster.servers[place].kill();
        cluster.await_state(place, "refused").await;
    }
    let not_waiting = |id| [("prefer", "respond-async"), ("transaction-id", id)];
    for (record, transaction) in [("kept", "kept"), ("gone", "gone")] {
        post_with(&api, add, &records(&[record]), &not_waiting(transaction)).await.expect(202);
    }
    let drop = http::Request::delete(api.collections("/kept")).header("transaction-id", "drop");
    let drop = drop.header("prefer", "respond-async").body(bytes::Bytes::new()).expect("a request");
    api.http.send(drop).await.expect("an answer").expect(202);
    let waiting = tokio::spawn({
        let (api, id) = (api.clone(), id.clone());
        async move { post_as(&api, (&id, "add"), &records(&["waiting"]), "waiting").await }
    });
    while cluster.transaction("waiting", 0).await.status != 200 {
        tokio::task::yield_now().await;
    }
    for transaction in ["gone", "drop", "waiting", "gone"] {
        let told = cancel(&cluster, transaction).await.expect(200).json();
        assert_eq!(told["state"], "cancelled", "{told}");
        let voids = json!({ "primary": "void", "replica": "void" });
        assert_eq!((&told["instances"], &told["result"]["status"]), (&voids, &json!(409)));
    }
    says(&waiting.await.expect("an answer").expect(409), "CANCELLED", "nothing of it was applied");
    says(&post_as(&api, add, &records(&["gone"]), "gone").await.expect(409), "CANCELLED", "cancelled");
    cluster.isochrome.kill();
    cluster.isochrome.relaunch();
    for server in &mut cluster.servers {
        server.restart();
    }
    cluster.isochrome.await_ready();
    cluster.await_state(0, "up").await;
    cluster.await_state(1, "up").await;
    cluster.settle().await;
    let told = cluster.transaction("gone", 0).await.expect(200).json();
    assert_eq!(told["state"], "cancelled", "{told}");
    let api = cluster.api();
    assert_eq!(api.ids(&id).await, ["a", "kept"]);
    assert_eq!(cluster.transaction("kept", 0).await.json()["state"], "committed");
    cluster.await_identical(&api).await;
}

#[tokio::test]
async fn what_may_have_been_sent_before_a_restart_stands() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("kept").await;
    cluster.settle().await;
    for server in &mut cluster.servers {
        server.kill();
    }
    let not_waiting = [("prefer", "respond-async"), ("transaction-id", "early")];
    post_with(&api, (&id, "add"), &records(&["early"]), &not_waiting).await.expect(202);
    cluster.isochrome.kill();
    cluster.isochrome.relaunch();
    let refused = loop {
        let url = format!("{}/transactions/early", cluster.isochrome.url());
        let request = http::Request::delete(url).body(bytes::Bytes::new()).expect("a request");
        if let Ok(answer) = cluster.api().http.send(request).await {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    says(&refused.expect(409), "NOT_CANCELLED", "before the last start");
    for server in &mut cluster.servers {
        server.restart();
    }
    let told: Value = cluster.transaction("early", 60_000).await.expect(200).json();
    assert_eq!(told["state"], "committed", "{told}");
    cluster.await_state(0, "up").await;
    cluster.await_state(1, "up").await;
    cluster.settle().await;
    cluster.await_identical(&cluster.api()).await;
}
