//! Writes that a later drop makes needless hold nobody up.

use std::time::Duration;

use super::support::proxy::{Fault, Mode, Rule};
use super::world::{World, record};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pending_writes_for_dropped_collections_do_not_delay_ten_for_a_living_one() {
    let mut world = World::behind_proxies(|setup| setup);
    let api = world.api.clone();
    let living = api.new_collection("living").await;
    let mut doomed = Vec::new();
    for n in 0..5 {
        doomed.push((format!("known-{n}"), api.new_collection(&format!("known-{n}")).await));
    }
    world.identical().await;
    let mut in_vain = Vec::new();
    for (name, _) in &doomed {
        in_vain.push(world.line(1, name, "add").await);
    }
    world.proxies[1].set(Mode::Refuse);
    world.await_up(1);
    for n in 0..5 {
        doomed.push((format!("new-{n}"), api.new_collection(&format!("new-{n}")).await));
    }
    let mut writers = tokio::task::JoinSet::new();
    for (_, id) in &doomed {
        for n in 0..100 {
            let (api, id) = (api.clone(), id.clone());
            writers.spawn(async move { api.add(&id, &record(&format!("r{n}"), n)).await.status });
        }
    }
    assert_eq!(writers.join_all().await, vec![201; 1_000]);
    for (name, _) in &doomed {
        api.drop(name).await.success();
    }
    for n in 0..10 {
        api.add(&living, &record(&format!("r{n}"), n)).await.success();
    }
    // Counts what the returning instance is asked to do in vain.
    let create = "/default_database/collections HTTP".to_owned();
    for path in in_vain.into_iter().chain([create]) {
        world.proxies[1]
            .rule(Rule { times: u32::MAX, ..Rule::once(&path, Fault::DelayRequest(Duration::ZERO)) });
    }
    world.proxies[1].set(Mode::Pass);
    world.await_up(2);
    let same = world.identical().await;
    assert_eq!((same.collections, same.records), (1, 10));
    assert_eq!(world.proxies[1].faults(), 0, "writes were sent though a drop had made them void");
}
