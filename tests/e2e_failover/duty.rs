//! An operator works on one server after the other; clients notice nothing.

use http::Method;
use serde_json::Value;

use super::load::Story;
use super::world::World;

async fn act(world: &World, instance: &str, act: &str) -> Value {
    let path = format!("/admin/instances/{instance}/{act}");
    world.isochrome.on_socket(Method::POST, &path, None).await.success().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_is_stopped_and_started_again_in_maintenance_under_load() {
    let mut world = World::new(2, |setup| setup);
    let story = Story::begin(&world).await;
    story.more(20).await;
    for (server, name) in [(0, "primary"), (1, "replica")] {
        let done = act(&world, name, "maintenance").await;
        assert_eq!((&done["drained"], &done["duty"]), (&true.into(), &"maintenance".into()), "{done}");
        assert_eq!(world.status(server).await["condition"], "maintenance");
        world.servers[server].kill();
        story.more(20).await;
        world.servers[server].restart();
        act(&world, name, "resume").await;
        world.await_up(2);
        story.more(20).await;
    }
    story.end(&world, "maintenance of both instances").await;
    assert!(!world.isochrome.log().contains("reason=\"refused\""), "nobody asks a server in maintenance");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_drained_stays_so_over_a_restart_and_follows() {
    let mut world = World::new(2, |setup| setup);
    let id = world.api.new_collection("docs").await;
    assert_eq!(act(&world, "primary", "drain").await["duty"], "drain");
    world.isochrome.restart();
    world.await_up(2);
    world.api.post(&id, "add", &super::world::record("a", 1)).await.success();
    assert_eq!(world.api.ids(&id).await, ["a"]);
    assert_eq!(world.identical().await.records, 1, "it follows");
    let status = world.status(0).await;
    assert_eq!((&status["condition"], &status["duty"]), (&"drained".into(), &"drain".into()));
    assert_eq!(status["total_requests"], 0, "it answered no read");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_one_that_serves_is_not_spared_unless_that_is_forced() {
    let mut world = World::new(2, |setup| setup);
    let id = world.api.new_collection("docs").await;
    act(&world, "replica", "drain").await;
    let ask = |path: &'static str| {
        let isochrome = &world.isochrome;
        async move { isochrome.on_socket(Method::POST, path, None).await }
    };
    let refused = ask("/admin/instances/primary/maintenance").await;
    assert_eq!(refused.status, 409);
    let words = refused.json()["message"].to_string();
    assert!(words.contains("No other instance serves") && words.contains("--force"), "{words}");
    assert_eq!(ask("/admin/instances/nobody/drain").await.status, 404);
    assert_eq!(ask("/admin/instances/primary/explode").await.status, 400);
    ask("/admin/instances/primary/drain?force=true").await.success();
    world.api.post(&id, "add", &super::world::record("a", 1)).await.success();
    assert_eq!(world.api.count(&id).await, 1, "somebody answers all the same");
    act(&world, "replica", "promote").await;
    act(&world, "replica", "resume").await;
    act(&world, "primary", "resume").await;
    world.await_up(2);
    world.identical().await;
}
