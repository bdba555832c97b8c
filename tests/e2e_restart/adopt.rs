//! Servers that hold data before Isochrome came: it is found, compared, adopted under the ids that clients know, and copied
//! to where it is missing.

use std::time::Duration;

use serde_json::{Value, json};

use super::epochs::{await_settled, command_at};
use super::support::api::{Api, id_of, records};
use super::support::chroma::Chroma;
use super::support::compare::Comparer;
use super::support::isochrome::{Copied, Isochrome, Setup};
use super::support::patience::in_time;
use super::support::process::End;

const SAME_WITHIN: Duration = Duration::from_secs(60);

/// Runs `isochrome adopt` for these servers; its exit code and output.
fn adopt(place: &Copied, arguments: &[&str]) -> (i32, String) {
    let named: Vec<String> =
        place.setup.instances.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let mut all = vec!["adopt"];
    for one in &named {
        all.extend(["--instance", one]);
    }
    all.extend(arguments);
    command_at(&place.data(), &all)
}

/// Makes a collection with these records.
async fn fill(api: &Api, name: &str, ids: &[&str]) -> String {
    let metadata = json!({ "hnsw:space": "cosine", "owner": name });
    let made = api.create(&json!({ "name": name, "metadata": metadata })).await.success();
    let id = id_of(&made);
    if !ids.is_empty() {
        api.add(&id, &records(ids)).await.success();
    }
    id
}

/// Starts Isochrome on what was adopted.
fn start(place: Copied) -> Isochrome {
    let mut isochrome = place.launch();
    isochrome.await_health(|_, body| body["healthy_instances"] == "2/2");
    isochrome
}

async fn document(api: &Api, docs: &str, id: &str) -> Value {
    api.post(docs, "get", &json!({ "ids": [id] })).await.success().json()["documents"][0].clone()
}

/// What a client sees of a collection; vectors come back from a copy with other last digits, and are the comparer's.
async fn seen(api: &Api, id: &str) -> Value {
    let described = api.http.get(&api.collections(&format!("/by-id/{id}"))).await.success().json();
    let records =
        api.post(id, "get", &json!({ "include": ["documents", "metadatas"] })).await.success().json();
    let configuration = &described["configuration_json"];
    json!([
        described["id"],
        described["name"],
        described["metadata"],
        configuration,
        described["dimension"],
        records
    ])
}

/// What was there is where it was, and not a copy of it.
async fn assert_untouched(side: &Api, names: [&str; 2], ids: [&String; 2]) {
    for (name, id) in names.into_iter().zip(ids) {
        assert_eq!(&id_of(&side.describe(name).await.success()), id, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_data_are_adopted_under_the_ids_that_clients_know() {
    let servers = Chroma::start_many(2);
    let sides: Vec<Api> = servers.iter().map(|server| Api::new(&server.url())).collect();
    let mut known = Vec::new();
    for side in &sides {
        known.push(fill(side, "docs", &["a", "b", "c"]).await);
        let other = Api::in_new_database(&side.base, "other").await;
        known.push(fill(&other, "docs", &["x"]).await);
    }
    let only_first = fill(&sides[0], "only-first", &["1", "2"]).await;
    let only_second = fill(&sides[1], "only-second", &["3"]).await;
    Api::in_new_database(&sides[1].base, "empty").await;

    let clients = [(0, &known[0]), (0, &only_first), (1, &only_second)];
    let mut before = Vec::new();
    for (side, id) in clients {
        before.push(seen(&sides[side], id).await);
    }

    let place = Setup::over(&servers).place();
    let (code, out) = adopt(&place, &[]);
    assert!(code == 0 && out.contains("4 collections, 2 of them the same"), "{out}");
    assert!(out.contains("copied from primary to replica after the start: \"only-first\""), "{out}");
    assert!(out.contains("Nothing was changed") && !place.data().join("state.db").exists(), "{out}");
    let (code, out) = adopt(&place, &["--yes"]);
    assert!(code == 0 && out.contains("Adopted"), "{out}");
    let (code, out) = adopt(&place, &["--yes"]);
    assert!(code == 1 && out.contains("holds a log already"), "{out}");
    let (code, out) = adopt(&Setup::over(&servers).place(), &["--yes"]);
    assert!(code == 1 && out.contains("belongs to the Isochrome cluster"), "{out}");

    let mut isochrome = start(place);
    let api = Api::new(&isochrome.url());
    for ((_, id), before) in clients.into_iter().zip(&before) {
        assert_eq!(&seen(&api, id).await, before);
        api.add(id, &records(&["new"])).await.success();
    }
    api.post(&known[2], "get", &json!({})).await.expect(404);
    let databases = format!("{}/api/v2/tenants/default_tenant/databases/empty", api.base);
    api.http.get(&databases).await.success();
    let other = Api { database: "other".to_owned(), ..api.clone() };
    assert_eq!(id_of(&other.describe("docs").await.success()), known[1]);
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    assert_untouched(&sides[0], ["docs", "only-first"], [&known[0], &only_first]).await;
    assert_untouched(&sides[1], ["docs", "only-second"], [&known[2], &only_second]).await;
    isochrome.kill();
    isochrome.restart();
    api.add(&only_first, &records(&["newer"])).await.success();
    assert_eq!(api.ids(&only_first).await, ["1", "2", "new", "newer"]);
    await_settled(&isochrome).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    let (code, out) = command_at(&isochrome.data(), &["verify"]);
    assert!(code == 0, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_copies_differ_nothing_is_replaced_until_one_is_chosen() {
    let servers = Chroma::start_many(2);
    let sides: Vec<Api> = servers.iter().map(|server| Api::new(&server.url())).collect();
    let mut known = Vec::new();
    for side in &sides {
        known.push(fill(side, "docs", &["a", "b"]).await);
        fill(side, "same", &["s"]).await;
    }
    let altered = json!({ "ids": ["b"], "documents": ["the other"] });
    sides[1].post(&known[1], "update", &altered).await.success();

    let place = Setup::over(&servers).place();
    let (code, out) = adopt(&place, &["--yes"]);
    assert!(code == 1 && out.contains("document of record \"b\"") && out.contains("--source"), "{out}");
    assert!(!place.data().join("state.db").exists());
    for side in &sides {
        let ours = format!("{}/api/v2/tenants/isochrome_system", side.base);
        side.http.get(&ours).await.expect(404);
    }
    let (code, out) = adopt(&place, &["--yes", "--source", "replica"]);
    assert!(code == 0 && out.contains("copied from replica to primary"), "{out}");

    let isochrome = start(place);
    let api = Api::new(&isochrome.url());
    assert_eq!(document(&api, &known[1], "b").await, "the other");
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    let direct = id_of(&sides[0].describe("docs").await.success());
    assert_eq!(document(&sides[0], &direct, "b").await, "the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_data_directory_is_made_again_with_the_same_ids_and_tells_what_may_be_lost() {
    let servers = Chroma::start_many(2);
    let mut lost = Setup::over(&servers).start();
    lost.await_health(|_, body| body["healthy_instances"] == "2/2");
    let api = Api::new(&lost.url());
    let other = Api::in_new_database(&lost.url(), "other").await;
    let docs = fill(&api, "docs", &["a", "b"]).await;
    let renamed = fill(&api, "before", &["x"]).await;
    api.http.put(&api.collections(&format!("/{renamed}")), &json!({ "new_name": "after" })).await.success();
    let there = fill(&other, "docs", &["y"]).await;
    fill(&api, "dropped", &["z"]).await;
    api.drop("dropped").await.success();
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    await_kept(&servers, &[&docs, &renamed, &there]).await;
    lost.kill();
    std::fs::remove_dir_all(lost.data()).expect("the data directory");
    // A write that had come to one server alone.
    let direct = Api::new(&servers[0].url());
    let real = id_of(&direct.describe("docs").await.success());
    direct.add(&real, &records(&["c"])).await.success();

    let mut refused = Setup::over(&servers).launch();
    assert_eq!(refused.wait(Duration::from_secs(60)), End::Code(1));
    assert!(refused.log().contains("isochrome adopt --take-over"), "{}", refused.log());
    let place = Setup::over(&servers).place();
    let (code, out) = adopt(&place, &["--take-over", "--yes"]);
    assert!(code == 1 && out.contains("\"docs\": records: primary 3, replica 2"), "{out}");
    let (code, out) = adopt(&place, &["--take-over", "--source", "primary", "--yes"]);
    assert!(code == 0 && out.contains("3 collections, 2 of them the same"), "{out}");
    assert!(!out.contains("LOST") && !out.contains("in no kept catalog"), "{out}");

    let isochrome = start(place);
    let api = Api::new(&isochrome.url());
    assert_eq!(api.ids(&docs).await, ["a", "b", "c"]);
    assert_eq!(api.ids(&renamed).await, ["x"]);
    assert_eq!(id_of(&api.describe("after").await.success()), renamed);
    let other = Api { database: "other".to_owned(), ..api.clone() };
    assert_eq!(id_of(&other.describe("docs").await.success()), there);
    api.add(&docs, &records(&["d"])).await.success();
    api.describe("dropped").await.expect(404);
    await_settled(&isochrome).await;
    Comparer::of(&servers).await_identical(SAME_WITHIN).await;
    let (code, out) = command_at(&isochrome.data(), &["verify"]);
    assert!(code == 0, "{out}");
}

/// Waits until each server keeps a catalog of exactly these collections.
async fn await_kept(servers: &[Chroma], ids: &[&str]) {
    let mut wanted: Vec<&str> = ids.to_vec();
    wanted.sort_unstable();
    for server in servers {
        let ours = "isochrome_system".to_owned();
        let system = Api { tenant: ours.clone(), database: ours, ..Api::new(&server.url()) };
        let marker = id_of(&system.describe("marker").await.success());
        in_time("the catalog is kept", async {
            loop {
                let kept =
                    system.post(&marker, "get", &json!({ "ids": ["catalog-0"] })).await.success().json();
                let text = kept["documents"][0].as_str().unwrap_or("{}");
                let catalog: Value = serde_json::from_str(text).expect("a catalog");
                let known = catalog["collections"].as_array().cloned().unwrap_or_default();
                let mut known: Vec<&str> = known
                    .iter()
                    .filter(|one| !one["here"].is_null())
                    .filter_map(|one| one["id"].as_str())
                    .collect();
                known.sort_unstable();
                if known == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}
