//! Isochrome in front of two Chroma servers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::chroma::Chroma;
use crate::support::compare::{Comparer, Comparison};
use crate::support::http::{Answer, request};
use crate::support::isochrome::{Isochrome, Setup};
use crate::support::proxy::Proxy;

/// How long anything that must come true may take; nothing is judged by it.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub isochrome: Isochrome,
    /// One in front of each server, where the cluster was started with them.
    pub proxies: Vec<Proxy>,
    pub servers: Vec<Chroma>,
}

impl Cluster {
    /// A cluster of its own for a test that needs all of it.
    pub fn start() -> Self {
        Self::start_as(|setup| setup)
    }

    /// The same with more settings.
    pub fn start_as(settings: impl FnOnce(Setup) -> Setup) -> Self {
        let servers = Chroma::start_many(2);
        let isochrome = settings(Setup::over(&servers)).start();
        let cluster = Self { isochrome, proxies: Vec::new(), servers };
        cluster.await_all_healthy();
        cluster
    }

    /// With a proxy in front of each server.
    pub fn behind_proxies(settings: impl FnOnce(Setup) -> Setup) -> Self {
        let servers = Chroma::start_many(2);
        let proxies: Vec<Proxy> = servers.iter().map(|server| Proxy::start(server.port())).collect();
        let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
        let isochrome = settings(Setup::urls(&urls)).start();
        let cluster = Self { isochrome, proxies, servers };
        cluster.await_all_healthy();
        cluster
    }

    /// The one that tests share which keep to a tenant of their own and break nothing.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The default database.
    pub fn api(&self) -> Api {
        Api::new(&self.isochrome.url())
    }

    /// A new tenant with a database.
    pub async fn space(&self, tenant: &str) -> Api {
        new_space(&self.isochrome.url(), tenant).await
    }

    /// Waits until both servers are known to have all that was written before, and hold the same in this tenant.
    pub async fn await_identical(&self, api: &Api) -> Comparison {
        self.catch_up().await;
        Comparer::of(&self.servers).tenants(&[api.tenant.as_str()]).await_identical(PATIENCE).await
    }

    /// Every server directly, at the same database.
    pub fn direct(&self, api: &Api) -> Vec<Api> {
        self.servers.iter().map(|server| api.at(&server.url())).collect()
    }

    /// A page of the operators'.
    pub async fn page(&self, path: &str) -> Answer {
        self.api().http.get(&format!("{}{path}", self.isochrome.url())).await
    }

    pub async fn status(&self) -> Value {
        self.page("/status").await.expect(200).json()
    }

    /// The last place in the log.
    pub async fn last_lsn(&self) -> u64 {
        self.status().await["log"]["durable_lsn"].as_u64().expect("the log's position")
    }

    /// Waits until `/status` is as wanted, and gives it.
    pub async fn await_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} did not come true: {status:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every instance has applied everything.
    pub async fn settle(&self) {
        self.await_status("an empty queue", |status| status["unified_wal"]["pending_writes"] == 0).await;
    }

    /// Waits until every instance has applied all that is in the log now; others may write meanwhile.
    async fn catch_up(&self) {
        let last = self.last_lsn().await;
        let applied = |instance: &Value| {
            let pending = instance["oldest_pending_lsn"].as_u64();
            pending.is_none_or(|pending| pending > last)
        };
        let caught_up =
            |status: &Value| status["instances"].as_array().expect("instances").iter().all(applied);
        self.await_status("everything applied", caught_up).await;
    }

    /// Waits until an instance is in a state, such as `up` or `refused`.
    pub async fn await_state(&self, place: usize, state: &str) -> Value {
        self.await_status(state, |status| status["instances"][place]["state"] == state).await
    }

    /// For use before a test's runtime does anything.
    fn await_all_healthy(&self) {
        let deadline = Instant::now() + PATIENCE;
        let healthy = || {
            let (_, body) = crate::support::http::probe(self.isochrome.port(), "/health")?;
            let body: Value = serde_json::from_str(&body).ok()?;
            Some(body["status"] == "healthy")
        };
        while healthy() != Some(true) {
            assert!(Instant::now() < deadline, "not every instance became healthy");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What became of a transaction.
    pub async fn transaction(&self, id: &str, wait_ms: u64) -> Answer {
        self.page(&format!("/transactions/{id}?wait_ms={wait_ms}")).await
    }

    /// Waits until a transaction is applied on every instance, and gives what is told of it.
    pub async fn await_applied(&self, id: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.transaction(id, 0).await.expect(200).json();
            let instances = told["instances"].as_object().expect("instances");
            if told["state"] == "committed" && instances.values().all(|state| state == "applied") {
                return told;
            }
            assert!(Instant::now() < deadline, "{id} was not applied everywhere: {told}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The line of `/collection/mappings` of a collection; null where there is none.
    pub async fn mapping(&self, public_id: &str) -> Value {
        let page = self.page("/collection/mappings").await.expect(200).json();
        let mappings = page["mappings"].as_array().expect("mappings");
        assert_eq!(page["count"], mappings.len());
        mappings.iter().find(|one| one["collection_id"] == public_id).cloned().unwrap_or_default()
    }
}

/// A new tenant with a database, behind any address.
pub async fn new_space(base: &str, tenant: &str) -> Api {
    let api = Api { tenant: tenant.to_owned(), database: "things".to_owned(), ..Api::new(base) };
    api.http.post(&format!("{base}/api/v2/tenants"), &json!({ "name": tenant })).await.success();
    let databases = format!("{base}/api/v2/tenants/{tenant}/databases");
    api.http.post(&databases, &json!({ "name": api.database })).await.success();
    api
}

/// A POST to a collection with headers of its own.
pub async fn post_with(
    api: &Api,
    (id, verb): (&str, &str),
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = request(Method::POST, &api.collections(&format!("/{id}/{verb}")), Some(body));
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header's value"));
    }
    api.http.send(request).await.unwrap_or_else(|error| panic!("{verb}: {error}"))
}

/// A write under a transaction id.
pub async fn post_as(api: &Api, to: (&str, &str), body: &Value, transaction: &str) -> Answer {
    post_with(api, to, body, &[("transaction-id", transaction)]).await
}

/// Does all at once and gives the results in their order.
pub async fn join_all<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.expect("the work is done"));
    }
    done
}
