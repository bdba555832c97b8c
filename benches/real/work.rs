//! The requests that the measurements send.

use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use serde_json::json;

use crate::support::api::Api;
use crate::support::http::request;
use crate::support::load::Job;

const DIMENSION: usize = 384;
const DIFFERENT_EMBEDDINGS: u64 = 512;

/// One collection as the load sees it. Embeddings are made beforehand: the load costs next to nothing.
#[derive(Clone)]
pub struct Work {
    api: Api,
    name: String,
    id: String,
    embeddings: Arc<Vec<String>>,
}

impl Work {
    /// Over a new collection of this name behind `url`.
    pub async fn on_new_collection(url: &str, name: &str) -> Self {
        let api = Api::new(url);
        let id = api.new_collection(name).await;
        let embeddings = (0..DIFFERENT_EMBEDDINGS).map(|_| STANDARD.encode(random_embedding())).collect();
        Self { api, name: name.to_owned(), id, embeddings: Arc::new(embeddings) }
    }

    fn url(&self, verb: &str) -> String {
        self.api.collections(&format!("/{}/{verb}", self.id))
    }

    /// An add of one record.
    pub fn add(&self, number: u64) -> Job {
        let label = format!("r{number}");
        let embedding = &self.embeddings[(number % DIFFERENT_EMBEDDINGS) as usize];
        let body = format!(r#"{{"ids":["{label}"],"embeddings":["{embedding}"]}}"#);
        self.job("add", label, body)
    }

    /// An add of so many records of their own.
    pub fn add_many(&self, number: u64, records: u64) -> Job {
        let label = format!("b{number}");
        let (mut ids, mut embeddings) = (String::new(), String::new());
        for record in 0..records {
            let comma = if record == 0 { "" } else { "," };
            let place = (number.wrapping_mul(records).wrapping_add(record) % DIFFERENT_EMBEDDINGS) as usize;
            _ = write!(ids, r#"{comma}"{label}-{record}""#);
            _ = write!(embeddings, r#"{comma}"{}""#, self.embeddings[place]);
        }
        self.job("add", label, format!(r#"{{"ids":[{ids}],"embeddings":[{embeddings}]}}"#))
    }

    /// An add with this body.
    pub fn adds(&self, body: String) -> Job {
        self.job("add", String::new(), body)
    }

    /// An upsert of a record that others write too.
    pub fn upsert(&self, id: u64, number: u64) -> Job {
        let embedding = &self.embeddings[(number % DIFFERENT_EMBEDDINGS) as usize];
        let body = format!(r#"{{"ids":["hot{id}"],"embeddings":["{embedding}"]}}"#);
        self.job("upsert", format!("u{number}"), body)
    }

    /// An add whose embedding is too short for the collection.
    pub fn add_wrong(&self, number: u64) -> Job {
        let body = format!(r#"{{"ids":["w{number}"],"embeddings":[[0.5,0.25,0.125]]}}"#);
        self.job("add", format!("wrong{number}"), body)
    }

    fn job(&self, verb: &str, label: String, body: String) -> Job {
        let request = Request::post(self.url(verb)).header("content-type", "application/json");
        Job { label, request: request.body(Bytes::from(body)).expect("request") }
    }

    /// Sends one request, which must succeed.
    pub async fn send(&self, job: Job) {
        self.api.http.send(job.request).await.expect("an answer").success();
    }

    /// Drops the collection.
    pub async fn drop_collection(self) {
        self.api.drop(&self.name).await.success();
    }

    /// A read of this record by its id; without one, a count.
    pub fn read(&self, id: Option<String>) -> Job {
        let request = match &id {
            Some(id) => request(Method::POST, &self.url("get"), Some(&json!({ "ids": [id] }))),
            None => request(Method::GET, &self.url("count"), None),
        };
        Job { label: id.unwrap_or_default(), request }
    }
}

/// As Chroma takes it in base64: numbers of 32 bits, little-endian.
pub fn random_embedding() -> Vec<u8> {
    (0..DIMENSION).flat_map(|_| (fastrand::f32() - 0.5).to_le_bytes()).collect()
}
