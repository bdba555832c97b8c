//! Isochrome in front of real servers with something on them, and its status.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::support::api::{Api, id_of};
use super::support::chroma::Chroma;
use super::support::compare::{Comparer, Comparison};
use super::support::http::request;
use super::support::isochrome::{Isochrome, Setup};
use super::support::load::{Job, Kind, Load, Report};

/// How long a rebuild may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub struct World {
    pub isochrome: Isochrome,
    pub api: Api,
    pub servers: Vec<Chroma>,
}

impl World {
    pub fn new(count: usize, chunk_size: usize) -> Self {
        Self::with(count, chunk_size, |setup| setup)
    }

    /// Isochrome set up with more than that.
    pub fn with(count: usize, chunk_size: usize, more: impl FnOnce(Setup) -> Setup) -> Self {
        let servers = Chroma::start_many(count);
        let setup = Setup::over(&servers).variable("SYNC_CHUNK_SIZE", &chunk_size.to_string());
        let isochrome = more(setup).start();
        let api = Api::new(&isochrome.url());
        let mut world = Self { isochrome, api, servers };
        let wanted = format!("{count}/{count}");
        world.isochrome.await_health(|_, body| body["healthy_instances"] == wanted.as_str());
        world
    }

    /// A collection with these records in order: `r0`, `r1`, ...
    pub async fn collection(&self, description: &Value, records: usize) -> String {
        let id = id_of(&self.api.create(description).await.success());
        let numbers: Vec<usize> = (0..records).collect();
        for piece in numbers.chunks(500) {
            self.api.add(&id, &records_of(piece)).await.success();
        }
        id
    }

    /// What `/status` says.
    pub async fn status(&self) -> Value {
        self.api.http.get(&format!("{}/status", self.isochrome.url())).await.expect(200).json()
    }

    /// Waits until `/status` says of an instance what is wanted.
    pub async fn await_instance(
        &self,
        instance: usize,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.status().await["instances"][instance].clone();
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "not {what} after {PATIENCE:?}: {found}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until an instance is up and has nothing to be rebuilt.
    pub async fn await_rebuilt(&self, instance: usize) {
        let whole = |found: &Value| {
            found["state"] == "up" && found["divergent"] == json!([]) && found["rebuilds"] == json!([])
        };
        self.await_instance(instance, "rebuilt", whole).await;
    }

    /// Waits until an instance has all that was written, and nothing to be rebuilt.
    pub async fn await_settled(&self, instance: usize) {
        let settled = |found: &Value| {
            let has_all = found["state"] == "up" && found["pending_writes"] == 0;
            has_all && found["divergent"] == json!([]) && found["rebuilds"] == json!([])
        };
        self.await_instance(instance, "settled", settled).await;
    }

    /// Waits until a rebuild on an instance has copied something, and not everything.
    pub async fn await_middle(&self, instance: usize) {
        let middle = |found: &Value| {
            let all = found["rebuilds"].as_array().into_iter().flatten();
            all.into_iter().any(|one| {
                let number = |key: &str| one[key].as_u64().expect("a number");
                number("copied") > 0 && number("copied") < number("ids")
            })
        };
        self.await_instance(instance, "in the middle of a copy", middle).await;
    }

    /// Waits until Isochrome's log has these words.
    pub async fn await_told(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.isochrome.log().contains(words) {
            assert!(Instant::now() < deadline, "not told after {PATIENCE:?}: {words}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Has the instances compared; gives the report.
    pub async fn verify(&self, request: &Value) -> Value {
        let begun = self.isochrome.on_socket(Method::POST, "/admin/verify", Some(request)).await;
        let id = begun.expect(202).json()["id"].clone();
        self.await_job(|job| job["id"] == id).await["result"].clone()
    }

    /// Waits until a job is done; gives it with its result.
    pub async fn await_job(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let page =
            async |path: &str| self.isochrome.on_socket(Method::GET, path, None).await.expect(200).json();
        loop {
            let jobs = page("/admin/jobs").await;
            let found = jobs["jobs"].as_array().expect("jobs").iter().find(|job| wanted(job));
            if let Some(done) = found.filter(|job| job["state"] == "done") {
                return page(&format!("/admin/jobs/{}", done["id"])).await;
            }
            assert!(Instant::now() < deadline, "not done after {PATIENCE:?}: {jobs}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Writes of every kind to a collection, and reads of what does not change in it.
    pub fn load(&self, id: &str) -> Load {
        let url = self.api.collections(&format!("/{id}"));
        let mut load = Load::start();
        let writes = url.clone();
        load.at_rate(Kind::Write, 6, move |n| {
            let old = usize::try_from(n % 200).expect("small") + 100;
            let (verb, body) = match n % 5 {
                0 => ("add", records_of(&[1_000_000 + usize::try_from(n).expect("small")])),
                1 => ("upsert", records_of(&[old])),
                2 => (
                    "update",
                    json!({ "ids": [format!("r{old}")], "metadatas": [{ "touched": n, "n": null }] }),
                ),
                3 => ("delete", json!({ "ids": [format!("r{old}")] })),
                _ => ("delete", json!({ "where": { "n": old + 200 } })),
            };
            let to = format!("{writes}/{verb}");
            Job { label: format!("{verb} {n}"), request: request(Method::POST, &to, Some(&body)) }
        });
        load.at_rate(Kind::Read, 15, move |n| {
            let body = json!({ "ids": [format!("r{}", n % 50)], "include": ["documents"] });
            let to = format!("{url}/get");
            Job { label: format!("r{}", n % 50), request: request(Method::POST, &to, Some(&body)) }
        });
        load
    }

    /// Waits until all servers are known to have everything, and are the same. Without the first they may be the same because
    /// none of them has anything yet, or have something that Isochrome does not know of.
    pub async fn identical(&self) -> Comparison {
        for instance in 0..self.servers.len() {
            self.await_settled(instance).await;
        }
        let tenants = ["default_tenant", "another"];
        Comparer::of(&self.servers).tenants(&tenants).await_identical(PATIENCE).await
    }
}

/// Records with these numbers.
pub fn records_of(numbers: &[usize]) -> Value {
    let embedding = |n: &usize| {
        let n = *n as f32;
        [n.sin() + 1.5, (n * 0.7).cos(), n / 1e3, -1.25e-7]
    };
    json!({
        "ids": numbers.iter().map(|n| format!("r{n}")).collect::<Vec<_>>(),
        "embeddings": numbers.iter().map(embedding).collect::<Vec<_>>(),
        "documents": numbers.iter().map(|n| format!("document \"{n}\" späť")).collect::<Vec<_>>(),
        "metadatas": numbers.iter().map(|n| json!({ "n": n, "half": *n as f64 / 2.0, "even": n % 2 == 0 })).collect::<Vec<_>>(),
    })
}

/// No request failed, and every read showed its record.
pub fn assert_served(report: &Report) {
    report.assert_none_failed(Kind::Write);
    report.assert_none_failed(Kind::Read);
    for read in report.of(Kind::Read) {
        let seen: Value = serde_json::from_slice(&read.body).expect("JSON");
        assert_eq!(seen["ids"], json!([read.label]), "a stale read: {}", read.describe());
    }
}
