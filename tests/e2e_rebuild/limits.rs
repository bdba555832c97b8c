//! The log has a limit: who is down until it would be reached is copied to again, and who is the last is waited for.

use http::Method;
use serde_json::{Value, json};

use super::support::http::request;
use super::world::World;

const BODY_BYTES: usize = 128 << 10;

/// A record with a large document.
fn large(n: usize) -> Value {
    json!({ "ids": [format!("r{n}")], "embeddings": [[n, 1, 0, 0]], "documents": ["x".repeat(BODY_BYTES)] })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_down_until_the_log_is_full_is_copied_to_again_and_no_write_is_refused() {
    let most = 4 << 20;
    let mut world = World::with(2, 20, |setup| setup.variable("ISOCHROME_WAL_MAX_BYTES", &most.to_string()));
    let docs = world.collection(&json!({ "name": "docs" }), 50).await;
    world.identical().await;
    world.servers[1].kill();
    world.await_instance(1, "down", |found| found["healthy"] == false).await;
    let missed = 3 * most / BODY_BYTES;
    for n in 1_000..1_000 + missed {
        world.api.add(&docs, &large(n)).await.expect(201);
    }
    let status = world.status().await;
    let there = &status["instances"][1];
    assert_eq!(there["marked_collections"], 1, "{there}");
    assert!(status["log"]["pending_bytes"].as_u64() < Some(most as u64), "{}", status["log"]);
    assert!(there["divergent"][0][1].as_str().is_some_and(|why| why.contains("wal.max_bytes")), "{there}");
    let metrics = world.api.http.get(&format!("{}/metrics", world.isochrome.url())).await.success().text();
    assert!(metrics.contains("isochrome_instance_marked_collections{instance=\"replica\"} 1"), "{metrics}");
    assert!(world.isochrome.log().contains("the log holds no more for it"), "it is told");
    world.servers[1].restart();
    world.await_rebuilt(1).await;
    let same = world.identical().await;
    assert_eq!(same.records, 50 + missed);
    assert_eq!(world.status().await["instances"][1]["marked_collections"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_instance_is_waited_for_and_writes_are_refused_until_it_is_back() {
    let most = 1 << 20;
    let mut world = World::with(2, 20, |setup| setup.variable("ISOCHROME_WAL_MAX_BYTES", &most.to_string()));
    let docs = world.collection(&json!({ "name": "docs" }), 0).await;
    world.identical().await;
    for server in [0, 1] {
        world.servers[server].kill();
        world.await_instance(server, "down", |found| found["healthy"] == false).await;
    }
    let url = world.api.collections(&format!("/{docs}/add"));
    let send = async |n: usize| {
        let mut later = request(Method::POST, &url, Some(&large(n)));
        later.headers_mut().insert("prefer", "respond-async".parse().expect("a header"));
        world.api.http.send(later).await.expect("an answer")
    };
    let mut taken = 0;
    let refused = loop {
        let answer = send(taken).await;
        if answer.status != 202 {
            break answer;
        }
        taken += 1;
        assert!(taken <= most / BODY_BYTES, "more is taken than the log may hold");
    };
    let code = refused.header("isochrome-error").map(str::to_owned);
    assert_eq!((refused.status, code.as_deref()), (507, Some("LOG_UNAVAILABLE")), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    for there in world.status().await["instances"].as_array().expect("instances") {
        assert_eq!((&there["marked_collections"], &there["divergent"]), (&json!(0), &json!([])), "{there}");
    }
    world.servers[0].restart();
    world.servers[1].restart();
    let same = world.identical().await;
    assert_eq!(same.records, taken, "what was taken is there, and what was refused is not");
    world.api.add(&docs, &large(taken)).await.expect(201);
}
