//! Somebody wrote to a server behind our back, and an operator has the collection copied to it again.

use http::Method;
use serde_json::{Value, json};

use super::support::api::id_of;
use super::world::World;

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
