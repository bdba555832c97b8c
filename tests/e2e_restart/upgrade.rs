//! Managed servers get another version of Chroma, one after the other, while clients read and write; one that does not
//! come back well gets the old one again, and never on the files that the new one has opened.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::managed::{Managed, WITHIN, signal};
use super::support::api::Api;
use super::support::chroma::Chroma;
use super::support::http::{Answer, request};
use super::support::isochrome::Setup;
use super::support::load::{Acknowledged, Job, Kind, Load};
use super::support::places;
use super::support::process::{End, Signal};
use super::versions::Versions;

const PER_SECOND: u32 = 10;
/// How long an upgrade may take to come to a point.
const PATIENCE: Duration = Duration::from_secs(240);

/// Two servers of the old version, and clients that read and write.
struct Story {
    versions: Versions,
    managed: Managed,
    load: Load,
    acknowledged: Acknowledged,
}

impl Story {
    async fn begin() -> Self {
        let versions = Versions::new();
        let managed = Managed::with(&versions.make("old", ":;"));
        let api = Api::new(&managed.0.url());
        let url = api.collections(&format!("/{}", api.new_collection("docs").await));
        let mut load = Load::start();
        let acknowledged = load.acknowledged();
        let add = format!("{url}/add");
        load.at_rate(Kind::Write, PER_SECOND, move |n| {
            let body = json!({ "ids": [format!("r{n}")], "embeddings": [[n, 1]], "documents": ["text"] });
            Job { label: n.to_string(), request: request(Method::POST, &add, Some(&body)) }
        });
        let known = acknowledged.clone();
        load.at_rate(Kind::Read, PER_SECOND, move |_| {
            let label = known.any().unwrap_or_default();
            let body = json!({ "ids": [format!("r{label}")], "include": [] });
            Job { label, request: request(Method::POST, &format!("{url}/get"), Some(&body)) }
        });
        let story = Self { versions, managed, load, acknowledged };
        story.more(10).await;
        story
    }

    /// Waits until this many more writes are acknowledged.
    async fn more(&self, count: usize) {
        let wanted = self.acknowledged.count() + count;
        until(|| (self.acknowledged.count() >= wanted).then_some(()), "writes").await;
    }

    async fn ask(&self, request: Value) -> Answer {
        ask(&self.managed, request).await
    }

    async fn upgrade(&self, request: Value) -> Upgrade {
        Upgrade(self.ask(request).await.expect(202).json()["id"].as_i64().expect("an id"))
    }

    /// Ends the load, and judges it and the servers. Reads saw what was acknowledged before them.
    async fn end(self) -> (Versions, Managed) {
        self.more(10).await;
        let report = self.load.stop().await;
        report.assert_none_failed(Kind::Write);
        report.assert_none_failed(Kind::Read);
        for read in report.of(Kind::Read).filter(|read| !read.label.is_empty()) {
            let seen: Value = serde_json::from_slice(&read.body).expect("JSON");
            assert_eq!(seen["ids"], json!([format!("r{}", read.label)]), "{}", read.describe());
        }
        let pause = |kind| report.longest_pause(kind).as_millis();
        let (writes, reads) = (report.of(Kind::Write).count(), report.of(Kind::Read).count());
        eprintln!(
            "{writes} writes, {reads} reads, longest pause {} ms, {} ms",
            pause(Kind::Write),
            pause(Kind::Read)
        );
        assert_eq!(self.managed.comparer().await_identical(WITHIN).await.records, writes);
        (self.versions, self.managed)
    }
}

async fn ask(managed: &Managed, request: Value) -> Answer {
    managed.0.on_socket(Method::POST, "/admin/upgrade-chroma", Some(&request)).await
}

async fn until<T>(look: impl Fn() -> Option<T>, what: &str) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A job.
#[derive(Clone, Copy)]
struct Upgrade(i64);

impl Upgrade {
    async fn page(self, managed: &Managed) -> Value {
        managed.0.on_socket(Method::GET, &format!("/admin/jobs/{}", self.0), None).await.success().json()
    }

    /// Waits until its page is as wanted.
    async fn reach(self, managed: &Managed, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page(managed).await;
            if wanted(&page) {
                return page;
            }
            assert!(Instant::now() < deadline && page["ended_at"].is_null(), "{page:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for its end, which must be this one; what is told of it.
    async fn ended(self, managed: &Managed, state: &str) -> String {
        let page = self.reach(managed, |page| page["ended_at"].is_string()).await;
        assert_eq!(page["state"], state, "{page:#}");
        page["summary"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the first instance is through and serves for a while.
    async fn first_serves(self, managed: &Managed) {
        let serves = |page: &Value| {
            page["progress"]["phase"].as_str().is_some_and(|phase| phase.starts_with("b: serves first"))
        };
        self.reach(managed, serves).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_servers_get_another_version_under_load_and_keep_it_whatever_is_configured() {
    let story = Story::begin().await;
    let new = story.versions.make("new", ":;");
    let upgrade = story.upgrade(json!({ "command": new, "canary_s": 1 })).await;
    let summary = upgrade.ended(&story.managed, "done").await;
    assert!(summary.starts_with("b and a run Chroma"), "{summary}");

    let (versions, mut managed) = story.end().await;
    let ports = ["b", "a"].map(|instance| format!("new {}", managed.record(instance)["port"]));
    assert_eq!(versions.all_starts()[2..], ports, "who decides first comes last");
    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
    managed.0.restart();
    managed.await_both();
    for instance in ["a", "b"] {
        assert_eq!(versions.starts(&managed, instance), ["old", "new", "new"]);
    }
    let status = managed.0.on_socket(Method::GET, "/status", None).await.json();
    assert_eq!(status["instances"][0]["chroma"], new.to_str().expect("a path"));
    assert!(managed.0.log().contains("which counts instead of managed.command"));
    managed.comparer().await_identical(WITHIN).await;
    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_start_is_taken_back_under_load_on_other_files() {
    let story = Story::begin().await;
    let bad = story.versions.make("bad", "echo it can not migrate >&2; exit 3;");
    let upgrade = story.upgrade(json!({ "command": bad })).await;
    let summary = upgrade.ended(&story.managed, "failed").await;
    assert!(summary.starts_with("b did not come to serve with Chroma"), "{summary}");
    assert!(summary.contains("exit status: 3") && summary.contains("it can not migrate"), "{summary}");
    assert!(summary.ends_with("b runs what it had before, and is the same as the others"), "{summary}");

    let (versions, managed) = story.end().await;
    assert_eq!(versions.starts(&managed, "a"), ["old"], "it was left alone");
    let starts = versions.starts(&managed, "b");
    assert_eq!((starts.first(), starts.last()), (Some(&"old".to_owned()), Some(&"old".to_owned())));
    assert!(starts[1..starts.len() - 1].iter().all(|start| start == "bad"), "{starts:?}");
    assert!(managed.0.log().contains("it came back empty"), "it was started empty, and filled again");
    assert!(!managed.0.data().join("instances/b/chroma.aside").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_second_does_not_start_the_same_command_goes_on_from_the_first() {
    let story = Story::begin().await;
    let (port, cured) = (story.managed.record("a")["port"].to_string(), story.versions.0.join("cured"));
    let fails = format!("[ $7 != {port} ] || [ -e '{}' ] || exit 3;", cured.display());
    let new = story.versions.make("new", &fails);
    let upgrade = story.upgrade(json!({ "command": new, "canary_s": 0 })).await;
    let summary = upgrade.ended(&story.managed, "failed").await;
    assert!(summary.starts_with("a did not come to serve"), "{summary}");
    assert!(summary.contains("a runs what it had before") && summary.contains("b runs Chroma"), "{summary}");
    std::fs::write(&cured, "").expect("cured");
    let upgrade = story.upgrade(json!({ "command": new, "canary_s": 0 })).await;
    upgrade.ended(&story.managed, "done").await;
    let (versions, managed) = story.end().await;
    assert_eq!(versions.starts(&managed, "b"), ["old", "new"], "it kept its files all the while");
    let mut starts = versions.starts(&managed, "a");
    starts.dedup();
    assert_eq!(starts, ["old", "new", "old", "new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_one_that_dies_while_it_serves_is_taken_back_under_load() {
    let story = Story::begin().await;
    let new = story.versions.make("new", ":;");
    let upgrade = story.upgrade(json!({ "command": new })).await;
    upgrade.first_serves(&story.managed).await;
    signal(story.managed.pid("b"), Signal::KILL);
    let summary = upgrade.ended(&story.managed, "failed").await;
    assert!(summary.contains("its server did not go on"), "{summary}");
    assert!(summary.ends_with("b runs what it had before, and is the same as the others"), "{summary}");
    let (versions, managed) = story.end().await;
    assert_eq!(versions.starts(&managed, "a"), ["old"]);
    assert_eq!(versions.starts(&managed, "b").last().map(String::as_str), Some("old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_while_the_first_serves_is_taken_back_under_load() {
    let story = Story::begin().await;
    let new = story.versions.make("new", ":;");
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_isochrome"))
        .args(["upgrade-chroma", "--data-dir"])
        .arg(story.managed.0.data())
        .arg("--command")
        .arg(&new)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    // Its first word is that it waits.
    let mut words = BufReader::new(waiting.stderr.take().expect("its words"));
    words.read_line(&mut String::new()).expect("a line");
    let upgrade = Upgrade(1);
    upgrade.first_serves(&story.managed).await;
    signal(waiting.id().into(), Signal::INT);
    let mut rest = String::new();
    words.read_to_string(&mut rest).expect("its last words");
    assert!(rest.contains("The job goes on: `isochrome jobs 1` shows it"), "{rest}");
    assert_eq!(waiting.wait().expect("its end").code(), Some(1));
    let second = story.ask(json!({ "command": new })).await.expect(409);
    assert!(second.text().contains("An upgrade is under way"), "{}", second.text());
    let path = format!("/admin/jobs/{}", upgrade.0);
    let cancelled = story.managed.0.on_socket(Method::DELETE, &path, None).await.success();
    assert_eq!(cancelled.json()["state"], "cancelled");
    let summary = upgrade.ended(&story.managed, "cancelled").await;
    let wanted = "It was cancelled. a runs what it had before. b runs what it had before, and is the same as the others";
    assert_eq!(summary, wanted);
    let (versions, managed) = story.end().await;
    assert_eq!(versions.starts(&managed, "a"), ["old"]);
    assert_eq!(versions.starts(&managed, "b"), ["old", "new", "old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_after_each_kill_9_and_nothing_old_opens_what_is_new() {
    let versions = Versions::new();
    let mut managed = Managed::with(&versions.make("old", ":;"));
    let api = Api::new(&managed.0.url());
    let docs = api.new_collection("docs").await;
    for n in 0..20 {
        api.add(&docs, &json!({ "ids": [format!("r{n}")], "embeddings": [[n, 1]] })).await.expect(201);
    }
    // It does not come up at a port before it is let.
    let go = versions.0.join("go-");
    let new = versions.make("new", &format!("until [ -e '{}'$7 ]; do sleep 0.05; done;", go.display()));
    let asked = ask(&managed, json!({ "command": new, "canary_s": 1 })).await.expect(202);
    let upgrade = Upgrade(asked.json()["id"].as_i64().expect("an id"));
    for instance in ["b", "a"] {
        let is_new = || versions.starts(&managed, instance).contains(&"new".to_owned()).then_some(());
        until(is_new, "start by the new one").await;
        managed.0.kill();
        std::fs::write(versions.0.join(format!("go-{}", managed.record(instance)["port"])), "").expect("go");
        managed.0.restart();
    }
    upgrade.ended(&managed, "done").await;
    assert_eq!(upgrade.page(&managed).await["interruptions"], 2);
    for instance in ["a", "b"] {
        let starts = versions.starts(&managed, instance);
        let first_new = starts.iter().position(|start| start == "new").expect("started by the new one");
        assert!(starts[first_new..].iter().all(|start| start == "new"), "{starts:?}");
    }
    managed.await_both();
    assert_eq!(managed.comparer().await_identical(WITHIN).await.records, 20);
    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_9_on_the_way_back_changes_nothing_of_it() {
    let versions = Versions::new();
    let mut managed = Managed::with(&versions.make("old", ":;"));
    let api = Api::new(&managed.0.url());
    let docs = api.new_collection("docs").await;
    api.add(&docs, &json!({ "ids": ["r"], "embeddings": [[1, 1]] })).await.expect(201);
    let bad = versions.make("bad", "exit 3;");
    let asked = ask(&managed, json!({ "command": bad })).await.expect(202);
    let upgrade = Upgrade(asked.json()["id"].as_i64().expect("an id"));
    // Once it was started it was chosen.
    let is_bad = || versions.starts(&managed, "b").contains(&"bad".to_owned()).then_some(());
    until(is_bad, "start by the bad one").await;
    let taken_back = || managed.record("b").get("chosen").is_none().then_some(());
    until(taken_back, "way back").await;
    managed.0.kill();
    managed.0.restart();
    let summary = upgrade.ended(&managed, "failed").await;
    assert!(
        summary.starts_with("b did not come to serve") && summary.contains("exit status: 3"),
        "{summary}"
    );
    assert!(summary.ends_with("b runs what it had before, and is the same as the others"), "{summary}");
    assert_eq!(versions.starts(&managed, "a"), ["old"], "it was left alone");
    let mut starts = versions.starts(&managed, "b");
    starts.dedup();
    assert_eq!(starts, ["old", "bad", "old"], "it was not tried once more");
    managed.await_both();
    assert_eq!(managed.comparer().await_identical(WITHIN).await.records, 1);
    assert!(!managed.0.data().join("instances/b/chroma.aside").exists());
    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_can_not_be_installed_is_told_and_leaves_nothing() {
    let versions = Versions::new();
    let old = versions.make("old", ":;");
    let with = |name: &str, value: &str| {
        let setup = Setup::default().variable("ISOCHROME_MANAGED_COMMAND", old.to_str().expect("a path"));
        let mut managed = Managed(setup.variable(name, value).launch());
        managed.await_both();
        managed
    };
    for (name, value, wanted) in [
        ("PATH", "/nowhere", "There is no python3 on PATH"),
        ("PIP_NO_INDEX", "1", "No matching distribution found for chromadb==9999.0"),
    ] {
        let mut managed = with(name, value);
        let asked = ask(&managed, json!({ "version": "9999.0" })).await.expect(202);
        let words = Upgrade(asked.json()["id"].as_i64().expect("an id")).ended(&managed, "failed").await;
        assert!(words.contains(wanted), "{words}");
        assert!(!managed.0.data().join("chroma/9999.0").exists());
        assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_refused_before_anything_is_touched() {
    let versions = Versions::new();
    let mut managed = Managed::with(&versions.make("old", ":;"));
    let wrong = ask(&managed, json!({ "version": "--pre" })).await.expect(400);
    assert!(wrong.text().contains("is no version of Chroma"), "{}", wrong.text());
    let missing = ask(&managed, json!({ "command": "/nowhere/chroma" })).await.expect(202);
    let missing = Upgrade(missing.json()["id"].as_i64().expect("an id"));
    let words = missing.ended(&managed, "failed").await;
    assert!(words.contains("/nowhere/chroma can't be run"), "{words}");
    managed.0.on_socket(Method::POST, "/admin/instances/b/drain", None).await.success();
    let drained = ask(&managed, json!({ "command": places::chroma() })).await.expect(409);
    assert!(drained.text().contains("b is drained"), "{}", drained.text());
    assert_eq!(versions.starts(&managed, "b"), ["old"]);
    assert_eq!(managed.0.terminate(WITHIN), End::Code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_ours_get_the_steps_instead() {
    let servers = [Chroma::start(), Chroma::start()];
    let isochrome = Setup::over(&servers).start();
    let version = json!({ "version": "1.5.9" });
    let guided = isochrome.on_socket(Method::POST, "/admin/upgrade-chroma", Some(&version)).await.expect(409);
    let words = guided.json()["message"].as_str().expect("words").to_owned();
    let place = |what: &str| words.find(what).unwrap_or_else(|| panic!("no {what} in {words}"));
    assert!(place("isochrome maintenance replica") < place("isochrome maintenance primary"), "{words}");
}
