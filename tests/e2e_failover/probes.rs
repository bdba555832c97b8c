//! What health is judged by: collections that fail behind a working heartbeat, and a probe that gets lost.

use std::time::Duration;

use super::load::Story;
use super::support::patience::in_time;
use super::support::proxy::{Fault, Rule, answer_bytes};
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_heartbeat_works_and_whose_collections_fail_is_taken_out() {
    for which in 0..2 {
        let mut world = World::behind_proxies(|setup| setup);
        let story = Story::begin(&world).await;
        story.more(20).await;
        let broken = answer_bytes("502 Bad Gateway", "text/html", "<h1>bad gateway</h1>");
        world.proxies[which]
            .rule(Rule { path: "/collections".to_owned(), ..Rule::always(Fault::Intercept(broken)) });
        let taken_out = async {
            while world.status(which).await["state"] != "cannot write" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        in_time("it is taken out", taken_out).await;
        story.more(40).await;
        world.proxies[which].clear();
        world.await_up(2);
        story.more(20).await;
        story.end(&world, &format!("collections of instance {which} fail")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_lost_probe_does_not_flap() {
    let world = World::behind_proxies(|setup| setup.variable("ISOCHROME_HEALTH_INTERVAL_MS", "100"));
    for fault in [Fault::DropAnswer, Fault::CutAfterHeaders, Fault::DelayAnswer(Duration::from_secs(1))] {
        for proxy in &world.proxies {
            let (before, requests) = (proxy.faults(), proxy.requests());
            let path = "/heartbeat".to_owned();
            proxy.rule(Rule { method: "GET", path, times: 1, fault: fault.clone() });
            // Until it is spoilt, and looked at again.
            let looked = async {
                while proxy.faults() == before || proxy.requests() < requests + 15 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            in_time("it is looked at again", looked).await;
        }
    }
    world.assert_never_down();
}
