//! `kill -9` of Isochrome under load, alone, with an instance, and with one instance down.

use std::time::Duration;

use super::ledger::{Writers, judge};
use super::support::api::Api;
use super::support::campaign::{Campaign, Story};
use super::support::chroma::Chroma;
use super::support::compare::Comparer;
use super::support::isochrome::{Isochrome, Setup};

const CLIENTS: usize = 8;

fn seed() -> u64 {
    let seed = std::env::var("ISOCHROME_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("ISOCHROME_SEED={seed}");
    seed
}

async fn settle(servers: &[Chroma], isochrome: &Isochrome, writers: Writers, api: &Api) {
    let ledger = writers.stop().await;
    assert!(ledger.acknowledged() > 0);
    Comparer::of(servers).await_identical(Duration::from_secs(60)).await;
    for server in servers {
        judge(api, &ledger, &api.at(&server.url()), "docs").await;
    }
    let status = api.http.get(&format!("{}/status", isochrome.url())).await.success().json();
    assert_eq!(status["undecided_writes"], 0, "{status}");
    // A write after everything: the lanes are alive.
    let docs = super::support::api::id_of(&api.describe("docs").await.success());
    api.add(&docs, &serde_json::json!({ "ids": ["last"], "embeddings": [[1, 1]] })).await.expect(201);
    Comparer::of(servers).await_identical(Duration::from_secs(60)).await;
}

fn await_both(isochrome: &mut Isochrome) {
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
}

/// `ISOCHROME_ROUNDS=n` kills it so often.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let mut campaign = Campaign::new("kills", "ISOCHROME_ROUNDS", 8);
    while let Some(story) = campaign.next(10) {
        let acknowledged = kill_again_and_again(story).await;
        campaign.done(story, &format!("{acknowledged} writes acknowledged and kept"));
    }
}

/// Every third kill or so comes while it starts after the last. Gives the number of acknowledged writes.
async fn kill_again_and_again(story: Story) -> usize {
    let mut random = fastrand::Rng::with_seed(story.seed);
    let servers = Chroma::start_many(2);
    let mut isochrome = Setup::over(&servers).start();
    await_both(&mut isochrome);
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    let writers = Writers::start(&api, &docs, random.usize(1..=2 * CLIENTS));
    for kill in 0..story.units {
        if kill == 0 || random.u8(..3) > 0 {
            isochrome.await_ready();
            writers.more(random.usize(1..60)).await;
            tokio::time::sleep(Duration::from_millis(random.u64(0..50))).await;
        } else {
            tokio::time::sleep(Duration::from_millis(random.u64(0..150))).await;
        }
        isochrome.kill();
        isochrome.relaunch();
    }
    isochrome.await_ready();
    writers.more(20).await;
    let ledger = writers.ledger.clone();
    settle(&servers, &isochrome, writers, &api).await;
    ledger.acknowledged()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_sent_again_under_its_id_after_a_kill_has_one_effect() {
    let mut random = fastrand::Rng::with_seed(seed());
    let servers = Chroma::start_many(2);
    let mut isochrome = Setup::over(&servers).start();
    await_both(&mut isochrome);
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    let writers = Writers::start_persistent(&api, &docs, CLIENTS);
    for _ in 0..5 {
        writers.more(random.usize(20..60)).await;
        isochrome.kill();
        isochrome.restart();
    }
    let all = writers.ledger.clone();
    settle(&servers, &isochrome, writers, &api).await;
    let refused: Vec<_> =
        all.all().into_iter().filter(|(_, status)| status.is_none_or(|status| status >= 300)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    // Every round was finished, so of each what it added for good is left, and "last".
    assert_eq!(api.ids(&docs).await.len(), all.all().len() / 4 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_writes_under_way_at_a_kill_all_end() {
    let servers = Chroma::start_many(2);
    let mut isochrome = Setup::over(&servers).start();
    await_both(&mut isochrome);
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    let writers = Writers::start(&api, &docs, 100);
    for _ in 0..2 {
        writers.more(150).await;
        isochrome.kill();
        isochrome.restart();
    }
    settle(&servers, &isochrome, writers, &api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_while_starting_is_no_different() {
    let mut random = fastrand::Rng::with_seed(seed());
    let servers = Chroma::start_many(2);
    let mut isochrome = Setup::over(&servers).start();
    await_both(&mut isochrome);
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    let writers = Writers::start(&api, &docs, CLIENTS);
    writers.more(40).await;
    for _ in 0..10 {
        isochrome.kill();
        isochrome.relaunch();
        tokio::time::sleep(Duration::from_millis(random.u64(0..150))).await;
    }
    isochrome.await_ready();
    writers.more(20).await;
    settle(&servers, &isochrome, writers, &api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_and_isochrome_killed_together() {
    for which in 0..2 {
        let mut servers = Chroma::start_many(2);
        let mut isochrome = Setup::over(&servers).start();
        await_both(&mut isochrome);
        let api = Api::new(&isochrome.url());
        let docs = api.new_collection("docs").await;
        let writers = Writers::start(&api, &docs, CLIENTS);
        for _ in 0..2 {
            writers.more(40).await;
            servers[which].kill();
            isochrome.kill();
            isochrome.relaunch();
            isochrome.await_ready();
            writers.more(20).await;
            servers[which].restart();
            await_both(&mut isochrome);
        }
        settle(&servers, &isochrome, writers, &api).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_one_instance_down_goes_on_with_the_other() {
    for which in 0..2 {
        let mut servers = Chroma::start_many(2);
        let mut isochrome = Setup::over(&servers).start();
        await_both(&mut isochrome);
        let api = Api::new(&isochrome.url());
        let docs = api.new_collection("docs").await;
        let writers = Writers::start(&api, &docs, CLIENTS);
        writers.more(20).await;
        servers[which].kill();
        writers.more(40).await;
        isochrome.kill();
        isochrome.restart();
        writers.more(20).await;
        isochrome.kill();
        servers[which].restart();
        isochrome.restart();
        await_both(&mut isochrome);
        settle(&servers, &isochrome, writers, &api).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_promised_while_all_are_down_survive_a_kill_of_isochrome() {
    let mut servers = Chroma::start_many(2);
    let mut isochrome = Setup::over(&servers).variable("ISOCHROME_WRITE_WAIT_MS", "300").start();
    await_both(&mut isochrome);
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    let writers = Writers::start(&api, &docs, CLIENTS);
    writers.more(20).await;
    servers.iter_mut().for_each(Chroma::kill);
    let promised = || writers.ledger.all().values().filter(|status| **status == Some(503)).count();
    while promised() < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    isochrome.kill();
    isochrome.relaunch();
    servers.iter_mut().for_each(Chroma::restart);
    await_both(&mut isochrome);
    settle(&servers, &isochrome, writers, &api).await;
}
