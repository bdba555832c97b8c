//! What an instance holds of us besides the marker: the collections of our own database, and the epochs among them.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::client::Instance;
use super::epoch::Epoch;
use super::marker::{self, MarkerError};
use crate::catalog::SYSTEM;
use crate::chroma::path;

/// An epoch's collection is named by its number after this.
const EPOCH: &str = "epoch-";

/// Our database on an instance.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// The marker's collection.
    pub(super) marker: Option<Uuid>,
    /// Ascending.
    pub(super) epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct Listed {
    id: Uuid,
    name: String,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    owner: Option<Uuid>,
}

/// Lists our database. One that is not there is empty.
///
/// # Errors
/// [`MarkerError`] where the instance gives no usable answer.
pub(super) async fn read(instance: &Instance) -> Result<System, MarkerError> {
    let reply = instance.call(Method::GET, &path::collections(SYSTEM, SYSTEM), Bytes::new()).await?;
    let listed: Vec<Listed> = marker::parsed("listing our database", &reply)?;
    let mut system = System::default();
    for Listed { id, name, metadata } in listed {
        if name == marker::MARKER {
            system.marker = Some(id);
        } else if let Some(number) = name.strip_prefix(EPOCH).and_then(|number| number.parse().ok()) {
            let owner = metadata.and_then(|metadata| metadata.owner).unwrap_or_default();
            system.epochs.push(Epoch { number, owner });
        }
    }
    system.epochs.sort_by_key(|epoch| epoch.number);
    Ok(system)
}

/// Takes an epoch on an instance. False where its number is taken, by us or by another.
///
/// # Errors
/// [`MarkerError`] where the instance refuses, or gives no answer.
pub(super) async fn take(instance: &Instance, epoch: Epoch) -> Result<bool, MarkerError> {
    let body = json!({ "name": name(epoch.number), "metadata": { "owner": epoch.owner } }).to_string();
    let reply = instance.call(Method::POST, &path::collections(SYSTEM, SYSTEM), body.into()).await?;
    match reply.status {
        409 => Ok(false),
        _ if reply.is_success() => Ok(true),
        _ => Err(MarkerError::answer("taking an epoch", &reply)),
    }
}

/// Removes an epoch that a higher one has replaced.
///
/// # Errors
/// [`MarkerError`] where the instance refuses, or gives no answer.
pub(super) async fn remove(instance: &Instance, number: u64) -> Result<(), MarkerError> {
    let path = path::collection_by_name(SYSTEM, SYSTEM, &name(number));
    let reply = instance.call(Method::DELETE, &path, Bytes::new()).await?;
    if reply.is_success() || reply.status == 404 {
        return Ok(());
    }
    Err(MarkerError::answer("removing an old epoch", &reply))
}

fn name(number: u64) -> String {
    format!("{EPOCH}{number}")
}
