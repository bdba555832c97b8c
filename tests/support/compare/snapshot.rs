//! Everything that one server holds in some tenants.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::SYSTEM;
use crate::support::http::{Http, request};

const COLLECTIONS_PER_PAGE: usize = 200;
const RECORDS_PER_PAGE: usize = 1000;

/// One record as the server shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSnapshot {
    pub id: String,
    pub document: Value,
    pub metadata: Value,
    pub uri: Value,
    /// Each number as the server printed it: equal texts are equal bits.
    pub embedding: Vec<f64>,
}

/// One collection with its records in its own order.
#[derive(Clone, Debug)]
pub struct CollectionSnapshot {
    /// The collection's object without what each server chooses for itself.
    pub description: BTreeMap<String, Value>,
    pub records: Vec<RecordSnapshot>,
}

impl CollectionSnapshot {
    /// True when the server stores embeddings normalised, so that a copy differs in the last bits.
    pub fn is_cosine(&self) -> bool {
        self.description.get("configuration_json").is_some_and(|c| c["hnsw"]["space"] == "cosine")
    }

    /// The ids in the collection's order.
    pub fn ids(&self) -> Vec<&str> {
        self.records.iter().map(|record| record.id.as_str()).collect()
    }
}

/// One server's content.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub instance: String,
    /// `tenant/database`.
    pub databases: Vec<String>,
    /// By `(tenant/database, name)`.
    pub collections: BTreeMap<(String, String), CollectionSnapshot>,
}

impl Snapshot {
    /// Reads the server at `base`. `Err` when anything cannot be read whole.
    pub async fn read(http: &Http, instance: &str, base: &str, tenants: &[String]) -> Result<Self, String> {
        let reader = Reader { http, base };
        let mut snapshot =
            Self { instance: instance.to_owned(), databases: Vec::new(), collections: BTreeMap::new() };
        for tenant in tenants {
            for database in reader.databases(tenant).await? {
                for collection in reader.collections(tenant, &database).await? {
                    let name = text(&collection["name"])?;
                    let records = reader.records(tenant, &database, &text(&collection["id"])?).await?;
                    let described = CollectionSnapshot { description: describe(&collection), records };
                    snapshot.collections.insert((format!("{tenant}/{database}"), name), described);
                }
                snapshot.databases.push(format!("{tenant}/{database}"));
            }
        }
        snapshot.databases.sort();
        Ok(snapshot)
    }
}

/// Without what each server chooses for itself, and without the schema's list of metadata keys: it
/// names every key that the collection ever had, which a copy of its records cannot know.
fn describe(collection: &Value) -> BTreeMap<String, Value> {
    let own = ["id", "log_position", "version"];
    let fields = collection.as_object().into_iter().flatten();
    let kept = fields.filter(|(key, _)| !own.contains(&key.as_str()));
    let mut kept: BTreeMap<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(keys) = kept.get_mut("schema").and_then(|schema| schema["keys"].as_object_mut()) {
        keys.retain(|key, _| key.starts_with('#'));
    }
    kept
}

fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("expected a string, got {value}"))
}

fn array(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(format!("expected an array, got {other}")),
    }
}

struct Reader<'a> {
    http: &'a Http,
    base: &'a str,
}

impl Reader<'_> {
    async fn fetch(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let answer = self.http.send(request(method, &format!("{}{path}", self.base), body)).await;
        let answer = answer.map_err(|error| format!("{path}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{path}: {answer}"));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("{path}: {error}"))
    }

    async fn databases(&self, tenant: &str) -> Result<Vec<String>, String> {
        let path = format!("/api/v2/tenants/{tenant}/databases");
        let found = array(self.fetch(Method::GET, &path, None).await?)?;
        let names = found.iter().map(|database| text(&database["name"])).collect::<Result<Vec<_>, _>>()?;
        Ok(names.into_iter().filter(|name| name != SYSTEM).collect())
    }

    async fn collections(&self, tenant: &str, database: &str) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        loop {
            let path = format!(
                "/api/v2/tenants/{tenant}/databases/{database}/collections?limit={COLLECTIONS_PER_PAGE}&offset={}",
                all.len()
            );
            let page = array(self.fetch(Method::GET, &path, None).await?)?;
            let ended = page.len() < COLLECTIONS_PER_PAGE;
            all.extend(page);
            if ended {
                return Ok(all);
            }
        }
    }

    async fn records(&self, tenant: &str, database: &str, id: &str) -> Result<Vec<RecordSnapshot>, String> {
        let path = format!("/api/v2/tenants/{tenant}/databases/{database}/collections/{id}/get");
        let mut all = Vec::new();
        loop {
            let body = json!({
                "limit": RECORDS_PER_PAGE, "offset": all.len(),
                "include": ["documents", "metadatas", "uris", "embeddings"],
            });
            let page = page(self.fetch(Method::POST, &path, Some(&body)).await?)?;
            let ended = page.len() < RECORDS_PER_PAGE;
            all.extend(page);
            if ended {
                return Ok(all);
            }
        }
    }
}

/// The records in the answer to a `get`.
fn page(mut answer: Value) -> Result<Vec<RecordSnapshot>, String> {
    let mut column = |name: &str| array(answer[name].take()).map_err(|error| format!("{name}: {error}"));
    let (ids, documents, metadatas, uris, embeddings) =
        (column("ids")?, column("documents")?, column("metadatas")?, column("uris")?, column("embeddings")?);
    if [documents.len(), metadatas.len(), uris.len(), embeddings.len()] != [ids.len(); 4] {
        return Err("columns of different lengths".to_owned());
    }
    let rest = documents.into_iter().zip(metadatas).zip(uris.into_iter().zip(embeddings));
    let record = |(id, ((document, metadata), (uri, embedding)))| {
        Ok(RecordSnapshot { id: text(&id)?, document, metadata, uri, embedding: numbers(&embedding)? })
    };
    ids.into_iter().zip(rest).map(record).collect()
}

fn numbers(embedding: &Value) -> Result<Vec<f64>, String> {
    let items = embedding.as_array().ok_or_else(|| format!("no embedding: {embedding}"))?;
    items.iter().map(|n| n.as_f64().ok_or_else(|| format!("not a number: {n}"))).collect()
}
