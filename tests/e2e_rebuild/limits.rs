//! The log has a limit: at it writes are refused, until there is room again.

use http::Method;
use serde_json::{Value, json};

use super::support::http::request;
use super::world::World;

const BODY_BYTES: usize = 128 << 10;

/// A record with a large document.
fn large(n: usize) -> Value {
    json!({ "ids": [format!("r{n}")], "embeddings": [[n, 1]], "documents": ["x".repeat(BODY_BYTES)] })
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_down_writes_are_taken_until_the_log_is_full_and_refused_until_one_is_back() {
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
    world.servers[0].restart();
    world.servers[1].restart();
    let same = world.identical().await;
    assert_eq!(same.records, taken, "what was taken is there, and what was refused is not");
    world.api.add(&docs, &large(taken)).await.expect(201);
}
