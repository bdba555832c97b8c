//! Isochrome in front of two Chroma servers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::chroma::Chroma;
use crate::support::compare::{Comparer, Comparison};
use crate::support::http::Answer;
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

    /// Waits until both servers hold the same in this tenant.
    pub async fn await_identical(&self, api: &Api) -> Comparison {
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
}

/// A new tenant with a database, behind any address.
pub async fn new_space(base: &str, tenant: &str) -> Api {
    let api = Api { tenant: tenant.to_owned(), database: "things".to_owned(), ..Api::new(base) };
    api.http.post(&format!("{base}/api/v2/tenants"), &json!({ "name": tenant })).await.success();
    let databases = format!("{base}/api/v2/tenants/{tenant}/databases");
    api.http.post(&databases, &json!({ "name": api.database })).await.success();
    api
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
