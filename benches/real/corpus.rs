//! The records that reads are measured on, and the reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::rate::{Requests, get, post};
use crate::support::api::{Api, id_of};

const COLLECTION: &str = "corpus";
const RECORDS: usize = 2_000;
const DIMENSION: usize = 384;
const RECORDS_IN_A_WRITE: usize = 200;
/// Different requests of a kind, where they repeat.
pub const DIFFERENT: usize = 256;

/// A kind of read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    GetById,
    Count,
    Query,
}

impl Read {
    pub const ALL: [Self; 3] = [Self::GetById, Self::Count, Self::Query];

    pub fn name(self) -> &'static str {
        match self {
            Self::GetById => "get by id",
            Self::Count => "count",
            Self::Query => "query",
        }
    }
}

/// Fills a new collection behind an address.
pub async fn fill(url: &str) {
    let api = Api::new(url);
    let id = api.new_collection(COLLECTION).await;
    for first in (0..RECORDS).step_by(RECORDS_IN_A_WRITE) {
        let numbers: Vec<usize> = (first..first + RECORDS_IN_A_WRITE).collect();
        let body = json!({
            "ids": numbers.iter().map(|n| format!("r{n}")).collect::<Vec<_>>(),
            "embeddings": numbers.iter().map(|_| embedding()).collect::<Vec<_>>(),
            "documents": numbers.iter().map(|n| format!("{n}: {}", "words of a document ".repeat(10))).collect::<Vec<_>>(),
            "metadatas": numbers.iter().map(|n| json!({ "n": n, "kind": "measured" })).collect::<Vec<_>>(),
        });
        api.add(&id, &body).await.success();
    }
}

/// So many different reads of the collection as the address knows it; `count` is always the same.
pub async fn reads(url: &str, kind: Read, different: usize) -> Requests {
    let api = Api::new(url);
    let id = id_of(&api.describe(COLLECTION).await.success());
    let path = |verb: &str| api.collections(&format!("/{id}/{verb}"))[url.len()..].to_owned();
    let wire = |number: usize| match kind {
        Read::GetById => {
            post(&path("get"), &json!({ "ids": [format!("r{}", number % RECORDS)] }).to_string())
        }
        Read::Count => get(&path("count")),
        Read::Query => post(&path("query"), &query()),
    };
    Requests::new((0..different).map(wire).collect())
}

/// The body of a query that nobody has asked before, as the official clients send it.
fn query() -> String {
    json!({ "query_embeddings": [floats()], "n_results": 10 }).to_string()
}

fn floats() -> Vec<f32> {
    (0..DIMENSION).map(|_| fastrand::f32() - 0.5).collect()
}

fn embedding() -> String {
    STANDARD.encode(floats().iter().flat_map(|float| float.to_le_bytes()).collect::<Vec<u8>>())
}
