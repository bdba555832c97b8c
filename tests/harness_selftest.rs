//! The test bench itself, against real Chroma servers: the comparer can fail and names what differs,
//! the proxy spoils what it is told to, the load notes what happens, both official clients pass.

#![allow(clippy::expect_used, reason = "a failed expectation is the test's verdict")]

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::api::{Api, records};
use support::campaign;
use support::chroma::Chroma;
use support::compare::{Comparer, Difference};
use support::history::{History, Step};
use support::http::{Http, request};
use support::load::{Job, Kind, Load};
use support::process::End;
use support::proxy::{Fault, Mode, Proxy, Rule, answer_bytes};
use support::scripts::OfficialClient;

/// Two servers with the same collections, and the ids of the first one's copies.
struct Pair {
    servers: Vec<Chroma>,
    apis: [Api; 2],
    ids: [String; 2],
    comparer: Comparer,
}

impl Pair {
    async fn new() -> Self {
        let servers = Chroma::start_many(2);
        let apis = [0, 1].map(|n: usize| Api::new(&servers[n].url()));
        let mut ids = Vec::new();
        for api in &apis {
            let id = api.new_collection("letters").await;
            api.add(&id, &records(&["a", "b", "c", "d"])).await.success();
            ids.push(id);
        }
        let comparer = Comparer::new(&[("left", servers[0].url()), ("right", servers[1].url())]);
        Self { servers, apis, ids: ids.try_into().expect("two ids"), comparer }
    }

    /// A write to the right server only.
    async fn right(&self, verb: &str, body: Value) {
        self.apis[1].post(&self.ids[1], verb, &body).await.success();
    }

    /// The differences as `(id, field)`.
    async fn found(&self) -> Vec<(String, String)> {
        let comparison = self.comparer.compare().await.expect("both can be read");
        comparison.differences.into_iter().map(place).collect()
    }
}

fn place(difference: Difference) -> (String, String) {
    (difference.id.unwrap_or_default(), difference.field)
}

fn names(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, field)| ((*id).to_owned(), (*field).to_owned())).collect()
}

#[tokio::test]
async fn the_comparer_names_every_kind_of_difference() {
    let pair = Pair::new().await;
    let same = pair.comparer.assert_identical().await;
    assert_eq!((same.collections, same.records), (1, 4));

    pair.right("update", json!({ "ids": ["a"], "documents": ["altered"] })).await;
    assert_eq!(pair.found().await, names(&[("a", "document")]));
    pair.right("update", json!({ "ids": ["a"], "documents": ["document of a"] })).await;
    pair.comparer.assert_identical().await;

    pair.right("update", json!({ "ids": ["b"], "metadatas": [{ "n": 1.0 }] })).await;
    assert_eq!(pair.found().await, names(&[("b", "metadata")]), "1 is not 1.0");
    pair.right("update", json!({ "ids": ["b"], "metadatas": [{ "n": 1 }] })).await;

    pair.right("update", json!({ "ids": ["b"], "uris": ["u"] })).await;
    assert_eq!(pair.found().await, names(&[("b", "uri")]));
    pair.apis[0].post(&pair.ids[0], "update", &json!({ "ids": ["b"], "uris": ["u"] })).await.success();
    pair.comparer.assert_identical().await;

    let next_up = f32::from_bits(0.2f32.to_bits() + 1);
    pair.right("update", json!({ "ids": ["c"], "embeddings": [[2.1f32, next_up, 0.3f32]] })).await;
    assert_eq!(pair.found().await, names(&[("c", "embedding")]), "the last bit counts");
    pair.right("update", json!({ "ids": ["c"], "embeddings": [[2.1f32, 0.2f32, 0.3f32]] })).await;
    pair.comparer.assert_identical().await;

    pair.right("delete", json!({ "ids": ["b"] })).await;
    assert_eq!(pair.found().await, names(&[("b", "record")]));
    pair.right(
        "add",
        json!({ "ids": ["b"], "embeddings": [[1.1f32, 0.2f32, 0.3f32]],
        "documents": ["document of b"], "metadatas": [{ "n": 1 }], "uris": ["u"] }),
    )
    .await;
    assert_eq!(pair.found().await, names(&[("b", "order")]), "the same records in another order");

    pair.right("add", json!({ "ids": ["extra"], "embeddings": [[0, 0, 0]] })).await;
    assert_eq!(pair.found().await, names(&[("extra", "record"), ("b", "order")]));
}

#[tokio::test]
async fn the_comparer_sees_collections_databases_and_what_it_cannot_read() {
    let mut pair = Pair::new().await;
    let [left, right] = &pair.apis;
    right.create(&json!({ "name": "only-here" })).await.success();
    assert_eq!(pair.found().await, names(&[("", "collection")]));
    left.create(&json!({ "name": "only-here", "metadata": { "k": 1 } })).await.success();
    assert_eq!(pair.found().await, names(&[("", "metadata")]));
    right.drop("only-here").await.success();
    right.create(&json!({ "name": "only-here", "metadata": { "k": 1 }, "configuration": { "hnsw": { "space": "cosine" } } }))
        .await
        .success();
    let found = pair.found().await;
    assert!(found.contains(&(String::new(), "configuration_json".to_owned())), "{found:?}");
    left.drop("only-here").await.success();
    right.drop("only-here").await.success();

    Api::in_new_database(&right.base, "second").await;
    assert_eq!(pair.found().await, names(&[("", "database")]));
    Api::in_new_database(&left.base, "second").await;
    pair.comparer.assert_identical().await;

    for (api, name) in [(left, "isochrome_system"), (right, "elsewhere")] {
        let tenants = format!("{}/api/v2/tenants", api.base);
        api.http.post(&tenants, &json!({ "name": name })).await.success();
    }
    Api::in_new_database(&left.base, "isochrome_system").await;
    pair.comparer.assert_identical().await;

    pair.servers[1].kill();
    let error = pair.comparer.compare().await.expect_err("a dead server is not equal");
    assert!(error.contains("right"), "{error}");
    pair.servers[1].restart();
    pair.comparer.await_identical(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn cosine_collections_are_compared_with_a_tolerance_that_still_sees_changes() {
    let pair = Pair::new().await;
    let cosine = json!({ "name": "angles", "configuration": { "hnsw": { "space": "cosine" } } });
    let mut ids = Vec::new();
    for (api, last) in pair.apis.iter().zip([0.3f32, f32::from_bits(0.3f32.to_bits() + 1)]) {
        let id = support::api::id_of(&api.create(&cosine).await.success());
        api.add(&id, &json!({ "ids": ["x"], "embeddings": [[0.1f32, 0.2f32, last]] })).await.success();
        ids.push(id);
    }
    pair.comparer.assert_identical().await;
    let turned = json!({ "ids": ["x"], "embeddings": [[0.1f32, 0.2f32, 0.30001f32]] });
    pair.apis[1].post(&ids[1], "update", &turned).await.success();
    assert_eq!(pair.found().await, names(&[("x", "embedding")]));
}

#[tokio::test]
async fn the_proxy_passes_refuses_holds_and_spoils() {
    let server = Chroma::start();
    let proxy = Proxy::start(server.port());
    let direct = Api::new(&server.url());
    let id = direct.new_collection("spoilt").await;
    let patient = Http::default();
    let hasty = Http::new(Duration::from_millis(400));
    let heartbeat = format!("{}/api/v2/heartbeat", proxy.url());
    let add = |ids: &[&str]| {
        let url = direct.at(&proxy.url()).collections(&format!("/{id}/add"));
        request(http::Method::POST, &url, Some(&records(ids)))
    };
    let beat = || request(http::Method::GET, &heartbeat, None);

    patient.get(&heartbeat).await.success();
    proxy.set(Mode::Refuse);
    patient.send(beat()).await.expect_err("refused");
    proxy.set(Mode::Pass);
    patient.get(&heartbeat).await.success();

    proxy.set(Mode::BlackHole);
    let error = hasty.send(beat()).await.expect_err("nothing comes");
    assert!(error.contains("no answer"), "{error}");
    let held = tokio::spawn({
        let (patient, request) = (patient.clone(), add(&["held"]));
        async move { patient.send(request).await }
    });
    while proxy.connections() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(direct.ids(&id).await, [""; 0], "nothing goes through");
    proxy.set(Mode::Pass);
    held.await.expect("task").expect("answer").success();
    assert_eq!(direct.ids(&id).await, ["held"]);

    proxy.rule(Rule::once("/add", Fault::DropAnswer));
    patient.send(add(&["unanswered"])).await.expect_err("the answer is dropped");
    assert_eq!(direct.ids(&id).await, ["held", "unanswered"], "but the server executed it");

    proxy.rule(Rule::once("/add", Fault::Intercept(answer_bytes("201 Created", "application/json", "{}"))));
    patient.send(add(&["swallowed"])).await.expect("an answer").expect(201);
    proxy.rule(Rule::once("/add", Fault::Replace(answer_bytes("200 OK", "text/html", "<html>"))));
    let page = patient.send(add(&["page"])).await.expect("an answer").expect(200);
    assert_eq!((page.header("content-type"), page.text().as_str()), (Some("text/html"), "<html>"));
    assert_eq!(direct.ids(&id).await, ["held", "unanswered", "page"]);

    for fault in [Fault::ResetAfter(60), Fault::ResetAfter(0), Fault::CutAfterHeaders] {
        proxy.rule(Rule::once("/add", fault));
        patient.send(add(&["again"])).await.expect_err("not a whole answer");
    }
    for fault in [Fault::DelayAnswer(Duration::from_secs(1)), Fault::DelayRequest(Duration::from_secs(1))] {
        proxy.rule(Rule::once("/add", fault));
        hasty.send(add(&["late"])).await.expect_err("too late");
    }
    assert_eq!(proxy.faults(), 8);
    patient.send(add(&["end"])).await.expect("passes again").expect(201);
}

#[tokio::test]
async fn a_server_dies_hangs_and_comes_back_and_the_load_notes_it() {
    let mut server = Chroma::start();
    let api = Api::new(&server.url());
    let id = api.new_collection("counted").await;
    let mut load = Load::start();
    let (writer, collection) = (api.clone(), id.clone());
    load.at_rate(Kind::Write, 50, move |number| {
        let label = format!("r{number}");
        let url = writer.collections(&format!("/{collection}/add"));
        Job { request: request(http::Method::POST, &url, Some(&records(&[label.as_str()]))), label }
    });
    let (reader, collection) = (api.clone(), id.clone());
    load.closed(Kind::Read, 2, move |number| {
        let url = reader.collections(&format!("/{collection}/count"));
        Job { request: request(http::Method::GET, &url, None), label: number.to_string() }
    });
    let reached = async |wanted: u64| {
        while api.count(&id).await < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    reached(10).await;
    server.stop();
    let hung = Duration::from_millis(500);
    tokio::time::sleep(hung).await;
    server.cont();
    reached(40).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.restart();
    let restarted = Instant::now();
    let answered_before = api.count(&id).await;
    reached(answered_before + 10).await;
    let report = load.stop().await;

    assert!(report.longest_pause(Kind::Read) >= hung, "{:?}", report.longest_pause(Kind::Read));
    assert!(!report.failed(Kind::Write).is_empty(), "nobody answers while the server is dead");
    assert!(report.samples.iter().any(|sample| sample.is_success() && sample.ended > restarted));
    let kept = api.ids(&id).await;
    for sample in report.of(Kind::Write).filter(|sample| sample.is_success()) {
        assert!(kept.contains(&sample.label), "{} was acknowledged and is lost", sample.label);
    }
    assert_eq!(server.terminate(), End::Code(0));
    server.wipe();
    server.restart();
    let api = Api::new(&server.url());
    assert_eq!(api.describe("counted").await.status, 404, "the disk was lost");
}

#[tokio::test]
async fn both_official_clients_pass_their_life_cycle_against_chroma_itself() {
    let server = Chroma::start();
    let resettable = Chroma::start_with(&["allow_reset: true"]);
    for client in [OfficialClient::Python, OfficialClient::Node] {
        let first = client.run(&server.url(), false);
        first.assert_passed();
        let second = client.run(&server.url(), false);
        second.assert_passed();
        assert_eq!(
            first.transcript, second.transcript,
            "nothing of one run is left in the masks of the next"
        );
        assert!(first.transcript.len() > 40, "{} steps", first.transcript.len());
        client.run(&resettable.url(), true).assert_passed();
    }
}

#[tokio::test]
async fn a_client_that_meets_a_different_server_fails() {
    let server = Chroma::start();
    let proxy = Proxy::start(server.port());
    let wrong = answer_bytes("200 OK", "application/json", r#"{"deleted":7}"#);
    for client in [OfficialClient::Python, OfficialClient::Node] {
        proxy.clear();
        proxy.rule(Rule::once("/delete", Fault::Replace(wrong.clone())));
        assert!(!client.run(&proxy.url(), false).passed, "{client:?} did not notice a wrong answer");
    }
}

#[test]
fn a_campaign_does_not_count_the_story_that_it_was_killed_in() {
    assert_eq!(campaign::noted(""), 0);
    assert_eq!(campaign::noted("10 77 fine\n8 78 fine\n10 79 fi"), 18);
}

/// What a single copy of a record does under calls that overlap, each taking effect somewhere in between.
fn honest(random: &mut fastrand::Rng, history: &History) -> Option<u64> {
    let mut value = None;
    let mut open = VecDeque::new();
    for number in 0..200 {
        let step = match random.u8(..8) {
            0 => Step::Add(number),
            1 => Step::Update(number),
            2 | 3 => Step::Put(number),
            4 => Step::Delete,
            _ => Step::Read(None),
        };
        let call = history.begin("one", step);
        value = step.after(value);
        // Of some nobody hears again.
        if random.u8(..60) > 0 {
            open.push_back((call, if matches!(step, Step::Read(_)) { Step::Read(value) } else { step }));
        } else if matches!(step, Step::Read(_)) {
            history.withdraw(&call);
        }
        while open.len() > 4 || (!open.is_empty() && random.bool()) {
            let (call, step) = open.pop_front().expect("one is open");
            history.end(&call, step);
        }
    }
    for (call, step) in open {
        history.end(&call, step);
    }
    value
}

#[test]
fn honest_histories_pass_the_checker_and_a_planted_stale_read_does_not() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let history = History::default();
        let value = honest(&mut random, &history);
        history.read("one", value);
        assert_eq!(history.violation(), None, "seed {seed}");
        history.write("one", Step::Put(1_000));
        history.write("two", Step::Put(1));
        history.write("one", Step::Put(1_001));
        history.read("one", Some(1_001));
        assert_eq!(history.violation(), None, "seed {seed}");
        history.read("one", Some(1_000));
        let violation = history.violation().expect("a stale read is a violation");
        assert!(violation.starts_with("one is not linearizable"), "{violation}");
    }
}

#[test]
fn a_write_without_an_answer_may_take_effect_at_any_time_and_once() {
    let lost = || {
        let history = History::default();
        history.write("one", Step::Put(1));
        history.begin("one", Step::Put(2));
        history
    };
    for shown in [vec![], vec![1, 1], vec![1, 2], vec![2, 2]] {
        let history = lost();
        for value in &shown {
            history.read("one", Some(*value));
        }
        assert_eq!(history.violation(), None, "{shown:?}");
    }
    let history = lost();
    history.read("one", Some(2));
    history.read("one", Some(1));
    assert!(history.violation().is_some(), "it went back");
}
