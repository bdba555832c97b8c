//! The official Rust client through its whole life cycle against one address.
//!
//!     rust-lifecycle URL
//!
//! It knows no reset and makes no tenants. Explicit embeddings only.

mod transcript;

use std::time::{SystemTime, UNIX_EPOCH};

use chroma::client::{ChromaHttpClientError, ChromaHttpClientOptions, ChromaRetryOptions};
use chroma::types::{IncludeList, Metadata, SearchPayload, UpdateMetadata, Where};
use chroma::{ChromaCollection, ChromaHttpClient};
use chroma_types::{parse_where, parse_where_document};
use serde_json::{Value, json};

use transcript::Transcript;

type Result<T = ()> = std::result::Result<T, ChromaHttpClientError>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let url = std::env::args().nth(1).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let run = format!("run{now}");
    let mut t = Transcript::new(&run);
    let options = ChromaHttpClientOptions {
        endpoint: url.parse().expect("the address is a URL"),
        // An error is to be seen as it is.
        retry_options: ChromaRetryOptions { max_retries: 0, ..Default::default() },
        tenant_id: Some("default_tenant".to_owned()),
        database_name: Some(run.clone()),
        ..Default::default()
    };
    let client = ChromaHttpClient::new(options);
    server(&mut t, &client).await?;
    databases(&mut t, &client, &run).await?;
    collections(&mut t, &client).await?;
    let boxed = client.create_collection("box", None, None).await?;
    records(&mut t, &boxed).await?;
    deletes(&mut t, &boxed).await?;
    unavailable(&mut t, &boxed).await;
    client.delete_database(&run).await?;
    t.refused("a deleted database takes its collections along", "does not exist", boxed.count().await);
    Ok(())
}

/// What the server says of itself.
async fn server(t: &mut Transcript, client: &ChromaHttpClient) -> Result {
    t.hold("heartbeat", client.heartbeat().await.is_ok());
    let identity = shown(&client.get_auth_identity().await?);
    t.step("identity", &identity, |got| got["tenant"] == "default_tenant");
    Ok(())
}

async fn databases(t: &mut Transcript, client: &ChromaHttpClient, run: &str) -> Result {
    client.create_database(run).await?;
    t.refused("database twice", "already exists", client.create_database(run).await);
    t.refused("bad database name", "3", client.create_database("x").await);
    let names: Vec<Value> = client.list_databases().await?.iter().map(|one| json!(one.name)).collect();
    t.step("list databases", &json!(names), |got| *got == json!(["default_database", run]));
    t.refused("delete a missing one", "not found", client.delete_database(format!("{run}-none")).await);
    Ok(())
}

fn described(collection: &ChromaCollection) -> Value {
    json!({
        "id": collection.id().to_string(),
        "name": collection.name(),
        "metadata": shown(collection.metadata()),
        "database": collection.database(),
        "tenant": collection.tenant(),
        "schema": shown(collection.schema()),
    })
}

async fn collections(t: &mut Transcript, client: &ChromaHttpClient) -> Result {
    t.step("no collections yet", &json!(client.count_collections().await?), |got| *got == 0);
    let metadata: Metadata = from(json!({ "shade": "dark", "n": 1, "x": 1.5, "on": true }));
    let mut red = client.create_collection("red", None, Some(metadata)).await?;
    t.step("create", &described(&red), |got| got["name"] == "red");
    t.refused("create twice", "already exists", client.create_collection("red", None, None).await);
    let again = client.get_or_create_collection("red", None, Some(from(json!({ "ignored": 1 })))).await?;
    t.step("get_or_create an existing one", &described(&again), |got| *got == described(&red));
    let got = client.get_collection("red").await?;
    t.step("get", &described(&got), |got| *got == described(&red));
    let by_id = client.get_collection_by_id(red.id().to_string()).await?;
    t.step("get by id", &described(&by_id), |got| *got == described(&red));
    t.refused("get a missing one", "does not exist", client.get_collection("none").await);
    t.refused("bad name", "name", client.create_collection("..", None, None).await);
    for name in ["green", "add", "count1"] {
        client.get_or_create_collection(name, None, None).await?;
    }
    let mut listed = names(&client.list_collections(100, None).await?);
    let paged = [client.list_collections(3, Some(0)).await?, client.list_collections(3, Some(3)).await?];
    t.hold("list in pages", paged.iter().flat_map(|page| names(page)).eq(listed.iter().cloned()));
    listed.sort();
    t.step("list", &json!(listed), |got| *got == json!(["add", "count1", "green", "red"]));
    red.modify(Some("crimson"), Some(from(json!({ "only": "this" })))).await?;
    let crimson = client.get_collection("crimson").await?;
    t.step("modified", &described(&crimson), |got| got["metadata"] == json!({ "only": "this" }));
    t.hold("with the same id", crimson.id() == red.id());
    t.refused("old name", "does not exist", client.get_collection("red").await);
    t.refused("rename to a taken name", "UNIQUE", red.modify(Some("green"), None).await);
    for name in ["green", "add", "count1", "crimson"] {
        client.delete_collection(name).await?;
    }
    t.refused("delete a missing one", "does not exist", client.delete_collection("red").await);
    let late = red.add(ids(&["late"]), vec![vec![1.0]], None, None, None).await;
    t.refused("write to a deleted one", "does not exist", late);
    t.refused("read a deleted one", "does not exist", red.count().await);
    Ok(())
}

fn names(collections: &[ChromaCollection]) -> Vec<String> {
    collections.iter().map(|one| one.name().to_owned()).collect()
}

async fn records(t: &mut Transcript, of: &ChromaCollection) -> Result {
    let embeddings =
        vec![vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 1.0], vec![0.25, 0.1, -0.5]];
    let documents = from(json!(["the red fox", "the blue sea", null, "𝄞 ünïcode 🦊"]));
    let metadatas: Vec<Option<Metadata>> =
        from(json!([{ "n": 1, "k": "x" }, { "n": 2, "f": 1.0 }, { "n": 9_007_199_254_740_993_i64 }, null]));
    let uris = from(json!(["u:a", null, "u:c", null]));
    of.add(ids(&["a", "b", "c", "d"]), embeddings, Some(documents), Some(uris), Some(metadatas)).await?;
    t.step("add", &json!(of.count().await?), |got| *got == 4);
    let all = shown(&of.get(None, None, None, None, Some(IncludeList::all())).await?);
    t.step("get everything", &all, |got| got["ids"] == json!(["a", "b", "c", "d"]));
    let some = shown(&of.get(Some(ids(&["c", "a"])), None, None, None, None).await?);
    t.step("get by ids", &some, |got| got["ids"] == json!(["a", "c"]));
    let page = shown(&of.get(None, None, Some(2), Some(1), Some(IncludeList::empty())).await?);
    t.step("a page", &page, |got| got["ids"] == json!(["b", "c"]));
    of.upsert(ids(&["b", "e"]), vec![vec![0.0, 2.0, 0.0], vec![3.0; 3]], None, None, Some(changes())).await?;
    let changed = shown(&of.get(Some(ids(&["b", "e"])), None, None, None, Some(IncludeList::all())).await?);
    t.step("upsert merges", &changed, |got| got["metadatas"][0]["n"] == 2);
    let update = Some(vec![None, Some(vec![1.0; 3])]);
    of.update(ids(&["c", "none"]), update, Some(vec![Some("a yellow tree".to_owned()), None]), None, None)
        .await?;
    for (what, predicate, expected) in [
        ("where", parse_where(&json!({ "n": { "$gte": 2 } })), json!(["b", "c"])),
        ("where and", parse_where(&json!({ "$and": [{ "n": 2 }, { "f": 1.0 }] })), json!(["b"])),
        ("where_document", parse_where_document(&json!({ "$contains": "tree" })), json!(["c"])),
    ] {
        let found = of.get(None, predicate.ok(), None, None, None).await?;
        t.step(what, &shown(&found), |got| got["ids"] == expected);
    }
    let queries = vec![vec![1.0, 0.0, 0.0], vec![0.0, 0.0, 1.0]];
    let found = shown(&of.query(queries, Some(2), None, None, Some(IncludeList::all())).await?);
    t.step("query", &found, |got| got["ids"][0][0] == "a" && got["ids"][1][0] == "c");
    let among =
        of.query(vec![vec![1.0, 0.0, 0.0]], Some(9), Some(above(1)), Some(ids(&["b", "c"])), None).await?;
    t.step("query among some", &shown(&among), |got| got["ids"] == json!([["c", "b"]]));
    let wrong = of.add(ids(&["w"]), vec![vec![1.0]], None, None, None).await;
    t.refused("wrong dimension", "dimension of 3, got 1", wrong);
    t.refused(
        "wrong dimension in a query",
        "dimension of 3, got 1",
        of.query(vec![vec![1.0]], None, None, None, None).await,
    );
    let empty = of.add(ids(&[""]), vec![vec![1.0; 3]], None, None, None).await;
    t.refused("empty id", "Empty ID", empty);
    Ok(())
}

async fn deletes(t: &mut Transcript, of: &ChromaCollection) -> Result {
    let left = async || -> Result<Value> {
        Ok(shown(&of.get(None, None, None, None, Some(IncludeList::empty())).await?)["ids"].clone())
    };
    let answer = shown(&of.delete(Some(ids(&["a", "not-there"])), None, None).await?);
    t.step("delete by ids", &answer, |_| true);
    t.step("only that one is gone", &left().await?, |got| *got == json!(["b", "c", "d", "e"]));
    let answer = shown(&of.delete(None, Some(above(1)), Some(1)).await?);
    t.step("delete where, limited", &answer, |_| true);
    t.step("the first match is gone", &left().await?, |got| *got == json!(["c", "d", "e"]));
    of.delete(None, Some(above(1)), None).await?;
    t.step("and the others", &left().await?, |got| *got == json!(["d", "e"]));
    t.refused("delete nothing", "", of.delete(Some(Vec::new()), None, None).await);
    Ok(())
}

/// What a single server cannot do.
async fn unavailable(t: &mut Transcript, of: &ChromaCollection) {
    t.refused("search", "", of.search(vec![SearchPayload::default()]).await);
    t.refused("fork", "", of.fork("forked").await.map(|_| ()));
    t.refused("fork count", "", of.fork_count().await);
    t.refused("indexing status", "", of.get_indexing_status().await);
}

fn above(n: i64) -> Where {
    parse_where(&json!({ "n": { "$gt": n } })).expect("a predicate")
}

fn changes() -> Vec<Option<UpdateMetadata>> {
    from(json!([{ "k": "z", "f": 1.0 }, { "m": 6 }]))
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn from<T: for<'de> serde::Deserialize<'de>>(value: Value) -> T {
    serde_json::from_value(value).expect("a value of the client's")
}

fn shown(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("JSON")
}
