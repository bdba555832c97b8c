//! `/metrics`: read by Prometheus's own parsers, and true.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use http::{HeaderValue, Method};
use serde_json::json;

use crate::cluster::Cluster;
use crate::support::api::records;
use crate::support::http::{Answer, request};
use crate::support::places;

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PLAIN: &str = "text/plain;version=0.0.4";

/// A page by its samples, such as `isochrome_instance_up{instance=primary}`.
struct Page(BTreeMap<String, f64>);

impl Page {
    async fn of(cluster: &Cluster, accept: &str) -> Self {
        let answer = ask(cluster, accept).await.expect(200);
        let form = answer.header("content-type").expect("a content type").to_owned();
        assert_eq!(form.contains("openmetrics"), accept == OPENMETRICS, "{form}");
        Self(parsed(&answer.text(), &form))
    }

    /// A sample; zero where there is none.
    fn get(&self, sample: &str) -> f64 {
        self.0.get(&format!("isochrome_{sample}")).copied().unwrap_or_default()
    }

    #[track_caller]
    fn expect(&self, samples: &[(&str, f64)]) {
        for (sample, value) in samples {
            let told = self.get(sample);
            assert!((told - value).abs() < 1e-9, "{sample} is {told}, not {value}");
        }
    }
}

async fn ask(cluster: &Cluster, accept: &str) -> Answer {
    let mut asked = request(Method::GET, &format!("{}/metrics", cluster.isochrome.url()), None);
    asked.headers_mut().insert("accept", HeaderValue::from_str(accept).expect("a value"));
    cluster.api().http.send(asked).await.expect("an answer")
}

/// What Prometheus's parsers, and rules for every page, make of a page; panics with what they object to.
fn parsed(text: &str, form: &str) -> BTreeMap<String, f64> {
    let mut parser = Command::new(places::python())
        .arg(places::repository().join("tests/clients/metrics_lint.py"))
        .arg(form)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut input = parser.stdin.take().expect("an input");
    input.write_all(text.as_bytes()).expect("the page is read");
    drop(input);
    let output = parser.wait_with_output().expect("the parser ends");
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("samples as JSON")
}

#[tokio::test]
async fn figures_move_with_what_happens() {
    let cluster = Cluster::start();
    let before = Page::of(&cluster, OPENMETRICS).await;
    before.expect(&[
        ("instance_up{instance=primary}", 1.0),
        ("instance_state{instance=replica,state=up}", 1.0),
        ("http_requests_in_flight{}", 0.0),
        ("wal_durable_lsn{}", 0.0),
        ("wal_available{}", 1.0),
        (concat!("build_info{version=", env!("CARGO_PKG_VERSION"), "}"), 1.0),
    ]);
    let api = cluster.api();
    let id = api.new_collection("measured").await;
    for record in ["a", "b", "c"] {
        api.add(&id, &records(&[record])).await.expect(201);
    }
    api.post(&id, "add", &json!({ "ids": ["d"], "embeddings": [[1.0]] })).await.expect(400);
    // What is answered while a write is under way is not kept.
    cluster.settle().await;
    for _ in 0..4 {
        assert_eq!(api.count(&id).await, 3);
    }
    api.post("no-such-collection", "get", &json!({})).await.expect(404);
    cluster.settle().await;
    let page = Page::of(&cluster, OPENMETRICS).await;
    page.expect(&[
        ("http_requests_total{code=200,op=create_collection}", 1.0),
        ("http_requests_total{code=201,op=add}", 3.0),
        ("http_requests_total{code=400,op=add}", 1.0),
        ("http_requests_total{code=200,op=count}", 4.0),
        ("http_requests_total{code=404,op=get}", 1.0),
        ("http_request_duration_seconds_count{op=add}", 4.0),
        ("wal_durable_lsn{}", 5.0),
        ("wal_appended_lsn{}", 5.0),
        ("wal_decided_lsn{}", 5.0),
        ("wal_pending_entries{}", 0.0),
        ("run_writes_count{kind=schema}", 2.0),
        ("suspects{}", 0.0),
        ("cache_hits_total{}", 3.0),
    ]);
    assert!(page.get("cache_bytes{}") > 0.0);
    let reads = |page: &Page| {
        ["primary", "replica"]
            .map(|name| page.get(&format!("instance_requests_total{{instance={name},kind=read}}")))
    };
    // The first of the four counts, and the get whose refusal Chroma words itself; the other counts were kept.
    assert!((reads(&page).iter().sum::<f64>() - 2.0).abs() < 1e-9, "{:?}", reads(&page));
    // Three adds on both, however they were put together, and the refused one where it was decided.
    assert!((page.get("run_writes_sum{kind=add}") - 7.0).abs() < 1e-9);
    assert!(page.get("http_request_duration_seconds_sum{op=add}") > 0.0);
    assert!(page.get("wal_commit_duration_seconds_count{}") >= 5.0);
    assert!(page.get("wal_commit_records_sum{}") >= 5.0);
    assert!(page.get("wal_disk_free_bytes{}") > 0.0);
    assert!(page.get("process_resident_memory_bytes{}") > 1e6);
    assert!(page.get("process_cpu_seconds_total{}") > 0.0);
    assert!(page.get("process_open_fds{}") > 3.0);
}

#[tokio::test]
async fn figures_tell_of_instances_that_are_down() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("missed").await;
    cluster.settle().await;
    cluster.servers[0].kill();
    cluster.await_state(0, "refused").await;
    for record in ["e", "f"] {
        api.add(&id, &records(&[record])).await.expect(201);
    }
    let page = Page::of(&cluster, OPENMETRICS).await;
    page.expect(&[
        ("instance_up{instance=primary}", 0.0),
        ("instance_state{instance=primary,state=up}", 0.0),
        ("instance_state{instance=primary,state=refused}", 1.0),
        ("instance_pending_writes{instance=primary}", 2.0),
        ("instance_pending_writes{instance=replica}", 0.0),
        ("wal_pending_entries{}", 2.0),
    ]);
    assert!(page.get("instance_lag_seconds{instance=primary}") > 0.0);
    cluster.servers[1].kill();
    cluster.await_state(1, "refused").await;
    api.http.get(&api.collections(&format!("/{id}/count"))).await.expect(503);
    let page = Page::of(&cluster, OPENMETRICS).await;
    page.expect(&[
        ("refusals_total{reason=NO_INSTANCE}", 1.0),
        ("http_requests_total{code=503,op=count}", 1.0),
    ]);
}

#[tokio::test]
async fn a_failover_is_counted() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("moved").await;
    // The replica misses a write, so that the collection's writes stay known to the core ...
    cluster.servers[1].kill();
    cluster.await_state(1, "refused").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    // ... and the decision moves to it when the primary goes.
    cluster.servers[0].kill();
    cluster.servers[1].restart();
    cluster.await_state(1, "up").await;
    api.add(&id, &records(&["b"])).await.expect(201);
    let page = Page::of(&cluster, PLAIN).await;
    assert!(page.get("leader_moves_total{reason=failover}") >= 1.0, "{:?}", page.0);
}

#[tokio::test]
async fn each_form_says_the_same() {
    let cluster = Cluster::start();
    let api = cluster.api();
    let id = api.new_collection("twice").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    cluster.settle().await;
    let (openmetrics, plain) = (Page::of(&cluster, OPENMETRICS).await, Page::of(&cluster, PLAIN).await);
    let names = |page: &Page| page.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&openmetrics), names(&plain));
    let steady = |name: &&String| name.contains("_http_") || name.contains("_lsn") || name.contains("_up");
    for name in openmetrics.0.keys().filter(steady) {
        assert_eq!(openmetrics.0[name].to_bits(), plain.0[name].to_bits(), "{name}");
    }

    let answer = ask(&cluster, "application/json").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let figures = answer.json();
    for key in ["memory_usage_mb", "memory_percent", "cpu_percent", "peak_memory_usage"] {
        let value = figures[key].as_f64().unwrap_or_else(|| panic!("{key} in {figures}"));
        assert!(value >= 0.0 && value.is_finite(), "{figures}");
    }
    assert!(figures["memory_usage_mb"].as_f64() > Some(1.0), "{figures}");
    assert!(figures["timestamp"].as_str().is_some_and(|time| time.contains('T')), "{figures}");
    assert_eq!(figures.as_object().map(serde_json::Map::len), Some(5), "{figures}");
}
