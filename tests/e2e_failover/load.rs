//! Writers and readers while an instance is killed, stopped, cut off or swallowed by the network.
//!
//! Nothing fails, no acknowledged write is lost, and a read sees every write acknowledged before it began.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::support::http::request;
use super::support::load::{Acknowledged, Job, Kind, Load, Report};
use super::support::proxy::Mode;
use super::world::{World, record};

const PER_SECOND: u32 = 20;
/// How long a number of acknowledged writes may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A steady load of single adds to two collections, and reads of what was acknowledged.
pub struct Story {
    load: Load,
    acknowledged: Acknowledged,
}

const COLLECTIONS: [&str; 2] = ["even", "odd"];

impl Story {
    pub async fn begin(world: &World) -> Self {
        let mut targets = Vec::new();
        for name in COLLECTIONS {
            let id = world.api.new_collection(name).await;
            targets.push(world.api.collections(&format!("/{id}")));
        }
        let mut load = Load::start();
        let acknowledged = load.acknowledged();
        let urls = targets.clone();
        load.at_rate(Kind::Write, PER_SECOND, move |n| {
            let url = format!("{}/add", urls[usize::from(n % 2 == 1)]);
            Job { label: n.to_string(), request: request(Method::POST, &url, Some(&record(&id_of(n), n))) }
        });
        let known = acknowledged.clone();
        load.at_rate(Kind::Read, PER_SECOND, move |n| read(n, &known, &targets));
        Self { load, acknowledged }
    }

    /// Waits until this many more writes are acknowledged.
    pub async fn more(&self, count: usize) {
        let (wanted, deadline) = (self.acknowledged.count() + count, Instant::now() + PATIENCE);
        while self.acknowledged.count() < wanted {
            let now = self.acknowledged.count();
            assert!(Instant::now() < deadline, "{now} acknowledged, {wanted} wanted after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the load and judges it, and the servers after it.
    pub async fn end(self, world: &World, what: &str) {
        let report = self.load.stop().await;
        let pause = |kind| report.longest_pause(kind).as_millis();
        eprintln!(
            "{what}: {} writes, {} reads, longest pause {} ms in writes, {} ms in reads",
            report.of(Kind::Write).count(),
            report.of(Kind::Read).count(),
            pause(Kind::Write),
            pause(Kind::Read)
        );
        report.assert_none_failed(Kind::Write);
        report.assert_none_failed(Kind::Read);
        assert_reads_saw_what_was_acknowledged(&report);
        let same = world.identical().await;
        let written = report.of(Kind::Write).count();
        assert_eq!((same.collections, same.records), (2, written), "every acknowledged write, once");
    }
}

fn id_of(n: u64) -> String {
    format!("r{n}")
}

/// Every other read takes the latest acknowledged write, every third looks by its metadata instead of by its id.
fn read(n: u64, acknowledged: &Acknowledged, targets: &[String]) -> Job {
    let wanted = if n.is_multiple_of(2) { acknowledged.latest() } else { acknowledged.any() };
    let Some(label) = wanted else {
        let url = format!("{}/count", targets[0]);
        return Job { label: String::new(), request: request(Method::GET, &url, None) };
    };
    let number: u64 = label.parse().expect("a number");
    let url = format!("{}/get", targets[usize::from(number % 2 == 1)]);
    let body: Value = if n.is_multiple_of(3) {
        json!({ "where": { "n": number }, "include": [] })
    } else {
        json!({ "ids": [id_of(number)], "include": [] })
    };
    Job { label, request: request(Method::POST, &url, Some(&body)) }
}

fn assert_reads_saw_what_was_acknowledged(report: &Report) {
    let mut looked = 0;
    for read in report.of(Kind::Read).filter(|read| !read.label.is_empty()) {
        let seen: Value = serde_json::from_slice(&read.body).expect("JSON");
        assert_eq!(seen["ids"], json!([format!("r{}", read.label)]), "a stale read: {}", read.describe());
        looked += 1;
    }
    assert!(looked > 20, "only {looked} reads of acknowledged writes");
}

async fn one_server(which: usize, what: &str, fault: impl FnOnce(&mut World), mend: impl FnOnce(&mut World)) {
    let mut world = World::new(2, |setup| setup);
    survive(&mut world, &format!("{what} of instance {which}"), fault, mend).await;
}

async fn survive(
    world: &mut World,
    what: &str,
    fault: impl FnOnce(&mut World),
    mend: impl FnOnce(&mut World),
) {
    let story = Story::begin(world).await;
    story.more(30).await;
    fault(world);
    world.await_up(1);
    story.more(40).await;
    mend(world);
    world.await_up(2);
    story.more(30).await;
    story.end(world, what).await;
}

async fn killed(which: usize) {
    one_server(which, "SIGKILL", |world| world.servers[which].kill(), |world| world.servers[which].restart())
        .await;
}

async fn stopped(which: usize) {
    one_server(which, "SIGSTOP", |world| world.servers[which].stop(), |world| world.servers[which].cont())
        .await;
}

async fn network(which: usize, mode: Mode) {
    let mut world = World::behind_proxies(|setup| setup);
    let fault = |world: &mut World| world.proxies[which].set(mode);
    let mend = |world: &mut World| world.proxies[which].set(Mode::Pass);
    survive(&mut world, &format!("{mode:?} of instance {which}"), fault, mend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_the_primary_under_load_is_not_noticed() {
    killed(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_the_replica_under_load_is_not_noticed() {
    killed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigstop_of_the_primary_under_load_is_not_noticed() {
    stopped(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigstop_of_the_replica_under_load_is_not_noticed() {
    stopped(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_port_of_the_primary_under_load_is_not_noticed() {
    network(0, Mode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_before_the_primary_under_load_is_not_noticed() {
    network(0, Mode::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_before_the_replica_under_load_is_not_noticed() {
    network(1, Mode::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_may_die_one_after_the_other() {
    let mut world = World::new(3, |setup| setup);
    let story = Story::begin(&world).await;
    story.more(20).await;
    world.servers[0].kill();
    world.await_up(2);
    story.more(20).await;
    world.servers[1].stop();
    world.await_up(1);
    story.more(20).await;
    world.servers[0].restart();
    world.await_up(2);
    world.servers[2].kill();
    story.more(20).await;
    world.servers[1].cont();
    world.servers[2].restart();
    world.await_up(3);
    story.end(&world, "three instances, two of them out").await;
}
