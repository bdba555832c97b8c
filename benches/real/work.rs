//! The requests that the measurements send.

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
    id: String,
    embeddings: Arc<Vec<String>>,
}

impl Work {
    /// Over a new collection of this name behind `url`.
    pub async fn on_new_collection(url: &str, name: &str) -> Self {
        let api = Api::new(url);
        let id = api.new_collection(name).await;
        let embeddings = (0..DIFFERENT_EMBEDDINGS).map(|_| STANDARD.encode(random_embedding())).collect();
        Self { api, id, embeddings: Arc::new(embeddings) }
    }

    fn url(&self, verb: &str) -> String {
        self.api.collections(&format!("/{}/{verb}", self.id))
    }

    /// An add of one record.
    pub fn add(&self, number: u64) -> Job {
        let label = format!("r{number}");
        let embedding = &self.embeddings[(number % DIFFERENT_EMBEDDINGS) as usize];
        let body = format!(r#"{{"ids":["{label}"],"embeddings":["{embedding}"]}}"#);
        let request = Request::post(self.url("add")).header("content-type", "application/json");
        Job { label, request: request.body(Bytes::from(body)).expect("request") }
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

fn random_embedding() -> Vec<u8> {
    (0..DIMENSION).flat_map(|_| (fastrand::f32() - 0.5).to_le_bytes()).collect()
}
