//! A read after an acknowledged write is never stale, also when the instance that took the write dies at once.

use std::time::Duration;

use serde_json::json;

use super::support::proxy::{Fault, Proxy};
use super::world::{World, record};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_instance_dies_at_once_is_seen_by_the_next_read() {
    let mut world = World::behind_proxies(|setup| setup);
    let docs = world.api.new_collection("docs").await;
    for round in 0..6_u64 {
        let which = usize::from(round % 2 == 1);
        world.identical().await;
        for n in 0..20 {
            if n == 19 {
                // The follower begins with the last one when it is answered, and takes its time.
                world.spoil("docs", "add", &Fault::DelayRequest(Duration::from_millis(400))).await;
            }
            let id = format!("r{round}-{n}");
            world.api.add(&docs, &record(&id, n)).await.expect(201);
        }
        let last = format!("r{round}-19");
        world.servers[which].kill();
        let by_id = json!({ "ids": [last], "include": [] });
        let seen = world.api.post(&docs, "get", &by_id).await.success().json();
        assert_eq!(seen["ids"], json!([last]), "round {round}");
        assert_eq!(world.api.count(&docs).await, (round + 1) * 20);
        world.proxies.iter().for_each(Proxy::clear);
        world.servers[which].restart();
        world.await_up(2);
    }
    assert_eq!(world.identical().await.records, 120);
}
