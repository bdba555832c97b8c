//! Isochrome with two servers of its own: they are found again, restarted, and caught up.

use std::path::Path;
use std::time::Duration;

use isochrome::instances::processes;
use serde_json::{Value, json};

use super::support::api::Api;
use super::support::compare::Comparer;
use super::support::isochrome::{Isochrome, Setup};
use super::support::places;
use super::support::process::{End, Signal};

/// Isochrome with its servers; ends them when it is dropped.
pub struct Managed(pub Isochrome);

impl Managed {
    fn start() -> Self {
        Self::with(&places::chroma())
    }

    /// With servers that this executable starts.
    pub fn with(command: &Path) -> Self {
        let command = command.to_str().expect("a path");
        let mut managed = Self(Setup::default().variable("ISOCHROME_MANAGED_COMMAND", command).launch());
        managed.await_both();
        managed
    }

    pub fn await_both(&mut self) {
        self.0.await_health(|_, body| body["healthy_instances"] == "2/2");
    }

    pub fn record(&self, name: &str) -> Value {
        let file = self.0.data().join("instances").join(name).join("server.json");
        serde_json::from_slice(&std::fs::read(file).expect("its record")).expect("JSON")
    }

    pub fn pid(&self, name: &str) -> u64 {
        self.record(name)["launched"]["process"]["pid"].as_u64().expect("a pid")
    }

    pub fn comparer(&self) -> Comparer {
        let url = |name: &str| format!("http://127.0.0.1:{}", self.record(name)["port"]);
        Comparer::new(&[("a", url("a")), ("b", url("b"))])
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        for name in ["a", "b"] {
            let file = self.0.data().join("instances").join(name).join("server.json");
            let record =
                std::fs::read(file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if let Some(pid) = record.and_then(|record| record["launched"]["process"]["pid"].as_u64()) {
                signal(pid, Signal::KILL);
            }
        }
    }
}

pub fn signal(pid: u64, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid.expect("a pid"), signal);
}

/// False for one that has ended and whose parent has not asked for it.
fn runs(pid: u64) -> bool {
    let pid = u32::try_from(pid).expect("a pid");
    processes::stat(pid).is_some_and(|stat| !stat.ended)
}

async fn add(api: &Api, docs: &str, ids: std::ops::Range<u32>) {
    for n in ids {
        let body = json!({ "ids": [format!("r{n}")], "embeddings": [[n, 1]] });
        api.add(docs, &body).await.expect(201);
    }
}

pub const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_survived_a_kill_9_are_found_again_with_their_data() {
    let mut managed = Managed::start();
    let api = Api::new(&managed.0.url());
    let docs = api.new_collection("docs").await;
    add(&api, &docs, 0..20).await;
    let before = [managed.pid("a"), managed.pid("b")];

    managed.0.kill();
    managed.0.relaunch();
    managed.await_both();
    assert_eq!([managed.pid("a"), managed.pid("b")], before, "adopted");
    add(&api, &docs, 20..30).await;
    assert_eq!(api.count(&docs).await, 30);
    assert_eq!(managed.comparer().await_identical(WITHIN).await.records, 30);

    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
    assert!(!before.into_iter().any(runs), "its servers are stopped too");
    managed.0.relaunch();
    managed.await_both();
    assert_eq!(api.count(&docs).await, 30);
    assert_eq!(managed.comparer().await_identical(WITHIN).await.records, 30);
    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_server_that_dies_is_started_again_and_caught_up() {
    let mut managed = Managed::start();
    let api = Api::new(&managed.0.url());
    let docs = api.new_collection("docs").await;
    for (round, name) in ["a", "b"].into_iter().enumerate() {
        let start = u32::try_from(round).expect("small") * 40;
        add(&api, &docs, start..start + 20).await;
        let before = managed.pid(name);
        signal(before, Signal::KILL);
        add(&api, &docs, start + 20..start + 40).await;
        managed.0.await_health(|_, body| body["healthy_instances"] == "2/2");
        let same = managed.comparer().await_identical(WITHIN).await;
        assert_eq!(same.records, start as usize + 40);
        assert_ne!(managed.pid(name), before, "a new one");
    }
    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
}
