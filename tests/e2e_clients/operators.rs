//! What operators read is true.

use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE};
use crate::support::api::{id_of, records};

#[tokio::test]
async fn fifty_writes_that_an_instance_misses_are_counted_everywhere() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let health = cluster.page("/health").await.expect(200).json();
    assert_eq!((&health["status"], &health["healthy_instances"]), (&json!("healthy"), &json!("2/2")));
    let id = api.new_collection("missed").await;
    cluster.settle().await;
    assert_eq!(cluster.page("/health").await.json()["oldest_pending_age_ms"], Value::Null);
    cluster.servers[1].kill();
    for number in 0..50 {
        api.add(&id, &records(&[&number.to_string()])).await.expect(201);
    }
    cluster.await_state(1, "refused").await;
    let health = cluster.page("/health").await.expect(200).json();
    let status = cluster.status().await;
    let wal = cluster.page("/wal/status").await.expect(200).json();
    assert_eq!((&health["status"], &health["healthy_instances"]), (&json!("degraded"), &json!("1/2")));
    let pending = [
        &health["pending_writes"],
        &status["unified_wal"]["pending_writes"],
        &status["write_ahead_log"]["pending_writes"],
        &status["instances"][1]["pending_writes"],
        &status["log"]["pending_entries"],
        &wal["pending_writes"],
        &wal["pending"],
        &wal["wal_system"]["pending_writes"],
        &wal["log"]["pending_entries"],
    ];
    assert_eq!(pending, [&json!(50); 9], "{status:#} {wal:#}");
    let ages = [
        &health["oldest_pending_age_ms"],
        &status["unified_wal"]["oldest_pending_age_ms"],
        &status["instances"][1]["lag_ms"],
        &wal["oldest_pending_age_ms"],
        &wal["wal_system"]["oldest_pending_age_ms"],
    ];
    assert!(ages.iter().all(|age| age.as_u64().is_some_and(|ms| ms > 0 && ms < 600_000)), "{ages:?}");
    assert!(status["write_ahead_log"]["oldest_pending"].is_string());
    assert_eq!(status["instances"][0]["pending_writes"], 0);
    assert_eq!(status["instances"][0]["healthy"], true);
    assert_eq!(status["instances"][1]["healthy"], false);
    assert_eq!((&status["healthy_instances"], &status["total_instances"]), (&json!(1), &json!(2)));

    cluster.servers[1].restart();
    cluster.settle().await;
    let status = cluster.await_state(1, "up").await;
    assert_eq!(status["instances"][1]["lag_ms"], 0);
    assert_eq!(cluster.page("/wal/status").await.json()["successful_syncs"], 51, "{status:#}");
    cluster.await_identical(&api).await;
}

#[tokio::test]
async fn health_fails_when_no_instance_is_left() {
    let mut cluster = Cluster::start();
    cluster.servers.iter_mut().for_each(crate::support::chroma::Chroma::kill);
    cluster.isochrome.await_health(|status, body| status == 503 && body["status"] == "error");
    let body = cluster.page("/health").await.expect(503).json();
    assert_eq!(body["healthy_instances"], "0/2");
    cluster.servers[1].restart();
    cluster.isochrome.await_health(|status, body| status == 200 && body["healthy_instances"] == "1/2");
}

#[tokio::test]
async fn mappings_show_the_ids_that_the_servers_have() {
    let cluster = Cluster::shared();
    let api = cluster.space("mappings").await;
    let id = api.new_collection("mapped").await;
    cluster.settle().await;
    let mapping = cluster.mapping(&id).await;
    assert_eq!((&mapping["collection_name"], &mapping["tenant"]), (&json!("mapped"), &json!("mappings")));
    let direct = cluster.direct(&api);
    for (server, key) in direct.iter().zip(["primary_collection_id", "replica_collection_id"]) {
        assert_eq!(mapping[key], id_of(&server.describe("mapped").await.expect(200)));
    }
    api.drop("mapped").await.expect(200);
    assert_eq!(cluster.mapping(&id).await, Value::Null);
}

#[tokio::test]
async fn a_server_that_comes_back_empty_and_is_not_to_be_rebuilt_gets_no_reads_and_no_writes_and_says_so() {
    let mut cluster = Cluster::start_as(|setup| setup.variable("ISOCHROME_REPAIR_REBUILD", "false"));
    let api = cluster.api();
    let id = api.new_collection("survivor").await;
    api.add(&id, &records(&["a", "b"])).await.expect(201);
    cluster.settle().await;
    cluster.servers[1].wipe();
    cluster.servers[1].restart();
    for restarted in [false, true] {
        if restarted {
            cluster.isochrome.kill();
            cluster.isochrome.restart();
        }
        let api = cluster.api();
        let status = cluster.await_state(1, "lost state").await;
        let detail = status["instances"][1]["detail"].as_str().expect("a reason");
        assert!(detail.contains("came back empty") && detail.contains("no reads and no writes"), "{detail}");
        assert_eq!(status["instances"][1]["healthy"], false);
        let new = format!("after-{restarted}");
        api.add(&id, &records(&[&new])).await.expect(201);
        api.new_collection(&new).await;
        for n in 0..20 {
            let query = json!({ "query_embeddings": [[n, 0.2, 0.3]], "n_results": 1 });
            let answer = api.post(&id, "query", &query).await.expect(200);
            assert_eq!(answer.header("isochrome-instance"), Some("primary"));
        }
        assert!(api.ids(&id).await.contains(&new));
        let empty = &cluster.direct(&api)[1];
        assert_eq!(empty.http.get(&empty.collections("_count")).await.expect(200).json(), 0);
        let ours = format!("{}/api/v2/tenants/isochrome_system", empty.base);
        empty.http.get(&ours).await.expect(404);
    }
    let end = cluster.isochrome.terminate(PATIENCE);
    assert_eq!(end, crate::support::process::End::Code(0));
}
