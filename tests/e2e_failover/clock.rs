//! The wall clock steps: nothing that waits is held up by it, and nothing that happened is forgotten.

use std::time::Duration;

use http::Method;

use super::support::clock::Clock;
use super::support::patience::in_time;
use super::support::proxy::{Fault, Rule, answer_bytes};
use super::world::{World, record};

const HOUR_S: i64 = 3_600;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_by_hours_either_way_blocks_no_retry_and_takes_nobody_out() {
    let clock = Clock::new();
    let mut world = World::behind_proxies(|setup| clock.of(setup));
    let docs = world.api.new_collection("docs").await;
    world.identical().await;
    let add = world.api.collections(&format!("/{docs}/add"));
    let retried = world.line(1, "docs", "add").await;
    for (n, step) in (1..).zip([HOUR_S, -HOUR_S, 0]) {
        let later = answer_bytes("503 Service Unavailable", "text/plain", "later");
        world.proxies[1].rule(Rule { times: u32::MAX, ..Rule::once(&retried, Fault::Intercept(later)) });
        let id = format!("step-{n}");
        world.write(&id, Method::POST, &add, &record(&id, n)).await.expect(201);
        await_retries(&world, 3).await;
        clock.set(step);
        await_retries(&world, 2).await;
        let again = world.write(&id, Method::POST, &add, &record(&id, n)).await.expect(201);
        assert_eq!(again.header("transaction-id"), Some(id.as_str()));
        assert_eq!(world.api.count(&docs).await, n, "writes and reads go on");
        world.proxies[1].clear();
        assert_eq!(world.identical().await.records as u64, n);
    }
    world.await_up(2);
    world.assert_never_down();
}

/// Waits until the replica was asked so many times more.
async fn await_retries(world: &World, more: u64) {
    let wanted = world.proxies[1].faults() + more;
    let retried = async {
        while world.proxies[1].faults() < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time("it is tried again", retried).await;
}
