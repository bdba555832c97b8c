//! SIGHUP: what can change does, and a bad file changes nothing.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::commands::run;
use crate::support::api::records;
use crate::support::places;
use crate::support::process::Signal;

/// A cluster with a configuration file.
struct Configured {
    cluster: Cluster,
    file: PathBuf,
    reloads: u64,
}

impl Configured {
    fn start(text: &str) -> Self {
        let file = places::directory("reload").join("isochrome.toml");
        std::fs::write(&file, text).expect("the file is written");
        let path = file.to_str().expect("a path");
        let cluster = Cluster::start_as(|setup| setup.arguments(&["--config", path]));
        Self { cluster, file, reloads: 0 }
    }

    /// Reloads with this text in the file; what `/status` tells of it.
    async fn reload(&mut self, text: &str) -> Value {
        std::fs::write(&self.file, text).expect("the file is written");
        self.cluster.isochrome.signal(Signal::HUP);
        self.reloads += 1;
        let status =
            self.cluster.await_status("the reload", |status| status["reload"]["number"] == self.reloads);
        status.await["reload"].clone()
    }

    fn place(&self, line: usize) -> String {
        format!("file {}:{line}", self.file.display())
    }

    async fn reset_status(&self) -> u16 {
        let api = self.cluster.api();
        api.http.post(&format!("{}/api/v2/reset", self.cluster.isochrome.url()), &json!({})).await.status
    }
}

#[tokio::test]
async fn what_can_change_does_and_the_rest_needs_a_restart() {
    let mut configured = Configured::start("[write]\nmax_body_bytes = 1024\n");
    assert_eq!(configured.cluster.status().await["reload"], Value::Null);
    let api = configured.cluster.api();
    let id = api.new_collection("changing").await;
    let body = json!({ "ids": ["1"], "embeddings": [[1.0]], "documents": ["x".repeat(2_000)] });
    api.add(&id, &body).await.expect(413);
    assert_eq!(configured.reset_status().await, 403);

    let text = "allow_reset = true\n[write]\nmax_body_bytes = 4096\n[wal]\nsegment_bytes = 2097152\n";
    let reload = configured.reload(text).await;
    assert_eq!(reload["ok"], true, "{reload:#}");
    let changed = [
        format!("allow_reset: false -> true ({})", configured.place(1)),
        format!("write.max_body_bytes: 1024 -> 4096 ({})", configured.place(3)),
    ];
    assert_eq!(reload["changed"], json!(changed));
    let waiting = format!("wal.segment_bytes: 67108864 -> 2097152 ({})", configured.place(5));
    assert_eq!(reload["needs_restart"], json!([waiting]));
    let log = configured.cluster.isochrome.log();
    for line in changed.iter().chain([&waiting]) {
        assert!(log.lines().any(|logged| logged.contains(line)), "{line} in {log}");
    }
    assert!(log.contains("needs a restart, and stays as it is: wal.segment_bytes"), "{log}");

    api.add(&id, &body).await.expect(201);
    assert_eq!(configured.reset_status().await, 200);
    let data = configured.cluster.isochrome.data();
    let (_, out, _) = run(&["status", "--data-dir", data.to_str().expect("a path")]);
    assert!(out.contains("2 keys changed") && out.contains("needs a restart: wal.segment_bytes"), "{out}");

    // What is not said any more is the default again.
    let reload = configured.reload("").await;
    assert_eq!(reload["changed"][0], "allow_reset: true -> false (default)", "{reload:#}");
    assert_eq!(configured.reset_status().await, 403);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why() {
    let mut configured = Configured::start("");
    let not_toml = configured.reload("allow_reset = true\n[write\n").await;
    assert_eq!(not_toml["ok"], false);
    let problem = not_toml["problems"][0].as_str().expect("a problem");
    assert!(problem.contains("line 2 is not valid TOML"), "{problem}");

    let text =
        "allow_reset = true\nlisen = \"127.0.0.1:1\"\n[read]\nwait_ms = \"soon\"\n[write]\nwait_ms = 99999\n";
    let wrong = configured.reload(text).await;
    let problems: Vec<&str> =
        wrong["problems"].as_array().expect("problems").iter().filter_map(Value::as_str).collect();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    let log = configured.cluster.isochrome.log();
    for (line, words) in [
        (2, "unknown key; did you mean listen?"),
        (4, "write a whole number from 0 to 600000"),
        (6, "99999 is longer than write.timeout_ms"),
    ] {
        let told = problems.iter().find(|problem| problem.contains(words)).expect(words);
        assert!(told.contains(&configured.place(line)), "{told}");
        assert!(log.contains(*told), "{told} in {log}");
    }
    assert_eq!(configured.reset_status().await, 403, "nothing of it holds");
    std::fs::remove_file(&configured.file).expect("the file is there");
    configured.cluster.isochrome.signal(Signal::HUP);
    let gone = configured.cluster.await_status("the reload", |status| status["reload"]["number"] == 3).await;
    assert!(
        gone["reload"]["problems"][0].as_str().is_some_and(|told| told.contains("cannot read")),
        "{gone:#}"
    );
    let data = configured.cluster.isochrome.data();
    let (_, out, _) = run(&["status", "--data-dir", data.to_str().expect("a path")]);
    assert!(out.contains("configuration NOT reloaded") && out.contains("wrong: config"), "{out}");
}

#[tokio::test]
async fn a_write_that_waits_already_gets_the_new_patience() {
    let patient = "[write]\nwait_ms = 600000\ntimeout_ms = 3600000\n";
    let mut configured = Configured::start(patient);
    let api = configured.cluster.api();
    let id = api.new_collection("waiting").await;
    configured.cluster.settle().await;
    configured.cluster.servers.iter_mut().for_each(crate::support::chroma::Chroma::kill);
    configured.cluster.await_state(0, "refused").await;
    configured.cluster.await_state(1, "refused").await;
    let waiting = tokio::spawn(async move { api.add(&id, &records(&["late"])).await });
    configured
        .cluster
        .await_status("the write is logged", |status| status["unified_wal"]["pending_writes"] == 1)
        .await;
    assert!(!waiting.is_finished());
    configured.reload("[write]\nwait_ms = 0\n[log]\nlevel = \"warn\"\n").await;
    let answer = waiting.await.expect("an answer").expect(503);
    assert_eq!(answer.header("isochrome-error"), Some("UNDECIDED"), "{answer}");

    // The level holds as well: what was told of the reload before it is the last that is told at all.
    let logged =
        |configured: &Configured| configured.cluster.isochrome.log().matches("configuration").count();
    let before = logged(&configured);
    configured.reload("[log]\nlevel = \"warn\"\n").await;
    assert_eq!(logged(&configured), before);
}
