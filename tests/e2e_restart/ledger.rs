//! Writers that outlive Isochrome: each write has an id of its own, and its answer is kept, or that there was none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::api::Api;
use super::support::http::{Http, request};

/// What the clients know of the writes that they sent: the status, or `None` where the connection broke.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Option<u16>>>>);

impl Ledger {
    fn note(&self, id: String, status: Option<u16>) {
        self.0.lock().expect("ledger").insert(id, status);
    }

    pub fn all(&self) -> BTreeMap<String, Option<u16>> {
        self.0.lock().expect("ledger").clone()
    }

    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.all().values().filter(|status| status.is_some_and(|status| status < 300)).count()
    }
}

/// Clients that write as fast as they are answered, and go on when they are not.
pub struct Writers {
    pub ledger: Ledger,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Writers {
    /// `clients` clients; each adds a record, updates it, and adds one that it deletes again, in this order.
    pub fn start(api: &Api, collection: &str, clients: usize) -> Self {
        Self::start_with(api, collection, clients, false)
    }

    /// Clients that send a write again, under the same id, until it succeeds.
    pub fn start_persistent(api: &Api, collection: &str, clients: usize) -> Self {
        Self::start_with(api, collection, clients, true)
    }

    fn start_with(api: &Api, collection: &str, clients: usize, persistent: bool) -> Self {
        let (ledger, stop, next) = (Ledger::default(), Arc::new(AtomicBool::new(false)), Arc::default());
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let client = Client {
                http: Http::default(),
                url: api.collections(&format!("/{collection}")),
                ledger: ledger.clone(),
                next: Arc::clone(&next),
                persistent,
            };
            let stop = Arc::clone(&stop);
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.round().await;
                }
            });
        }
        Self { ledger, stop, tasks }
    }

    /// Waits until this many more writes are acknowledged.
    pub async fn more(&self, count: usize) {
        let wanted = self.ledger.acknowledged() + count;
        let enough = async {
            while self.ledger.acknowledged() < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, enough).await.expect("writes go on");
    }

    /// Ends the writers when what they sent has been answered, or not.
    pub async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        self.ledger
    }
}

struct Client {
    http: Http,
    url: String,
    ledger: Ledger,
    next: Arc<AtomicU64>,
    persistent: bool,
}

impl Client {
    async fn round(&self) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let kept =
            json!({ "ids": [format!("r{n}")], "embeddings": [[n as f32, 1.0]], "metadatas": [{ "n": n }] });
        let change = json!({ "ids": [format!("r{n}")], "metadatas": [{ "changed": true }] });
        let passing = json!({ "ids": [format!("p{n}")], "embeddings": [[n as f32, 2.0]] });
        let steps = [
            (format!("add-{n}"), "add", kept),
            (format!("change-{n}"), "update", change),
            (format!("pass-{n}"), "add", passing),
            (format!("gone-{n}"), "delete", json!({ "ids": [format!("p{n}")] })),
        ];
        for (id, verb, body) in steps {
            while !self.send(id.clone(), verb, &body).await && self.persistent {}
        }
    }

    /// True where it was acknowledged.
    async fn send(&self, id: String, verb: &str, body: &Value) -> bool {
        let mut request = request(Method::POST, &format!("{}/{verb}", self.url), Some(body));
        request.headers_mut().insert("transaction-id", id.parse().expect("an id"));
        let status = self.http.send(request).await.ok().map(|answer| answer.status);
        self.ledger.note(id, status);
        if status.is_none() {
            // Nobody listens; a closed port refuses faster than anything else happens.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        status.is_some_and(|status| status < 300)
    }
}

/// What an instance must hold, told by answers and fates, held against what it holds.
pub async fn judge(api: &Api, ledger: &Ledger, direct: &Api, collection: &str) {
    let mut committed = BTreeSet::new();
    let (mut open, mut unknown) = (Vec::new(), 0);
    for (id, status) in ledger.all() {
        let fate = api.http.get(&format!("{}/transactions/{id}?wait_ms=60000", api.base)).await;
        let state =
            if fate.status == 404 { "never logged".into() } else { fate.expect(200).json()["state"].clone() };
        match (status, state.as_str().expect("a word")) {
            (_, "committed") => _ = committed.insert(id),
            (Some(200..300), state) => panic!("{id} was acknowledged and is {state}"),
            (Some(503) | None, "never logged") => unknown += 1,
            (status, state) => open.push(format!("{id} got {status:?} and is {state}")),
        }
    }
    assert!(open.is_empty(), "without a definite end: {open:?}");
    eprintln!("  {} committed, {unknown} never logged", committed.len());
    let real = super::support::api::id_of(&direct.describe(collection).await.success());
    let held = direct.post(&real, "get", &json!({ "include": ["metadatas"] })).await.success().json();
    let held: BTreeMap<&str, &Value> = held["ids"]
        .as_array()
        .expect("ids")
        .iter()
        .map(|id| id.as_str().expect("an id"))
        .zip(held["metadatas"].as_array().expect("metadatas"))
        .collect();
    for id in &committed {
        let (what, n) = id.split_once('-').expect("a kind");
        let (kept, passing) = (held.get(format!("r{n}").as_str()), held.get(format!("p{n}").as_str()));
        match what {
            "add" => assert!(kept.is_some(), "{id} is committed and lost"),
            "change" if committed.contains(&format!("add-{n}")) => {
                assert_eq!(kept.expect("the record")["changed"], true, "{id} is committed and lost");
            }
            "pass" if !committed.contains(&format!("gone-{n}")) => assert!(passing.is_some(), "{id} is lost"),
            "gone" => assert!(passing.is_none(), "{id} is committed and the record there"),
            _ => {}
        }
    }
    for id in held.keys() {
        let n = &id[1..];
        let added = if id.starts_with('r') { format!("add-{n}") } else { format!("pass-{n}") };
        assert!(committed.contains(&added), "{id} is there and was never committed");
    }
}
