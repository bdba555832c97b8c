//! Chroma's API for tests: short names for what they do most.

use http::Method;
use serde_json::{Value, json};

use super::http::{Answer, Http, request};

/// One database behind one address: a Chroma server's or Isochrome's.
#[derive(Clone)]
pub struct Api {
    pub http: Http,
    pub base: String,
    pub tenant: String,
    pub database: String,
}

impl Api {
    /// The default database behind `base`.
    pub fn new(base: &str) -> Self {
        Self {
            http: Http::default(),
            base: base.to_owned(),
            tenant: "default_tenant".to_owned(),
            database: "default_database".to_owned(),
        }
    }

    /// A new database of the default tenant behind `base`.
    pub async fn in_new_database(base: &str, database: &str) -> Self {
        let api = Self { database: database.to_owned(), ..Self::new(base) };
        let databases = format!("{base}/api/v2/tenants/default_tenant/databases");
        api.http.post(&databases, &json!({ "name": database })).await.success();
        api
    }

    /// The same database behind another address.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// `…/collections` and what follows it.
    pub fn collections(&self, rest: &str) -> String {
        format!("{}/api/v2/tenants/{}/databases/{}/collections{rest}", self.base, self.tenant, self.database)
    }

    /// Creates a collection; its answer.
    pub async fn create(&self, body: &Value) -> Answer {
        self.http.post(&self.collections(""), body).await
    }

    /// Creates a collection by name; its id.
    pub async fn new_collection(&self, name: &str) -> String {
        id_of(&self.create(&json!({ "name": name })).await.success())
    }

    /// A collection's description, by name.
    pub async fn describe(&self, name: &str) -> Answer {
        self.http.get(&self.collections(&format!("/{name}"))).await
    }

    /// Drops a collection by name.
    pub async fn drop(&self, name: &str) -> Answer {
        self.http.delete(&self.collections(&format!("/{name}"))).await
    }

    /// A POST to a collection: `add`, `upsert`, `update`, `delete`, `get`, `query`.
    pub async fn post(&self, id: &str, verb: &str, body: &Value) -> Answer {
        self.http.post(&self.collections(&format!("/{id}/{verb}")), body).await
    }

    /// As [`Self::post`]; `None` when there is no whole answer.
    pub async fn try_post(&self, id: &str, verb: &str, body: &Value) -> Option<Answer> {
        let url = self.collections(&format!("/{id}/{verb}"));
        self.http.send(request(Method::POST, &url, Some(body))).await.ok()
    }

    pub async fn add(&self, id: &str, body: &Value) -> Answer {
        self.post(id, "add", body).await
    }

    /// The ids in a collection, in its order.
    pub async fn ids(&self, id: &str) -> Vec<String> {
        let answer = self.post(id, "get", &json!({ "include": [] })).await.success().json();
        let ids = answer["ids"].as_array().expect("ids").iter();
        ids.map(|id| id.as_str().expect("an id").to_owned()).collect()
    }

    /// The number of records in a collection.
    pub async fn count(&self, id: &str) -> u64 {
        let answer = self.http.get(&self.collections(&format!("/{id}/count"))).await;
        answer.success().json().as_u64().expect("a count")
    }
}

/// The id in a collection's description.
pub fn id_of(collection: &Answer) -> String {
    collection.json()["id"].as_str().expect("an id").to_owned()
}

/// The body of an add of records with these ids: small embeddings, a document and metadata that
/// follow from the id's place.
pub fn records(ids: &[&str]) -> Value {
    let numbers: Vec<usize> = (0..ids.len()).collect();
    json!({
        "ids": ids,
        "embeddings": numbers.iter().map(|n| [*n as f32 + 0.1, 0.2, 0.3]).collect::<Vec<_>>(),
        "documents": ids.iter().map(|id| format!("document of {id}")).collect::<Vec<_>>(),
        "metadatas": numbers.iter().map(|n| json!({ "n": n })).collect::<Vec<_>>(),
    })
}
