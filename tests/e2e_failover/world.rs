//! Isochrome in front of real servers, with or without fault proxies between them.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::api::{Api, id_of};
use super::support::chroma::Chroma;
use super::support::compare::{Comparer, Comparison};
use super::support::http::{Answer, request};
use super::support::isochrome::{Isochrome, Setup};
use super::support::patience::in_time;
use super::support::proxy::{Fault, Proxy, Rule};

/// How long instances may take to become the same after the last fault.
const SAME_WITHIN: Duration = Duration::from_secs(60);

pub struct World {
    pub isochrome: Isochrome,
    pub api: Api,
    /// One before each server, or none at all.
    pub proxies: Vec<Proxy>,
    pub servers: Vec<Chroma>,
}

impl World {
    /// In front of `count` new servers.
    pub fn new(count: usize, change: impl FnOnce(Setup) -> Setup) -> Self {
        let servers = Chroma::start_many(count);
        let setup = Setup::over(&servers);
        Self::start(servers, Vec::new(), change(setup))
    }

    /// In front of two new servers, each behind a proxy.
    pub fn behind_proxies(change: impl FnOnce(Setup) -> Setup) -> Self {
        let servers = Chroma::start_many(2);
        let proxies: Vec<Proxy> = servers.iter().map(|server| Proxy::start(server.port())).collect();
        let setup = Setup::urls(&proxies.iter().map(Proxy::url).collect::<Vec<_>>());
        Self::start(servers, proxies, change(setup))
    }

    fn start(servers: Vec<Chroma>, proxies: Vec<Proxy>, setup: Setup) -> Self {
        let isochrome = setup.start();
        let api = Api::new(&isochrome.url());
        let mut world = Self { isochrome, api, proxies, servers };
        world.await_up(world.servers.len());
        world
    }

    /// Waits until this many instances are up.
    pub fn await_up(&mut self, count: usize) {
        let wanted = format!("{count}/{}", self.servers.len());
        self.isochrome.await_health(|_, body| body["healthy_instances"] == wanted.as_str());
    }

    /// What `/status` says of an instance.
    pub async fn status(&self, instance: usize) -> Value {
        let status = self.api.http.get(&format!("{}/status", self.isochrome.url())).await.expect(200).json();
        status["instances"][instance].clone()
    }

    /// Waits until every write is known to be applied on an instance: a server has a write before its answer is here.
    pub async fn await_settled(&self, instance: usize) {
        let settled = async {
            while self.status(instance).await["pending_writes"] != 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        in_time("every write is applied there", settled).await;
    }

    /// Panics where the log tells that an instance was taken out.
    pub fn assert_never_down(&self) {
        let log = self.isochrome.log();
        assert!(!log.contains("instance is down"), "an instance was taken out");
    }

    /// Waits until every write is known to be applied on all servers, and they are the same. Without the first they may be
    /// the same because none of them has anything yet, or have something that Isochrome does not know of.
    pub async fn identical(&self) -> Comparison {
        for instance in 0..self.servers.len() {
            self.await_settled(instance).await;
        }
        Comparer::of(&self.servers).await_identical(SAME_WITHIN).await
    }

    /// The ids in a collection of a server, read there directly; `None` where it has no such collection.
    pub async fn ids_on(&self, server: usize, collection: &str) -> Option<Vec<String>> {
        let direct = self.api.at(&self.servers[server].url());
        let described = direct.describe(collection).await;
        if described.status == 404 {
            return None;
        }
        Some(direct.ids(&id_of(&described.success())).await)
    }

    /// What a request line holds for this operation on a collection of a server, and for no canary write.
    pub async fn line(&self, server: usize, collection: &str, verb: &str) -> String {
        let direct = self.api.at(&self.servers[server].url());
        format!("{}/{verb}", id_of(&direct.describe(collection).await.success()))
    }

    /// Spoils an operation on a collection once at every server.
    pub async fn spoil(&self, collection: &str, verb: &str, fault: &Fault) {
        for (server, proxy) in self.proxies.iter().enumerate() {
            proxy.rule(Rule::once(&self.line(server, collection, verb).await, fault.clone()));
        }
    }

    /// A write under a transaction id of the sender.
    pub async fn write(&self, transaction: &str, method: http::Method, url: &str, body: &Value) -> Answer {
        let mut request = request(method, url, Some(body));
        request.headers_mut().insert("transaction-id", transaction.parse().expect("an id"));
        self.api.http.send(request).await.expect("an answer")
    }

    /// What became of a transaction, waited for up to a minute.
    pub async fn fate(&self, transaction: &str) -> Answer {
        let url = format!("{}/transactions/{transaction}?wait_ms=60000", self.isochrome.url());
        self.api.http.get(&url).await
    }
}

/// The body of an add or upsert of one record.
pub fn record(id: &str, n: u64) -> Value {
    json!({
        "ids": [id],
        "embeddings": [[n as f32, 0.5, -1.25]],
        "documents": [format!("document {n} of {id}")],
        "metadatas": [{ "n": n }],
    })
}
