//! Create, drop, create again; and creates that fail in between.

use serde_json::json;

use crate::cluster::Cluster;
use crate::support::api::{id_of, records};
use crate::support::proxy::{Fault, Mode, Rule, answer_bytes};

#[tokio::test]
async fn a_name_used_again_is_a_new_collection_whichever_server_was_down() {
    let mut cluster = Cluster::start();
    let mut api = cluster.api();
    let mut old: Option<String> = None;
    for generation in 0..4 {
        let down = generation % 2;
        cluster.servers[down].kill();
        let id = api.new_collection("phoenix").await;
        let record = format!("generation-{generation}");
        api.add(&id, &records(&[&record])).await.expect(201);
        assert_eq!(api.ids(&id).await, [record.as_str()]);
        if let Some(old) = &old {
            assert_ne!(&id, old);
            api.post(old, "get", &json!({})).await.expect(404);
            api.add(old, &records(&["late"])).await.expect(404);
        }
        if generation == 2 {
            cluster.isochrome.kill();
            cluster.isochrome.restart();
            api = cluster.api();
        }
        cluster.servers[down].restart();
        cluster.await_state(down, "up").await;
        cluster.settle().await;
        let mapping = cluster.mapping(&id).await;
        for (server, key) in
            cluster.direct(&api).iter().zip(["primary_collection_id", "replica_collection_id"])
        {
            let own = id_of(&server.describe("phoenix").await.expect(200));
            assert_eq!(mapping[key], own, "{mapping}");
            assert_eq!(server.ids(&own).await, [record.as_str()]);
        }
        if generation < 3 {
            // The next server to go down misses the drop.
            cluster.servers[1 - down].kill();
            api.drop("phoenix").await.expect(200);
            api.describe("phoenix").await.expect(404);
            cluster.servers[1 - down].restart();
            cluster.await_state(1 - down, "up").await;
        }
        old = Some(id);
    }
    let same = cluster.await_identical(&api).await;
    assert_eq!((same.collections, same.records), (1, 1));
}

#[tokio::test]
async fn a_create_that_fails_on_the_second_server_is_completed_there() {
    let cluster = Cluster::behind_proxies(|setup| setup);
    let api = cluster.api();
    let replica = &cluster.proxies[1];
    let internal = r#"{"error":"InternalError","message":"out of order"}"#;
    let trouble = answer_bytes("500 Internal Server Error", "application/json", internal);
    let faults = [
        ("answer-lost", Some(Fault::DropAnswer)),
        ("never-sent", Some(Fault::Intercept(trouble.clone()))),
        ("done-and-denied", Some(Fault::Replace(trouble))),
        ("refused", None),
    ];
    for (name, fault) in faults {
        match fault {
            Some(fault) => replica.rule(Rule::once("/collections HTTP", fault)),
            None => replica.set(Mode::Refuse),
        }
        let id = api.new_collection(name).await;
        api.add(&id, &records(&["a", "b"])).await.expect(201);
        replica.set(Mode::Pass);
        cluster.settle().await;
        let mapping = cluster.mapping(&id).await;
        for (server, key) in
            cluster.direct(&api).iter().zip(["primary_collection_id", "replica_collection_id"])
        {
            let own = id_of(&server.describe(name).await.expect(200));
            assert_eq!(mapping[key], own, "{mapping}");
            assert_eq!(server.ids(&own).await, ["a", "b"], "{name}");
        }
    }
    assert_eq!(replica.faults(), 3);
    assert_eq!(cluster.await_identical(&api).await.collections, 4);
}
