//! Strong reads and writes of a few records by many clients, while servers and Isochrome itself are killed and stopped:
//! whatever they saw, one order of all requests about a record explains it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::api::Api;
use super::support::campaign::{Campaign, Story};
use super::support::history::{Call, History, Step};
use super::support::http::{Answer, request};
use super::world::World;

/// Histories that share their servers and their troubles, each in a collection of its own.
const AT_ONCE: u64 = 4;
const OPERATIONS: u64 = 500;
const CLIENTS: usize = 8;
const RECORDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// `ISOCHROME_HISTORIES=n` checks so many.
#[tokio::test(flavor = "multi_thread")]
async fn histories_of_reads_and_writes_with_failover_are_linearizable() {
    let mut campaign = Campaign::new("histories", "ISOCHROME_HISTORIES", 4);
    while let Some(story) = campaign.next(AT_ONCE) {
        let figures = tell(story).await;
        campaign.done(story, &figures);
    }
}

/// How far the clients of all histories are.
#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    ended: AtomicU64,
    unanswered: AtomicU64,
}

async fn tell(story: Story) -> String {
    let mut random = fastrand::Rng::with_seed(story.seed);
    let mut world = World::new(random.usize(2..=3), |setup| setup);
    let progress = Arc::new(Progress::default());
    let mut clients = JoinSet::new();
    let mut histories = Vec::new();
    for number in 0..story.units {
        let id = world.api.new_collection(&format!("history-{number}")).await;
        let (history, left) = (History::default(), Arc::new(AtomicU64::new(OPERATIONS)));
        for _ in 0..CLIENTS {
            let (api, id, history, random) = (world.api.clone(), id.clone(), history.clone(), random.fork());
            let progress = Arc::clone(&progress);
            let client = Client { api, id, history, random, progress, open: Vec::new() };
            clients.spawn(client.run(Arc::clone(&left)));
        }
        histories.push((id, history));
    }
    let troubles = trouble(&mut world, &mut random, &progress, story.units * OPERATIONS).await;
    for client in clients.join_all().await {
        client.settle().await;
    }
    for (id, history) in &histories {
        for record in RECORDS {
            history.read(
                record,
                shown(&get(&world.api, id, &[record]).await.expect("an answer").success(), record),
            );
        }
        if let Some(violation) = history.violation() {
            panic!("collection {id}: {violation}");
        }
    }
    world.identical().await;
    format!("{troubles} troubles, {} without an answer", progress.unanswered.load(Ordering::Relaxed))
}

/// One trouble after the other, until the clients are done. What was broken is whole again afterwards.
async fn trouble(world: &mut World, random: &mut fastrand::Rng, progress: &Progress, operations: u64) -> u64 {
    let count = world.servers.len();
    for troubles in 0.. {
        if !further(progress, random.u64(50..250), operations).await {
            // A process that was launched last may not listen yet.
            world.await_up(count);
            return troubles;
        }
        let which = random.usize(..count);
        match random.u8(..5) {
            0 | 1 => {
                world.servers[which].kill();
                further(progress, random.u64(10..250), operations).await;
                world.servers[which].restart();
            }
            2 | 3 => {
                world.servers[which].stop();
                further(progress, random.u64(10..250), operations).await;
                world.servers[which].cont();
            }
            _ => {
                world.isochrome.kill();
                world.isochrome.relaunch();
            }
        }
        // Another one may come before all is well.
        if random.bool() {
            world.await_up(count);
        }
    }
    unreachable!("troubles end")
}

/// Waits until so many more operations have ended; false when all have.
async fn further(progress: &Progress, more: u64, operations: u64) -> bool {
    let ended = || progress.ended.load(Ordering::Relaxed);
    let wanted = (ended() + more).min(operations);
    let enough = async {
        while ended() < wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), enough).await.expect("operations go on");
    ended() < operations
}

struct Client {
    api: Api,
    id: String,
    history: History,
    random: fastrand::Rng,
    progress: Arc<Progress>,
    /// Writes without a good answer, by their transactions.
    open: Vec<(String, Call)>,
}

impl Client {
    /// Goes on until none are left; gives itself back for what is open.
    async fn run(mut self, left: Arc<AtomicU64>) -> Self {
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let record = RECORDS[self.random.usize(..RECORDS.len())];
            let answered = match self.random.u8(..10) {
                0 | 1 => self.look(&RECORDS).await,
                2..6 => self.look(&[record]).await,
                _ => self.change(record).await,
            };
            self.progress.ended.fetch_add(1, Ordering::Relaxed);
            if !answered {
                self.progress.unanswered.fetch_add(1, Ordering::Relaxed);
                // A closed port refuses faster than anything else happens.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self
    }

    /// What certainly had no effect is taken out of the history.
    async fn settle(self) {
        for (transaction, call) in &self.open {
            let url = format!("{}/transactions/{transaction}?wait_ms=60000", self.api.base);
            let fate = self.api.http.get(&url).await;
            let state = if fate.status == 404 { Value::Null } else { fate.success().json()["state"].clone() };
            match state.as_str() {
                Some("committed") => {}
                None | Some("rejected") => self.history.withdraw(call),
                Some(state) => panic!("{transaction} is {state}"),
            }
        }
    }

    /// A read; false when it got no good answer.
    async fn look(&self, records: &[&str]) -> bool {
        let calls: Vec<_> =
            records.iter().map(|record| self.history.begin(record, Step::Read(None))).collect();
        let answer = get(&self.api, &self.id, records).await.filter(Answer::is_success);
        for (call, record) in calls.iter().zip(records) {
            match &answer {
                Some(answer) => self.history.end(call, Step::Read(shown(answer, record))),
                None => self.history.withdraw(call),
            }
        }
        answer.is_some()
    }

    /// A write; false when it got no good answer.
    async fn change(&mut self, record: &str) -> bool {
        let value = self.progress.begun.fetch_add(1, Ordering::Relaxed);
        let step = match self.random.u8(..8) {
            0 => Step::Delete,
            1 | 2 => Step::Add(value),
            3 | 4 => Step::Update(value),
            _ => Step::Put(value),
        };
        let call = self.history.begin(record, step);
        let (verb, body) = match step {
            Step::Delete | Step::Read(_) => ("delete", json!({ "ids": [record] })),
            Step::Add(value) => ("add", body(record, value)),
            Step::Update(value) => ("update", body(record, value)),
            Step::Put(value) => ("upsert", body(record, value)),
        };
        let transaction = format!("{}-{value}", self.id);
        let url = self.api.collections(&format!("/{}/{verb}", self.id));
        let mut request = request(Method::POST, &url, Some(&body));
        request.headers_mut().insert("transaction-id", transaction.parse().expect("an id"));
        let answered = self.api.http.send(request).await.is_ok_and(|answer| answer.is_success());
        if answered {
            self.history.end(&call, step);
        } else {
            self.open.push((transaction, call));
        }
        answered
    }
}

fn body(record: &str, value: u64) -> Value {
    json!({ "ids": [record], "embeddings": [[value as f32, 0.5, 1.0]], "metadatas": [{ "n": value }] })
}

async fn get(api: &Api, id: &str, records: &[&str]) -> Option<Answer> {
    api.try_post(id, "get", &json!({ "ids": records, "include": ["metadatas"] })).await
}

/// The value of a record in an answer.
fn shown(answer: &Answer, record: &str) -> Option<u64> {
    let answer = answer.json();
    let place = answer["ids"].as_array().expect("ids").iter().position(|id| id == record)?;
    Some(answer["metadatas"][place]["n"].as_u64().expect("a number"))
}
