//! Reads that say how fresh they must be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::{Cluster, post_with};
use crate::support::api::{Api, records};
use crate::support::http::Answer;
use crate::support::isochrome::Setup;
use crate::support::proxy::{Fault, Proxy, Rule, answer_bytes};

const STRONG: &str = "strong";
const ANY: &str = "any";
/// Nobody misses what was decided longer ago than this.
const LOOSE: &str = "bounded; max-lag-ms=3600000";
/// Nothing may be missing.
const TIGHT: &str = "bounded; max-lag-ms=0";

async fn get(api: &Api, id: &str, body: &Value, level: &str) -> Answer {
    post_with(api, (id, "get"), body, &[("isochrome-consistency", level)]).await
}

fn of(answer: &Answer) -> (String, Vec<String>) {
    let ids = answer.json()["ids"].as_array().expect("ids").clone();
    let ids = ids.iter().map(|id| id.as_str().expect("an id").to_owned()).collect();
    (answer.header("isochrome-instance").expect("an instance").to_owned(), ids)
}

/// What many different reads of one level showed, by who answered.
async fn seen(api: &Api, id: &str, level: &str) -> BTreeSet<(String, Vec<String>)> {
    seen_by(24, api, id, level).await
}

async fn seen_by(reads: u32, api: &Api, id: &str, level: &str) -> BTreeSet<(String, Vec<String>)> {
    let mut seen = BTreeSet::new();
    for ids in 0..reads {
        let body = json!({ "ids": ["a", "b", format!("absent-{ids}")], "include": [] });
        seen.insert(of(&get(api, id, &body, level).await.expect(200)));
    }
    seen
}

/// Reads wait a moment only, and none is answered by what was answered before: who is asked is what matters here.
fn impatient(setup: Setup) -> Setup {
    setup.variable("ISOCHROME_READ_WAIT_MS", "300").variable("ISOCHROME_READ_CACHE_MAX_BYTES", "0")
}

fn shown(by: &str, ids: &[&str]) -> (String, Vec<String>) {
    (by.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())
}

/// The replica takes no adds from now on, and is well.
fn hold_back(cluster: &Cluster) {
    let busy = answer_bytes("429 Too Many Requests", "application/json", "{}");
    cluster.proxies[1].rule(Rule {
        method: "POST",
        path: "/add".to_owned(),
        times: u32::MAX,
        fault: Fault::Intercept(busy),
    });
}

#[tokio::test]
async fn each_level_reads_where_it_may_while_an_instance_lags_and_when_it_is_the_only_one() {
    let mut cluster = Cluster::behind_proxies(impatient);
    let api = cluster.api();
    let id = api.new_collection("fresh").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    cluster.settle().await;
    let both = [shown("primary", &["a"]), shown("replica", &["a"])];
    for level in [STRONG, TIGHT, LOOSE, ANY] {
        assert_eq!(seen(&api, &id, level).await, both.clone().into(), "{level}");
    }
    hold_back(&cluster);
    api.add(&id, &records(&["b"])).await.expect(201);
    let (ahead, behind) = (shown("primary", &["a", "b"]), shown("replica", &["a"]));
    for level in [STRONG, TIGHT] {
        assert_eq!(seen(&api, &id, level).await, [ahead.clone()].into(), "{level}");
    }
    for level in [LOOSE, ANY] {
        assert_eq!(seen(&api, &id, level).await, [ahead.clone(), behind.clone()].into(), "{level}");
    }
    cluster.servers[0].kill();
    cluster.await_state(0, "refused").await;
    let body = json!({ "include": [] });
    for level in [STRONG, TIGHT] {
        let refused = get(&api, &id, &body, level).await.expect(503);
        assert_eq!(refused.header("isochrome-error"), Some("NOT_CAUGHT_UP"), "{level}");
        assert!(refused.header("retry-after").is_some());
    }
    for level in [LOOSE, ANY] {
        assert_eq!(of(&get(&api, &id, &body, level).await.expect(200)), behind, "{level}");
    }
    cluster.proxies.iter().for_each(Proxy::clear);
    cluster.servers[0].restart();
    cluster.await_state(0, "up").await;
    cluster.settle().await;
    for level in [STRONG, TIGHT, LOOSE, ANY] {
        let both = [ahead.clone(), shown("replica", &["a", "b"])];
        // One that came back lately gets a small share at first.
        assert_eq!(seen_by(240, &api, &id, level).await, both.into(), "{level}");
    }
    cluster.await_identical(&api).await;
}

#[tokio::test]
async fn an_unknown_lag_is_too_old() {
    let mut cluster = Cluster::behind_proxies(impatient);
    let api = cluster.api();
    let id = api.new_collection("fresh").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    cluster.settle().await;
    hold_back(&cluster);
    api.add(&id, &records(&["b"])).await.expect(201);
    cluster.isochrome.kill();
    cluster.isochrome.restart();
    for place in 0..2 {
        cluster.await_state(place, "up").await;
    }
    let api = cluster.api();
    assert_eq!(seen(&api, &id, LOOSE).await, [shown("primary", &["a", "b"])].into());
    assert!(seen(&api, &id, ANY).await.contains(&shown("replica", &["a"])));
}

#[tokio::test]
async fn descriptions_and_lists_follow_the_level_too_and_nonsense_is_refused() {
    let cluster = Cluster::shared();
    let api = cluster.space("levels").await;
    let id = api.new_collection("one").await;
    let level = |level: &str, url: &str| {
        let request = http::Request::get(url.to_owned()).header("isochrome-consistency", level);
        let request = request.body(bytes::Bytes::new()).expect("a request");
        let api = api.clone();
        async move { api.http.send(request).await.expect("an answer") }
    };
    let urls = [
        api.collections("/one"),
        api.collections(""),
        format!("{}/count", api.collections(&format!("/{id}"))),
    ];
    for url in &urls {
        for good in [STRONG, ANY, LOOSE, TIGHT] {
            level(good, url).await.expect(200);
        }
        for bad in ["eventual", "bounded", "bounded; max-lag-ms=-5", "any, strong"] {
            let refused = level(bad, url).await.expect(400);
            assert_eq!(refused.header("isochrome-error"), Some("INVALID_CONSISTENCY"), "{bad}");
            let error = refused.json();
            assert_eq!(error["error"], "InvalidArgumentError");
            assert!(error["message"].as_str().expect("words").contains("bounded; max-lag-ms=N"), "{error}");
        }
    }
}
