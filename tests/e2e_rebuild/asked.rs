//! Somebody wrote to a server behind our back, and an operator has the collection copied to it again.

use http::Method;
use serde_json::{Value, json};

use super::support::api::id_of;
use super::world::{World, records_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_was_altered_by_hand_is_the_same_again_after_an_operator_asked_for_it() {
    let world = World::new(2, 50);
    let id = world.collection(&json!({ "name": "docs" }), 200).await;
    world.identical().await;
    let direct = world.api.at(&world.servers[1].url());
    let there = id_of(&direct.describe("docs").await.success());
    direct.post(&there, "delete", &json!({ "ids": ["r7"] })).await.success();
    let upsert = json!({ "ids": ["r8"], "embeddings": [[9, 9, 9, 9]], "documents": ["altered"] });
    direct.post(&there, "upsert", &upsert).await.success();
    let isochrome = &world.isochrome;
    let ask =
        |body: Value| async move { isochrome.on_socket(Method::POST, "/admin/rebuild", Some(&body)).await };
    let begun = ask(json!({ "instance": "replica", "collection": "docs" })).await.expect(202).json();
    assert_eq!(begun["collections"], json!(["docs"]));
    ask(json!({ "instance": "nobody" })).await.expect(400);
    ask(json!({ "instance": "replica", "collection": "nothing" })).await.expect(404);
    world.await_rebuilt(1).await;
    assert_eq!(world.identical().await.records, 200);
    assert_eq!(world.api.count(&id).await, 200);
    let renamed = id_of(&direct.describe("docs").await.success());
    assert_ne!(there, renamed, "it is another collection there, and the same for clients");
    let compared = world.await_job(|job| job["request"]["collections"] == json!([id])).await;
    let result = &compared["result"];
    assert_eq!((&result["verdict"], &result["records"]), (&json!("same"), &json!(200)), "{compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_records_than_can_be_mended_while_writes_wait_are_copied_again() {
    let world = World::new(2, 200);
    let id = world.collection(&json!({ "name": "docs" }), 1_300).await;
    world.identical().await;
    let direct = world.api.at(&world.servers[1].url());
    let there = id_of(&direct.describe("docs").await.success());
    let ids: Vec<String> = (0..1_100).map(|n| format!("r{n}")).collect();
    let altered = json!({ "ids": ids, "documents": vec!["altered"; 1_100] });
    direct.post(&there, "update", &altered).await.success();
    let writing = async {
        for n in 10_000.. {
            world.api.add(&id, &records_of(&[n])).await.success();
        }
    };
    let request = json!({ "collection": "docs", "repair": true });
    let report = tokio::select! {
        report = world.verify(&request) => report,
        () = writing => panic!("it never ends"),
    };
    assert_eq!(report["verdict"], "different", "{report}");
    let repair = &report["repairs"][0];
    assert_eq!((&repair["instance"], &repair["why_not"]), (&json!("replica"), &Value::Null), "{repair}");
    assert_eq!(repair["rebuilt"], "more than 1000 records differ");
    world.identical().await;
    let again = world.verify(&json!({ "collection": "docs" })).await;
    assert_eq!(again["verdict"], "same", "{again}");
}
