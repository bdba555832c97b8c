//! Answers that are given again: as long as they are exact, and not a moment longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::api::{Api, records};
use crate::support::history::{History, Step};
use crate::support::http::Answer;

async fn filled(api: &Api, name: &str) -> String {
    let id = api.new_collection(name).await;
    api.add(&id, &records(&["a", "b", "c"])).await.expect(201);
    id
}

fn is_kept(answer: &Answer) -> bool {
    answer.header("isochrome-cache") == Some("hit")
}

/// The three reads that are kept.
async fn reads(api: &Api, id: &str) -> [Answer; 3] {
    let query = json!({ "query_embeddings": [[1.0, 0.2, 0.3]], "n_results": 2 });
    let count = api.http.get(&api.collections(&format!("/{id}/count"))).await;
    [api.post(id, "query", &query).await, api.post(id, "get", &json!({})).await, count]
}

/// Reads until every answer is a kept one: a read that met a write under way is not kept. Gives the last ones.
async fn until_kept(api: &Api, id: &str) -> [Answer; 3] {
    for _ in 0..500 {
        let answers = reads(api, id).await;
        if answers.iter().all(is_kept) {
            return answers;
        }
    }
    panic!("answers about {id} are never kept");
}

#[tokio::test]
async fn what_was_answered_is_answered_again_until_its_collection_changes() {
    let cluster = Cluster::start();
    let api = cluster.api();
    let (id, other) = (filled(&api, "kept").await, filled(&api, "other").await);
    cluster.settle().await;
    let fresh = reads(&api, &id).await;
    assert!(!fresh.iter().any(is_kept), "nobody has asked before");
    let kept = until_kept(&api, &id).await;
    for (kept, fresh) in kept.iter().zip(&fresh) {
        assert_eq!((kept.status, &kept.body), (200, &fresh.body));
        assert_eq!(kept.header("content-type"), fresh.header("content-type"));
        assert!(kept.header("isochrome-instance").is_some());
    }

    api.add(&other, &records(&["d"])).await.expect(201);
    assert!(reads(&api, &id).await.iter().all(is_kept), "the write was another collection's");

    api.add(&id, &records(&["d"])).await.expect(201);
    let [_, get, count] = reads(&api, &id).await;
    assert!(!is_kept(&get) && !is_kept(&count));
    assert_eq!((get.json()["ids"].clone(), count.json()), (json!(["a", "b", "c", "d"]), json!(4)));

    api.post(&id, "delete", &json!({ "where": { "n": { "$gte": 1 } } })).await.success();
    assert_eq!(reads(&api, &id).await[2].json(), json!(2));

    until_kept(&api, &id).await;
    api.drop("kept").await.success();
    assert!(
        reads(&api, &id).await.iter().all(|answer| answer.status == 404),
        "kept answers do not outlive it"
    );
    let again = filled(&api, "kept").await;
    assert_eq!(reads(&api, &again).await[2].json(), json!(3));

    let stats = cluster.status().await["stats"].clone();
    let hits = stats["cache_hits"].as_u64().expect("a number");
    assert!(hits >= 9 && stats["cache_misses"].as_u64() > Some(8), "{stats}");
    assert!(stats["cache_bytes"].as_u64() > Some(0), "{stats}");
}

#[tokio::test]
async fn an_exact_answer_needs_no_instance() {
    let mut cluster = Cluster::start();
    let api = cluster.api();
    let id = filled(&api, "alone").await;
    cluster.settle().await;
    let kept = until_kept(&api, &id).await;
    cluster.servers.iter_mut().for_each(crate::support::chroma::Chroma::kill);
    cluster.await_state(0, "refused").await;
    cluster.await_state(1, "refused").await;
    for (again, before) in reads(&api, &id).await.iter().zip(&kept) {
        assert_eq!((again.status, &again.body), (200, &before.body));
    }
}

#[tokio::test]
async fn with_no_memory_for_it_nothing_is_kept() {
    let cluster = Cluster::start_as(|setup| setup.variable("ISOCHROME_READ_CACHE_MAX_BYTES", "0"));
    let api = cluster.api();
    let id = filled(&api, "plain").await;
    cluster.settle().await;
    for _ in 0..3 {
        assert!(!reads(&api, &id).await.iter().any(is_kept));
    }
    let stats = cluster.status().await["stats"].clone();
    assert_eq!((&stats["cache_hits"], &stats["cache_bytes"]), (&json!(0), &json!(0)));
}

async fn read(api: &Api, id: &str, name: &str, history: &History) -> bool {
    let call = history.begin(name, Step::Read(None));
    let answer = api.post(id, "get", &json!({ "ids": [name], "include": ["metadatas"] })).await.success();
    history.end(&call, Step::Read(answer.json()["metadatas"][0]["n"].as_u64()));
    is_kept(&answer)
}

async fn write(api: &Api, id: &str, name: &str, n: u64, history: &History) {
    let call = history.begin(name, Step::Put(n));
    api.post(id, "upsert", &numbered(name, n)).await.success();
    history.end(&call, Step::Put(n));
}

fn numbered(name: &str, n: u64) -> Value {
    json!({ "ids": [name], "embeddings": [[0.1, 0.2, 0.3]], "metadatas": [{ "n": n }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_records_under_change_are_linearizable_with_kept_answers() {
    const WRITES: u64 = 40;
    let cluster = Cluster::start();
    let api = cluster.api();
    let (done, history) = (Arc::new(AtomicBool::new(false)), History::default());
    let (mut writers, mut readers) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
    for name in ["one", "two"] {
        let id = api.new_collection(name).await;
        write(&api, &id, name, 0, &history).await;
        for _ in 0..4 {
            let (api, id, history, done) = (api.clone(), id.clone(), history.clone(), Arc::clone(&done));
            readers.spawn(async move {
                let mut kept = 0;
                while !done.load(Ordering::SeqCst) {
                    kept += usize::from(read(&api, &id, name, &history).await);
                }
                kept
            });
        }
        let (api, history) = (api.clone(), history.clone());
        writers.spawn(async move {
            for n in 1..=WRITES {
                write(&api, &id, name, n, &history).await;
                // A pause of some reads, so that there is something to keep.
                for _ in 0..10 {
                    read(&api, &id, name, &history).await;
                }
            }
        });
    }
    writers.join_all().await;
    done.store(true, Ordering::SeqCst);
    let kept: usize = readers.join_all().await.into_iter().sum();
    assert!(kept > 0, "no read was answered by a kept answer");
    assert_eq!(history.violation(), None);
}
