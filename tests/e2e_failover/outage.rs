//! No instance is left: reads are refused at once, writes are logged, and all of them happen later, once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::support::http::request;
use super::support::isochrome::Setup;
use super::support::load::{Job, Kind, Load, Sample};
use super::support::proxy::Mode;
use super::world::{World, record};

fn patient_reads_hasty_writes(setup: Setup) -> Setup {
    setup.variable("ISOCHROME_READ_WAIT_MS", "300000").variable("ISOCHROME_WRITE_WAIT_MS", "1500")
}

fn kill_all(world: &mut World) {
    world.servers.iter_mut().for_each(super::support::chroma::Chroma::kill);
    world.await_up(0);
}

fn restart_all(world: &mut World) {
    world.servers.iter_mut().for_each(super::support::chroma::Chroma::restart);
    let count = world.servers.len();
    world.await_up(count);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_down_reads_are_refused_at_once_and_writes_are_promised() {
    let mut world = World::new(2, patient_reads_hasty_writes);
    let docs = world.api.new_collection("docs").await;
    world.api.add(&docs, &record("before", 0)).await.success();
    kill_all(&mut world);

    // A read that waited would outlast the client's patience.
    let read = world.api.post(&docs, "get", &json!({})).await.expect(503);
    assert!(read.header("retry-after").is_some() && read.header("transaction-id").is_none());
    assert_eq!(read.header("isochrome-error"), Some("NO_INSTANCE"));

    let add = world.api.collections(&format!("/{docs}/add"));
    let unlikely = json!({
        "ids": ["späť \u{1F980}"], "embeddings": [[0.1, -3.5e-7, 1e20]],
        "documents": ["a \"quoted\"\nline \u{1F600}"], "metadatas": [{ "f": 0.1, "big": 9_007_199_254_740_993_i64 }],
    });
    let started = Instant::now();
    let promised = world.write("promised", Method::POST, &add, &unlikely).await.expect(503);
    assert!(started.elapsed() >= Duration::from_millis(1500), "it gave up before write.wait_ms");
    assert_eq!(promised.header("transaction-id"), Some("promised"));
    assert!(promised.header("retry-after").is_some());
    assert!(promised.text().contains("logged and will be applied"), "{promised}");
    let open = world.api.http.get(&format!("{}/transactions/promised", world.isochrome.url())).await;
    assert_eq!(open.expect(200).json()["state"], "logged");

    restart_all(&mut world);
    let fate = world.fate("promised").await.expect(200).json();
    assert_eq!((&fate["state"], &fate["result"]["status"]), (&json!("committed"), &json!(201)), "{fate}");
    assert_eq!(world.identical().await.records, 2);
    let include = json!({ "ids": unlikely["ids"], "include": ["documents", "metadatas", "embeddings"] });
    let kept = world.api.post(&docs, "get", &include).await.success().json();
    for field in ["ids", "documents", "metadatas"] {
        assert_eq!(kept[field], unlikely[field], "{field}");
    }
    let again = world.write("promised", Method::POST, &add, &unlikely).await.expect(201);
    assert_eq!(again.header("transaction-id"), Some("promised"));
    assert_eq!(world.api.count(&docs).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_writes_with_all_down_and_a_hundred_to_nowhere_all_end() {
    let mut world = World::new(2, |setup| setup.variable("ISOCHROME_WRITE_WAIT_MS", "500"));
    let docs = world.api.new_collection("docs").await;
    kill_all(&mut world);
    let mut writes = tokio::task::JoinSet::new();
    for n in 0..100 {
        for (name, collection) in [("down", docs.clone()), ("nowhere", uuid::Uuid::new_v4().to_string())] {
            let url = world.api.collections(&format!("/{collection}/add"));
            let mut request = request(Method::POST, &url, Some(&record(&format!("r{n}"), n)));
            let id = format!("{name}-{n}");
            request.headers_mut().insert("transaction-id", id.parse().expect("an id"));
            let http = world.api.http.clone();
            writes.spawn(async move { (name, id, http.send(request).await.expect("an answer")) });
        }
    }
    let answers = writes.join_all().await;
    restart_all(&mut world);
    for (name, id, answer) in answers {
        let fate = world.fate(&id).await;
        if name == "down" {
            assert_eq!(answer.status, 503, "{answer}");
            assert_eq!(fate.expect(200).json()["state"], "committed");
        } else {
            assert_eq!(
                (answer.status, fate.status),
                (404, 404),
                "refused before the log, for certain: {answer}"
            );
        }
    }
    assert_eq!(world.identical().await.records, 100);
}

/// Adds, and a delete by predicate for every other one, as fast as the rate says.
fn churn(load: &mut Load, collection: &str) {
    let url = collection.to_owned();
    load.at_rate(Kind::Write, 20, move |n| {
        let (add, number) = (n.is_multiple_of(2), n / 2);
        let (verb, body) = if add {
            ("add", record(&format!("r{number}"), number))
        } else {
            ("delete", json!({ "where": { "n": number } }))
        };
        let mut request = request(Method::POST, &format!("{url}/{verb}"), Some(&body));
        request.headers_mut().insert("transaction-id", format!("{verb}-{number}").parse().expect("an id"));
        Job { label: format!("{verb}-{number}"), request }
    });
}

/// The final answer to a write: the one it got, or the one that its transaction tells.
async fn outcome(world: &World, sample: &Sample) -> Value {
    if sample.is_success() {
        return serde_json::from_slice(&sample.body).expect("JSON");
    }
    assert_eq!(sample.status, 503, "{}", sample.describe());
    let id = sample.transaction.as_ref().unwrap_or_else(|| panic!("no id: {}", sample.describe()));
    assert_eq!(id, &sample.label);
    let fate = world.fate(id).await.expect(200).json();
    assert_eq!(fate["state"], "committed", "{fate}");
    fate["result"]["body"].clone()
}

/// Every write ends with 2xx, or with an id under which exactly one application is found later.
async fn one_then_both(what: &str, fault: impl Fn(&mut World, usize), mend: impl Fn(&mut World, usize)) {
    let mut world = World::behind_proxies(|setup| setup.variable("ISOCHROME_WRITE_WAIT_MS", "700"));
    let docs = world.api.new_collection("docs").await;
    let mut load = Load::start();
    churn(&mut load, &world.api.collections(&format!("/{docs}")));
    let acknowledged = load.acknowledged();
    while acknowledged.count() < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fault(&mut world, 0);
    world.await_up(1);
    fault(&mut world, 1);
    world.await_up(0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    mend(&mut world, 0);
    world.await_up(1);
    let before = acknowledged.count();
    while acknowledged.count() < before + 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    mend(&mut world, 1);
    world.await_up(2);
    let report = load.stop().await;

    let mut deleted = BTreeMap::new();
    let mut promised = 0;
    for sample in report.of(Kind::Write) {
        promised += u32::from(!sample.is_success());
        let outcome = outcome(&world, sample).await;
        if let Some(number) = sample.label.strip_prefix("delete-") {
            deleted.insert(format!("r{number}"), outcome["deleted"].as_u64().expect("a count"));
        }
    }
    eprintln!("{what}: {} writes, {promised} of them promised", report.of(Kind::Write).count());
    assert!(promised > 0, "the outage was not noticed");
    world.identical().await;
    let left = world.ids_on(0, "docs").await.expect("the collection");
    for (id, count) in deleted {
        assert_eq!(u64::from(!left.contains(&id)), count, "{id}: its delete answered {count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_servers_lose_no_write_silently() {
    let kill = |world: &mut World, which: usize| world.servers[which].kill();
    one_then_both("SIGKILL", kill, |world, which| world.servers[which].restart()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_servers_lose_no_write_silently() {
    let stop = |world: &mut World, which: usize| world.servers[which].stop();
    one_then_both("SIGSTOP", stop, |world, which| world.servers[which].cont()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_ports_lose_no_write_silently() {
    let close = |world: &mut World, which: usize| world.proxies[which].set(Mode::Refuse);
    one_then_both("closed ports", close, |world, which| world.proxies[which].set(Mode::Pass)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn black_holes_lose_no_write_silently() {
    let swallow = |world: &mut World, which: usize| world.proxies[which].set(Mode::BlackHole);
    one_then_both("black holes", swallow, |world, which| world.proxies[which].set(Mode::Pass)).await;
}
