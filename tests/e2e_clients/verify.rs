//! `isochrome verify`: what is the same is called the same, under load too; what somebody altered on a server behind our
//! back is named; what was not compared is never called the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE, join_all};
use crate::commands::run;
use crate::support::api::{Api, id_of, records};
use crate::support::patience::in_time;
use crate::support::proxy::{Fault, Rule};

/// Runs `isochrome verify --json`; its exit code and the report.
pub async fn verify(cluster: &Cluster, arguments: &[&str]) -> (i32, Value) {
    let data = cluster.isochrome.data().to_str().expect("a path").to_owned();
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || {
        let mut all = vec!["verify", "--json", "--data-dir", &data];
        all.extend(arguments.iter().map(String::as_str));
        run(&all)
    });
    let (code, out, err) = ran.await.expect("the command runs");
    (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}")))
}

/// What a report names: collection, record, field.
pub fn named(report: &Value) -> BTreeSet<String> {
    let differences = report["differences"].as_array().expect("differences").iter();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let named = differences
        .map(|one| format!("{} {} {}", text(&one["collection"]), text(&one["record"]), text(&one["field"])));
    named.collect()
}

fn ids(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|number| format!("r{number}")).collect()
}

async fn fill(api: &Api, id: &str, from: usize, count: usize) {
    let ids = ids(from, count);
    api.add(id, &records(&ids.iter().map(String::as_str).collect::<Vec<_>>())).await.expect(201);
}

/// Writers that never rest: adds, updates and deletes of records, and collections that come and go.
struct Load {
    going: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    writers: tokio::task::JoinHandle<Vec<()>>,
}

impl Load {
    fn start(api: &Api, collections: &[String; 2]) -> Self {
        let (going, written) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let (api, id) = (api.clone(), collections[writer % 2].clone());
                let (going, written) = (Arc::clone(&going), Arc::clone(&written));
                async move {
                    let mut turn = 0;
                    while going.load(Ordering::SeqCst) {
                        write(&api, &id, writer, turn).await;
                        written.fetch_add(1, Ordering::SeqCst);
                        turn += 1;
                    }
                }
            })
            .collect();
        Self { going, written, writers: tokio::spawn(join_all(writers)) }
    }

    fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    async fn end(self) {
        self.going.store(false, Ordering::SeqCst);
        self.writers.await.expect("writers");
    }
}

async fn write(api: &Api, id: &str, writer: usize, turn: usize) {
    let (new, old) = (format!("w{writer}-{turn}"), format!("w{writer}-{}", turn / 2));
    api.add(id, &records(&[&new])).await.expect(201);
    api.post(id, "update", &json!({ "ids": [&old], "metadatas": [{ "turn": turn }] })).await.success();
    if turn.is_multiple_of(3) {
        api.post(id, "delete", &json!({ "ids": [&old, &format!("r{}", 100 + turn)] })).await.success();
    }
    if turn.is_multiple_of(10) {
        let name = format!("short-{writer}-{turn}");
        api.new_collection(&name).await;
        api.drop(&name).await.success();
    }
}

#[tokio::test]
async fn a_healthy_pair_is_called_the_same_while_writes_and_deletes_go_on() {
    let cluster = Cluster::start();
    let api = cluster.api();
    let cosine = json!({ "name": "cosine", "configuration": { "hnsw": { "space": "cosine" } } });
    let rotating = [id_of(&api.create(&cosine).await.success()), api.new_collection("hot").await];
    for id in &rotating {
        fill(&api, id, 0, 600).await;
        fill(&api, id, 600, 700).await;
        api.post(id, "delete", &json!({ "where": { "n": { "$lt": 50 } } })).await.expect(200);
    }
    // What is gone is not missing.
    let gone = api.new_collection("gone").await;
    fill(&api, &gone, 0, 10).await;
    api.drop("gone").await.expect(200);
    api.new_collection("gone").await;

    let load = Load::start(&api, &rotating);
    let mut holds = 0;
    for _ in 0..3 {
        let before = load.written();
        let (code, report) = verify(&cluster, &[]).await;
        assert_eq!(
            (code, &report["verdict"], &report["difference_count"]),
            (0, &json!("same"), &json!(0)),
            "{report:#}"
        );
        assert!(report["records"].as_u64().expect("a count") > 2_000, "{report:#}");
        let collections = report["collections"].as_array().expect("collections");
        holds += collections.iter().map(|one| one["holds"].as_u64().expect("holds")).sum::<u64>();
        assert!(load.written() > before, "nothing was written meanwhile");
    }
    assert!(holds > 0, "a collection that never rests must be held");
    load.end().await;

    // At rest the same records have the same digest each time, and nobody is held.
    cluster.settle().await;
    let (code, first) = verify(&cluster, &[]).await;
    let (_, second) = verify(&cluster, &["--collection", "hot"]).await;
    let digest = |report: &Value| {
        let all = report["collections"].as_array().expect("collections").iter();
        let hot =
            all.filter(|one| one["name"] == "hot").map(|one| (one["digest"].clone(), one["holds"].clone()));
        hot.collect::<Vec<_>>()
    };
    assert_eq!((code, digest(&first)), (0, digest(&second)));
    assert_eq!((digest(&first)[0].0.as_str().map(str::len), &digest(&first)[0].1), (Some(32), &json!(0)));
    assert_eq!(second["collections"].as_array().map(Vec::len), Some(1));
    let status = cluster.status().await;
    assert_eq!(
        (&status["verify"]["verdict"], &status["verify"]["records"]),
        (&json!("same"), &first["records"])
    );
    let data = cluster.isochrome.data();
    let (_, shown, _) = run(&["status", "--data-dir", data.to_str().expect("a path")]);
    assert!(shown.contains("are the same"), "{shown}");
    let metrics = cluster.page("/metrics").await.text();
    assert!(metrics.contains("isochrome_verify_last_verdict{verdict=\"same\"} 1"), "{metrics}");
    cluster.await_identical(&api).await;
}

/// Something that happens to the second server without us.
async fn meddle(there: &Api, name: &str) -> &'static str {
    let id = &id_of(&there.describe(name).await.success());
    let update = |body: Value| async move { there.post(id, "update", &body).await.expect(200) };
    match name {
        "document" => update(json!({ "ids": ["r7"], "documents": ["another"] })).await,
        "metadata" => update(json!({ "ids": ["r7"], "metadatas": [{ "n": 7.0 }] })).await,
        "uri" => update(json!({ "ids": ["r7"], "uris": ["u"] })).await,
        "embedding" => {
            let next = f64::from(f32::from_bits(0.2_f32.to_bits() + 1));
            update(json!({ "ids": ["r7"], "embeddings": [[7.1, next, 0.3]] })).await
        }
        "removed" => there.post(id, "delete", &json!({ "ids": ["r7"] })).await.expect(200),
        "added" => there.add(id, &records(&["stranger"])).await.expect(201),
        "order" => {
            let whole = json!({ "ids": ["r7"], "include": ["embeddings", "documents", "metadatas"] });
            let mut whole = there.post(id, "get", &whole).await.success().json();
            whole
                .as_object_mut()
                .expect("an object")
                .retain(|key, _| ["ids", "embeddings", "documents", "metadatas"].contains(&key.as_str()));
            there.post(id, "delete", &json!({ "ids": ["r7"] })).await.expect(200);
            there.add(id, &whole).await.expect(201)
        }
        "description" => {
            let modify = json!({ "new_metadata": { "a": 1 } });
            there.http.put(&there.collections(&format!("/{id}")), &modify).await.expect(200)
        }
        "dropped" => there.drop(name).await.expect(200),
        _ => panic!("nothing happens to {name}"),
    };
    match name {
        "document" => "document r7 document",
        "metadata" => "metadata r7 metadata \"n\"",
        "uri" => "uri r7 uri",
        "embedding" => "embedding r7 embedding",
        "removed" => "removed r7 record",
        "added" => "added stranger record",
        "order" => "order r7 order",
        "description" => "description  metadata",
        _ => "dropped  collection",
    }
}

const MEDDLED: [&str; 9] =
    ["document", "metadata", "uri", "embedding", "removed", "added", "order", "description", "dropped"];

#[tokio::test]
async fn whatever_was_altered_behind_our_back_is_named_and_nothing_else() {
    let cluster = Cluster::start();
    let api = cluster.api();
    for name in MEDDLED.iter().chain(&["untouched"]) {
        let id = api.new_collection(name).await;
        fill(&api, &id, 0, 10).await;
        fill(&api, &id, 10, 300).await;
    }
    cluster.settle().await;
    assert_eq!(verify(&cluster, &[]).await.0, 0);
    let there = &cluster.direct(&api)[1];
    let mut expected = BTreeSet::new();
    for name in MEDDLED {
        let difference = meddle(there, name).await;
        expected.insert(difference.to_owned());
        if name != "dropped" {
            let (code, report) = verify(&cluster, &["--collection", name]).await;
            let one = BTreeSet::from([difference.to_owned()]);
            assert_eq!(
                (code, named(&report), &report["verdict"]),
                (1, one, &json!("different")),
                "{report:#}"
            );
        }
    }
    there.new_collection("from-elsewhere").await;
    expected.insert("from-elsewhere  collection".to_owned());
    let databases = format!("{}/api/v2/tenants/default_tenant/databases", there.base);
    there.http.post(&databases, &json!({ "name": "from-elsewhere" })).await.success();
    expected.insert("  database".to_owned());
    let (code, report) = verify(&cluster, &[]).await;
    assert_eq!((code, named(&report)), (1, expected), "{report:#}");
    assert_eq!(report["difference_count"], 11);
    let both =
        report["differences"].as_array().expect("differences").iter().find(|one| one["field"] == "document");
    let both = &both.expect("the document")["instances"];
    assert!(both["primary"].is_string() && both["replica"].is_string(), "{both}");

    let data = cluster.isochrome.data();
    let data = data.to_str().expect("a path");
    let (code, out, _) = run(&["verify", "--collection", "embedding", "--data-dir", data]);
    assert_eq!(code, 1);
    assert!(
        out.contains("DIFFERENT default_tenant/default_database/embedding record \"r7\" embedding: primary"),
        "{out}"
    );
    let (code, out, err) = run(&["verify", "--collection", "nowhere", "--data-dir", data]);
    assert!((code, out.as_str()) == (1, "") && err.contains("Collection [nowhere] does not exist"), "{err}");
}

#[tokio::test]
async fn what_can_be_mended_in_place_is_mended_and_the_rest_is_copied_again() {
    let cluster = Cluster::start();
    let api = cluster.api();
    let there = &cluster.direct(&api)[1];
    let mendable = ["document", "metadata", "embedding", "added"];
    for name in mendable.iter().chain(&["tail", "order"]) {
        let id = api.new_collection(name).await;
        fill(&api, &id, 0, 30).await;
    }
    cluster.settle().await;
    for name in mendable.iter().chain(&["order"]) {
        meddle(there, name).await;
    }
    let tail = id_of(&there.describe("tail").await.success());
    there.post(&tail, "delete", &json!({ "ids": ["r28", "r29"] })).await.expect(200);
    // What was answered wrongly is not answered again.
    let metadata = id_of(&api.describe("metadata").await.success());
    let ask = |limit: usize| json!({ "ids": ["r7"], "limit": limit });
    for limit in 1..20 {
        api.post(&metadata, "get", &ask(limit)).await.expect(200);
    }
    let (code, report) = verify(&cluster, &["--repair"]).await;
    assert_eq!((code, &report["verdict"]), (0, &json!("different")), "{report:#}");
    let repairs = report["repairs"].as_array().expect("repairs");
    let mended: BTreeSet<_> = repairs
        .iter()
        .filter(|one| one["why_not"].is_null())
        .map(|one| {
            assert_eq!((&one["instance"], &one["from"]), (&json!("replica"), &json!("primary")));
            format!("{} {}", one["collection"].as_str().expect("a name"), one["mended"])
        })
        .collect();
    let expected = ["added 1", "document 1", "embedding 1", "metadata 1", "order 0", "tail 2"];
    assert_eq!(mended, BTreeSet::from(expected.map(str::to_owned)), "{report:#}");
    let rebuilt: Vec<_> = repairs.iter().filter(|one| !one["rebuilt"].is_null()).collect();
    assert_eq!((rebuilt.len(), &rebuilt[0]["collection"]), (1, &json!("order")), "{report:#}");
    for limit in 1..20 {
        let answer = api.post(&metadata, "get", &ask(limit)).await.expect(200).json();
        assert_eq!(answer["metadatas"][0].to_string(), r#"{"n":7}"#);
    }
    assert_eq!(verify(&cluster, &[]).await.0, 0);
    cluster.await_identical(&api).await;

    // The other one can be taken as the right one.
    meddle(there, "document").await;
    let (code, report) =
        verify(&cluster, &["--repair", "--from", "replica", "--collection", "document"]).await;
    assert_eq!((code, &report["repairs"][0]["from"]), (0, &json!("replica")), "{report:#}");
    let right = cluster.direct(&api)[0].describe("document").await.success();
    let shown = cluster.direct(&api)[0].post(&id_of(&right), "get", &ask(1)).await.success().json();
    assert_eq!(shown["documents"][0], "another");
    cluster.await_identical(&api).await;
}

#[tokio::test]
async fn what_was_not_compared_is_never_called_the_same() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("alone").await;
    fill(&api, &id, 0, 20).await;
    cluster.settle().await;
    cluster.servers[1].kill();
    cluster.await_state(1, "refused").await;
    let (code, report) = verify(&cluster, &[]).await;
    assert_eq!((code, &report["verdict"]), (1, &json!("incomplete")), "{report:#}");
    assert_eq!(report["not_compared"], json!([{ "instance": "replica", "why": "it is refused" }]));
    assert_eq!((&report["collections"][0]["verdict"], &report["records"]), (&json!("incomplete"), &json!(0)));
    let data = cluster.isochrome.data();
    let (_, out, _) = run(&["verify", "--data-dir", data.to_str().expect("a path")]);
    assert!(out.contains("NOT COMPARED replica: it is refused") && !out.contains("same"), "{out}");

    cluster.servers[1].restart();
    cluster.await_state(1, "up").await;
    assert_eq!(verify(&cluster, &[]).await.0, 0);
    // One that hangs under the comparison's own reading.
    cluster.servers[1].stop();
    let (code, report) = verify(&cluster, &[]).await;
    cluster.servers[1].cont();
    assert_eq!((code, &report["verdict"]), (1, &json!("incomplete")), "{report:#}");
}

#[tokio::test]
async fn a_comparison_is_cancelled_and_one_that_a_kill_interrupted_is_begun_again() {
    let mut cluster = Cluster::behind_proxies(|setup| setup);
    let api = cluster.api();
    let id = api.new_collection("kept").await;
    fill(&api, &id, 0, 20).await;
    cluster.settle().await;
    // Nothing is read of a server that answers everything else, so the comparison waits for long.
    cluster.proxies[1].rule(Rule { times: u32::MAX, ..Rule::once("/get", Fault::Hold) });
    let start = |cluster: &Cluster| {
        let isochrome = &cluster.isochrome;
        let answer = isochrome.data().join("admin.sock");
        async move {
            let request = crate::support::http::request(Method::POST, "/admin/verify", Some(&json!({})));
            let answer = crate::support::http::over_socket(&answer, request).await.expect("an answer");
            answer.expect(202).json()["id"].as_i64().expect("an id")
        }
    };
    let job = start(&cluster).await;
    let path = format!("/admin/jobs/{job}");
    cluster.page(&path).await.expect(200);
    let cancelled = cluster.isochrome.on_socket(Method::DELETE, &path, None).await.expect(200).json();
    assert_eq!(cancelled["state"], "cancelled");
    let again = start(&cluster).await;
    let running = async {
        while cluster.page(&format!("/admin/jobs/{again}")).await.json()["state"] != "running" {
            tokio::task::yield_now().await;
        }
    };
    in_time("it runs", running).await;
    cluster.isochrome.kill();
    cluster.proxies[1].clear();
    cluster.isochrome.restart();
    let data = cluster.isochrome.data().to_str().expect("a path").to_owned();
    let deadline = std::time::Instant::now() + PATIENCE;
    let job = loop {
        let job = cluster.page(&format!("/admin/jobs/{again}")).await.expect(200).json();
        if job["ended_at"].is_string() {
            break job;
        }
        assert!(std::time::Instant::now() < deadline, "{job:#}");
    };
    assert_eq!((&job["state"], &job["interruptions"]), (&json!("done"), &json!(1)), "{job:#}");
    let (code, out, _) = run(&["jobs", "--data-dir", &data]);
    assert_eq!((code, out.lines().count()), (0, 3), "{out}");
    let (code, out, _) = run(&["jobs", &again.to_string(), "--data-dir", &data]);
    assert!(code == 0 && out.contains("interrupted 1 times"), "{out}");
    let (code, _, err) = run(&["jobs", "99", "--cancel", "--data-dir", &data]);
    assert!(code == 1 && err.contains("no such job"), "{err}");
}

#[tokio::test]
async fn comparisons_come_by_themselves() {
    let cluster = Cluster::start_as(|setup| setup.variable("ISOCHROME_VERIFY_EVERY_S", "1"));
    let status = cluster.await_status("a comparison", |status| status["verify"]["verdict"] == "same").await;
    assert_eq!(status["verify"]["differences"], 0);
    let jobs = cluster.page("/admin/jobs").await.expect(200).json();
    assert_eq!(jobs["jobs"][0]["kind"], "verify", "{jobs:#}");
}
