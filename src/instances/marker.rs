//! Our marker on an instance: whose it is, and how much of what it acknowledged it still has.
//!
//! One record in a collection of the tenant and database that we keep for ourselves. It names the cluster and the
//! instance, and a counter that grows with every canary write; an instance that shows a smaller counter than it has
//! acknowledged was restored from an older copy. It also tells how far our log reached; a log that ends before that is
//! an old copy of the one that wrote it.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::client::{Instance, Reply, SendError};
use super::system::{self, System};
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT, SYSTEM};
use crate::chroma::{path, requests};

/// Name of the marker's collection, and id of its record.
pub(super) const MARKER: &str = "marker";
/// Id of a record beside it: the word of one who was fenced.
const WORD: &str = "word";

/// What the marker's record says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Marker {
    /// The cluster's id.
    pub cluster: String,
    /// The instance's name in the configuration.
    pub instance: String,
    /// Canary writes so far.
    pub counter: u64,
    /// The epoch in which it was written; 0 before there were any.
    #[serde(default)]
    pub epoch: u64,
    /// How far the writer's log reached.
    #[serde(default)]
    pub lsn: u64,
    /// What one left who was fenced: its epoch, and how far its log reached.
    #[serde(skip)]
    pub word: Option<(u64, u64)>,
}

/// What an instance shows of us.
#[derive(Clone, Debug)]
pub enum Found {
    /// A marker, and the real id of its collection.
    Marker(Marker, Uuid),
    /// No marker and nothing else: as fresh as Chroma starts.
    Empty,
    /// The marker's collection without its record: joining was interrupted.
    Unfinished(Uuid),
    /// Data, and no marker; told in words.
    Foreign(String),
}

/// A look that brought no result.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("{what}: it answered {status} {body}")]
    Answer { what: &'static str, status: u16, body: String },
}

impl MarkerError {
    pub(super) fn answer(what: &'static str, reply: &Reply) -> Self {
        let body = String::from_utf8_lossy(&reply.body).chars().take(300).collect();
        Self::Answer { what, status: reply.status, body }
    }
}

#[derive(Deserialize)]
struct CollectionId {
    id: Uuid,
}

#[derive(Deserialize)]
struct Records {
    ids: Vec<String>,
    metadatas: Vec<Option<Marker>>,
}

impl Records {
    fn take(&mut self, id: &str) -> Option<Marker> {
        let place = self.ids.iter().position(|known| known == id)?;
        self.metadatas.get_mut(place)?.take()
    }
}

/// Reads the marker.
///
/// # Errors
/// [`MarkerError`] where the instance gives no usable answer.
pub async fn read(instance: &Instance) -> Result<Found, MarkerError> {
    read_in(instance, &system::read(instance).await?).await
}

/// Reads the marker of an instance whose database of ours was just listed.
///
/// # Errors
/// [`MarkerError`] where the instance gives no usable answer.
pub(super) async fn read_in(instance: &Instance, system: &System) -> Result<Found, MarkerError> {
    let Some(collection) = system.marker else {
        return survey(instance).await;
    };
    let get = format!("{}/get", path::collection(SYSTEM, SYSTEM, collection));
    let body = json!({"ids": [MARKER, WORD], "include": ["metadatas"]}).to_string();
    let reply = instance.call(Method::POST, &get, body.into()).await?;
    let mut records: Records = parsed("reading the marker", &reply)?;
    let word = records.take(WORD).map(|word| (word.epoch, word.lsn));
    Ok(match records.take(MARKER) {
        Some(marker) => Found::Marker(Marker { word, ..marker }, collection),
        None => Found::Unfinished(collection),
    })
}

/// Looks for data on an instance without a marker. Chroma can't list tenants, so what is looked at are the databases
/// of its default tenant.
async fn survey(instance: &Instance) -> Result<Found, MarkerError> {
    #[derive(Deserialize)]
    struct Database {
        name: String,
    }
    let reply = instance.call(Method::GET, &path::databases(DEFAULT_TENANT), Bytes::new()).await?;
    let databases: Vec<Database> = parsed("listing its databases", &reply)?;
    if let Some(other) = databases.iter().find(|database| database.name != DEFAULT_DATABASE) {
        return Ok(Found::Foreign(format!("it has a database {:?}", other.name)));
    }
    let count_path = format!("{}_count", path::collections(DEFAULT_TENANT, DEFAULT_DATABASE));
    let reply = instance.call(Method::GET, &count_path, Bytes::new()).await?;
    let count: u64 = parsed("counting its collections", &reply)?;
    Ok(match count {
        0 => Found::Empty,
        1 => Found::Foreign("it has a collection".to_owned()),
        n => Found::Foreign(format!("it has {n} collections")),
    })
}

/// Makes the place for the marker; harmless to repeat.
///
/// # Errors
/// [`MarkerError`] where the instance refuses, or gives no usable answer.
pub async fn prepare(instance: &Instance) -> Result<Uuid, MarkerError> {
    let name = requests::named_body(SYSTEM);
    let steps = [
        ("creating our tenant", "/api/v2/tenants".to_owned(), name.clone()),
        ("creating our database", path::databases(SYSTEM), name),
    ];
    for (what, to, body) in steps {
        let reply = instance.call(Method::POST, &to, body.into()).await?;
        if !reply.is_success() && reply.status != 409 {
            return Err(MarkerError::answer(what, &reply));
        }
    }
    let body = json!({"name": MARKER, "get_or_create": true}).to_string();
    let reply = instance.call(Method::POST, &path::collections(SYSTEM, SYSTEM), body.into()).await?;
    let collection: CollectionId = parsed("creating the marker's collection", &reply)?;
    Ok(collection.id)
}

/// Writes the marker: the canary write. Its answer proves that the instance can write, and that everything that was
/// sent to it before has been executed or never will be, because it has one queue for all writes.
///
/// # Errors
/// [`MarkerError`] where the instance refuses, or gives no answer.
pub async fn write(instance: &Instance, collection: Uuid, marker: &Marker) -> Result<(), MarkerError> {
    upsert(instance, collection, MARKER, marker).await
}

/// Leaves word, beside the marker, of how far the log of one who was fenced reached.
///
/// # Errors
/// [`MarkerError`] where the instance refuses, or gives no answer.
pub(super) async fn leave_word(
    instance: &Instance,
    collection: Uuid,
    word: &Marker,
) -> Result<(), MarkerError> {
    upsert(instance, collection, WORD, word).await
}

async fn upsert(instance: &Instance, collection: Uuid, id: &str, marker: &Marker) -> Result<(), MarkerError> {
    let to = format!("{}/upsert", path::collection(SYSTEM, SYSTEM, collection));
    let metadata = json!({
        "cluster": marker.cluster,
        "instance": marker.instance,
        "counter": marker.counter,
        "epoch": marker.epoch,
        "lsn": marker.lsn,
    });
    let body = json!({"ids": [id], "embeddings": [[0.0]], "metadatas": [metadata]}).to_string();
    let reply = instance.call(Method::POST, &to, body.into()).await?;
    if reply.is_success() { Ok(()) } else { Err(MarkerError::answer("writing the marker", &reply)) }
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(
    what: &'static str,
    reply: &Reply,
) -> Result<T, MarkerError> {
    if !reply.is_success() {
        return Err(MarkerError::answer(what, reply));
    }
    serde_json::from_slice(&reply.body).map_err(|_| MarkerError::answer(what, reply))
}
