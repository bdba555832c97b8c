//! Two Isochromes with copies of one data directory before the same servers: at most one of them writes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::api::{Api, id_of, records};
use super::support::chroma::Chroma;
use super::support::compare::Comparer;
use super::support::isochrome::{Isochrome, Setup};
use super::support::patience::in_time;
use super::support::proxy::{Fault, Mode, Proxy, Rule};

const SAME_WITHIN: Duration = Duration::from_secs(60);

/// Our own database on a server.
fn system(api: &Api, server: &Chroma) -> Api {
    let ours = "isochrome_system".to_owned();
    Api { tenant: ours.clone(), database: ours, ..api.at(&server.url()) }
}

/// Names of the epochs that a server shows.
async fn epochs(api: &Api, server: &Chroma) -> Vec<String> {
    let system = system(api, server);
    let all = system.http.get(&system.collections("")).await.success().json();
    let names = all.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str());
    names.filter(|name| name.starts_with("epoch-")).map(str::to_owned).collect()
}

/// Waits until a server's marker tells that the log reached this write.
async fn await_told(api: &Api, server: &Chroma, lsn: u64) {
    let system = system(api, server);
    let marker = id_of(&system.describe("marker").await.success());
    in_time("the marker tells it", async {
        loop {
            let told = system.post(&marker, "get", &json!({ "ids": ["marker"] })).await.success().json();
            if told["metadatas"][0]["lsn"].as_u64().is_some_and(|told| told >= lsn) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Adds records `from..to`, one a request.
async fn add(api: &Api, docs: &str, range: std::ops::Range<u32>) {
    for n in range {
        api.add(docs, &records(&[&format!("r{n}")])).await.success();
    }
}

async fn status(isochrome: &Isochrome) -> Value {
    isochrome.on_socket(http::Method::GET, "/status", None).await.json()
}

/// Waits until every instance is known to have everything, and nothing is copied to it any more.
pub async fn await_settled(isochrome: &Isochrome) {
    let settled = |instance: &Value| {
        let whole = instance["divergent"] == json!([]) && instance["rebuilds"] == json!([]);
        whole && instance["state"] == "up" && instance["pending_writes"] == 0
    };
    in_time("nothing waits", async {
        while !status(isochrome).await["instances"].as_array().expect("instances").iter().all(settled) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Runs a command of the binary on a data directory; its exit code and output.
fn command(isochrome: &Isochrome, arguments: &[&str]) -> (i32, String) {
    command_at(&isochrome.data(), arguments)
}

/// As [`command`], where nothing may run.
pub fn command_at(data: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isochrome"));
    let output = command.args(arguments).arg("--data-dir").arg(data).env_clear().output();
    let output = output.expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("an exit code"), text(&output.stdout) + &text(&output.stderr))
}

fn await_fenced(isochrome: &mut Isochrome) {
    isochrome.await_health(|status, body| status == 503 && body["status"] == "fenced");
}

/// It refuses whatever clients want.
async fn assert_refuses(isochrome: &Isochrome, docs: &str) {
    let api = Api::new(&isochrome.url());
    for answer in [
        api.add(docs, &records(&["refused"])).await,
        api.post(docs, "get", &json!({})).await,
        api.describe("docs").await,
    ] {
        assert_eq!((answer.status, answer.header("isochrome-error")), (503, Some("FENCED")));
        assert!(answer.header("retry-after").is_none() && answer.json()["error"] == "InternalError");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_copies_of_one_log_the_later_start_writes_and_the_earlier_stops() {
    let servers = Chroma::start_many(2);
    let mut older = Setup::over(&servers).start();
    let api = Api::new(&older.url());
    let docs = api.new_collection("docs").await;
    add(&api, &docs, 0..20).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    assert_eq!(epochs(&api, &servers[0]).await, ["epoch-1"]);

    let mut newer = older.copy().launch();
    await_fenced(&mut older);
    assert_refuses(&older, &docs).await;
    let told = status(&older).await;
    assert_eq!((&told["fenced"]["reason"], &told["epoch"]), (&json!("overtaken"), &json!(1)));
    in_time("no instance is used any more", async {
        while status(&older).await["instances"][0]["state"] != "fenced" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let (code, out) = command(&older, &["status"]);
    assert!(code == 0 && out.starts_with("FENCED since") && out.contains("isochrome take-over"), "{out}");
    assert!(older.log().contains("FENCED"));
    let metrics = api.http.get(&format!("{}/metrics", older.url())).await.success().text();
    assert!(metrics.contains("isochrome_fenced 1\n") && metrics.contains("isochrome_epoch 1\n"), "{metrics}");

    newer.await_health(|_, body| body["healthy_instances"] == "2/2");
    let api = Api::new(&newer.url());
    add(&api, &docs, 20..30).await;
    // However often the older one is started.
    for _ in 0..3 {
        older.kill();
        older.relaunch();
        await_fenced(&mut older);
        assert_refuses(&older, &docs).await;
    }
    add(&api, &docs, 30..40).await;
    assert!(status(&newer).await["fenced"].is_null());
    let wanted: Vec<String> = (0..40).map(|n| format!("r{n}")).collect();
    assert_eq!(api.ids(&docs).await, wanted);
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    for server in &servers {
        assert_eq!(epochs(&api, server).await, ["epoch-2"], "old ones are removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_log_disturbs_nobody_and_writes_only_when_it_is_chosen() {
    let servers = Chroma::start_many(2);
    let mut ahead = Setup::over(&servers).start();
    let api = Api::new(&ahead.url());
    let docs = api.new_collection("docs").await;
    add(&api, &docs, 0..10).await;
    let copied = ahead.copy();
    add(&api, &docs, 10..20).await;
    await_told(&api, &servers[0], 21).await;

    let mut behind = copied.launch();
    await_fenced(&mut behind);
    assert_refuses(&behind, &docs).await;
    assert_eq!(status(&behind).await["fenced"]["reason"], "old log");
    add(&api, &docs, 20..30).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    await_told(&api, &servers[1], 31).await;
    ahead.kill();

    let (code, out) = command(&behind, &["take-over"]);
    assert!(code == 0 && out.contains("up to 20 writes are on it, or lost"), "{out}");
    assert!(out.contains("Nothing was changed"), "{out}");
    assert_refuses(&behind, &docs).await;
    let (code, out) = command(&behind, &["take-over", "--yes"]);
    assert!(code == 0 && out.contains("takes over"), "{out}");
    behind.await_health(|status, body| status == 200 && body["healthy_instances"] == "2/2");
    let api = Api::new(&behind.url());
    add(&api, &docs, 30..35).await;
    let wanted: Vec<String> = (0..35).map(|n| format!("r{n}")).collect();
    assert_eq!(api.ids(&docs).await, wanted, "what only the other log held is still there");
    await_settled(&behind).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    let (code, out) = command(&behind, &["verify"]);
    assert!(code == 0, "{out}");

    ahead.relaunch();
    await_fenced(&mut ahead);
    // The choice lasts.
    behind.kill();
    behind.restart();
    add(&Api::new(&behind.url()), &docs, 35..36).await;
    let (code, out) = command(&behind, &["take-over", "--yes"]);
    assert!(code == 1 && out.contains("not fenced"), "{out}");
}

/// Isochrome behind proxies, so that it can be kept from seeing which epochs there are.
fn behind_proxies(servers: &[Chroma], change: impl FnOnce(Setup) -> Setup) -> (Vec<Proxy>, Isochrome) {
    let proxies: Vec<Proxy> = servers.iter().map(|server| Proxy::start(server.port())).collect();
    let setup = Setup::urls(&proxies.iter().map(Proxy::url).collect::<Vec<_>>());
    let mut isochrome = change(setup).start();
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
    (proxies, isochrome)
}

/// Holds each look at the epochs for this long; returns when one is held at each server, so that no canary write is
/// under way.
async fn hold_looks(proxies: &[Proxy], held: Duration) {
    for proxy in proxies {
        let path = "/databases/isochrome_system/collections".to_owned();
        let before = proxy.faults();
        proxy.rule(Rule { method: "GET", path, times: u32::MAX, fault: Fault::DelayRequest(held) });
        in_time("the server is asked", async {
            while proxy.faults() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_earlier_took_before_it_noticed_stops_both_until_one_is_chosen() {
    let servers = Chroma::start_many(2);
    let (proxies, mut older) = behind_proxies(&servers, |setup| setup);
    let api = Api::new(&older.url());
    let docs = api.new_collection("docs").await;
    add(&api, &docs, 0..10).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    let mut copied = older.copy();
    copied.setup.instances = Setup::over(&servers).instances;
    hold_looks(&proxies, Duration::from_secs(15)).await;
    for n in 10..13 {
        // Logged, whether or not it is answered while the lease lasts.
        api.add(&docs, &records(&[&format!("r{n}")])).await;
    }
    let mut newer = copied.launch();
    for server in &servers {
        in_time("the epoch is taken", async {
            while epochs(&api, server).await != ["epoch-2"] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    proxies.iter().for_each(Proxy::clear);
    await_fenced(&mut older);
    await_fenced(&mut newer);
    assert_eq!(status(&older).await["fenced"]["reason"], "overtaken");
    assert_eq!(status(&newer).await["fenced"]["reason"], "old log");

    let (code, out) = command(&older, &["take-over", "--yes"]);
    assert!(code == 0 && out.contains("has epoch 2"), "{out}");
    older.await_health(|_, body| body["healthy_instances"] == "2/2");
    add(&api, &docs, 13..15).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    let wanted: Vec<String> = (0..15).map(|n| format!("r{n}")).collect();
    assert_eq!(api.ids(&docs).await, wanted);
    assert_refuses(&newer, &docs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_gets_its_time_also_where_the_answer_to_the_epochs_creation_was_lost() {
    let servers = Chroma::start_many(2);
    let mut older = Setup::over(&servers).start();
    older.await_health(|_, body| body["healthy_instances"] == "2/2");
    let proxies: Vec<Proxy> = servers.iter().map(|server| Proxy::start(server.port())).collect();
    for proxy in &proxies {
        proxy.rule(Rule::once("/databases/isochrome_system/collections HTTP", Fault::DropAnswer));
    }
    let mut copied = older.copy();
    copied.setup.instances = Setup::urls(&proxies.iter().map(Proxy::url).collect::<Vec<_>>()).instances;
    let mut newer = copied.launch();
    newer.await_health(|_, _| true);
    let api = Api::new(&newer.url());
    for instance in 0..2 {
        in_time("it is handed over", async {
            loop {
                let told = api.http.get(&format!("{}/status", newer.url())).await.success().json();
                let there = told["instances"][instance]["state"].clone();
                assert_ne!(there, "up", "the earlier one may still write there");
                if there == "handing over" {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
    assert_eq!(proxies.iter().map(Proxy::faults).sum::<u64>(), 2, "both answers were lost");
    await_fenced(&mut older);
    newer.await_health(|_, body| body["healthy_instances"] == "2/2");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_see_the_epochs_sends_no_writes_after_a_while() {
    let servers = Chroma::start_many(2);
    let (proxies, mut isochrome) =
        behind_proxies(&servers, |setup| setup.variable("ISOCHROME_WRITE_WAIT_MS", "1000"));
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    add(&api, &docs, 0..5).await;
    hold_looks(&proxies, Duration::from_secs(120)).await;
    let mut n = 5;
    in_time("a write is not sent any more", async {
        loop {
            let answer = api.add(&docs, &records(&[&format!("r{n}")])).await;
            n += 1;
            if answer.status == 503 {
                assert_eq!(answer.header("isochrome-error"), Some("UNDECIDED"));
                return;
            }
            answer.success();
        }
    })
    .await;
    proxies.iter().for_each(Proxy::clear);
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2" && body["pending_writes"] == 0);
    let wanted: Vec<String> = (0..n).map(|n| format!("r{n}")).collect();
    assert_eq!(api.ids(&docs).await, wanted);
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_canary_writes_take_longer_than_a_look_is_good_for_still_gets_writes() {
    let servers = Chroma::start_many(2);
    let (proxies, mut isochrome) = behind_proxies(&servers, |setup| setup);
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    for (proxy, server) in proxies.iter().zip(&servers) {
        let marker = id_of(&system(&api, server).describe("marker").await.success());
        let (method, path) = ("POST", format!("/{marker}/upsert"));
        proxy.rule(Rule { method, path, times: u32::MAX, fault: Fault::DelayAnswer(Duration::from_secs(9)) });
        proxy.set(Mode::Refuse);
    }
    isochrome.await_health(|_, body| body["healthy_instances"] == "0/2");
    for proxy in &proxies {
        proxy.set(Mode::Pass);
    }
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
    add(&api, &docs, 0..3).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
}
