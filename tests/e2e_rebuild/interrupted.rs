//! Isochrome, the target and the source die in the middle of the copying: it goes on where it was.

use serde_json::json;

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_after_isochrome_the_target_and_the_source_were_killed_in_the_middle_of_it() {
    let mut world = World::new(2, 20);
    let docs = world.collection(&json!({ "name": "docs" }), 2_000).await;
    world.identical().await;
    world.servers[1].wipe();
    world.servers[1].restart();
    world.await_middle(1).await;
    world.isochrome.kill();
    world.isochrome.restart();
    world.await_middle(1).await;
    world.servers[1].kill();
    // It lands behind the copy, by the log.
    world.api.add(&docs, &super::world::records_of(&[9_999])).await.success();
    world.servers[1].restart();
    world.await_middle(1).await;
    world.servers[0].kill();
    world.servers[0].restart();
    world.await_rebuilt(1).await;
    let same = world.identical().await;
    assert_eq!((same.collections, same.records), (1, 2_001));
    let listed = world.isochrome.log().matches("lists the ids of a collection").count();
    assert_eq!(listed, 1, "nothing began again");
}
