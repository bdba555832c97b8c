//! An instance that lost its state is made fit to be filled again: our marker, no collections, the databases of the catalog.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::client::Instance;
use super::health::Report;
use super::marker::{self, Found, MarkerError};
use super::proof::{Identity, Look, Unfit, belongs_to_us, look_again};
use crate::catalog::{Catalog, DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::{path, requests};

/// Collections in one page of a list.
const PAGE: usize = 1_000;

/// A tenant, and what is to be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub name: String,
    /// It was made, and is not only named by a database.
    pub made: bool,
    pub databases: Vec<String>,
}

impl Tenant {
    /// Every tenant of the catalog, and the one that each server has.
    #[must_use]
    pub fn all_of(catalog: &Catalog) -> Vec<Self> {
        let mut names: Vec<&str> = catalog.tenants().collect();
        if !names.contains(&DEFAULT_TENANT) {
            names.push(DEFAULT_TENANT);
        }
        let tenant = |name: &str| Self {
            name: name.to_owned(),
            made: catalog.has_tenant(name),
            databases: catalog.databases(name).map(|(database, _)| database.to_owned()).collect(),
        };
        names.into_iter().map(tenant).collect()
    }
}

impl Unfit {
    /// It lost its state before this start, and is emptied first.
    #[must_use]
    pub fn waits_to_be_restored() -> Self {
        Self::lost("it lost its state, and is about to be rebuilt".to_owned())
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Makes an instance of ours empty but for our marker and the databases of `tenants`. Our marker is there before anything
/// is deleted, so that an interruption leaves a server that is known to be ours.
///
/// # Errors
/// [`Unfit`] with the reason; a server that is not ours is not touched.
pub(super) async fn restore(
    instance: &Instance,
    identity: &mut Identity,
    report: &(dyn Fn(Report) + Send + Sync),
    tenants: &[Tenant],
) -> Result<(), Unfit> {
    let failed = |error: MarkerError| Unfit::from_error(&error);
    let fence = Arc::clone(&identity.fence);
    let (look, found) = Look::at(instance).await?;
    let counter = match found {
        Found::Marker(found, _) => {
            belongs_to_us(instance, identity, &found)?;
            fence.judge_marker(instance, &found)?;
            found.counter
        }
        Found::Empty | Found::Unfinished(_) => 0,
        Found::Foreign(what) => return Err(Unfit::foreign(&what)),
    };
    fence.check()?;
    let collection = marker::prepare(instance).await.map_err(failed)?;
    // One queue for all writes: what was sent before and is not answered comes before the answer to this, or never.
    let marker = look.sign(instance, &fence, collection, counter + 1).await?;
    for tenant in tenants {
        empty(instance, tenant).await.map_err(failed)?;
        fill(instance, tenant).await.map_err(failed)?;
    }
    look_again(instance, &fence).await?;
    (identity.counter, identity.joined) = (marker.counter, true);
    report(Report::Joined);
    report(Report::Marked(marker.counter));
    report(Report::Prepared);
    Ok(())
}

/// Deletes every database of a tenant, but for the one that each server has: of that, every collection.
async fn empty(instance: &Instance, tenant: &Tenant) -> Result<(), MarkerError> {
    let what = "listing its databases";
    let reply = instance.call(Method::GET, &path::databases(&tenant.name), Bytes::new()).await?;
    let databases: Vec<Named> = marker::parsed(what, &reply)?;
    for database in databases {
        let is_first = tenant.name == DEFAULT_TENANT && database.name == DEFAULT_DATABASE;
        if is_first && tenant.databases.contains(&database.name) {
            delete_collections(instance, &tenant.name, &database.name).await?;
        } else {
            delete(instance, &path::database(&tenant.name, &database.name)).await?;
        }
    }
    Ok(())
}

async fn delete_collections(instance: &Instance, tenant: &str, database: &str) -> Result<(), MarkerError> {
    loop {
        let page = format!("{}?limit={PAGE}", path::collections(tenant, database));
        let reply = instance.call(Method::GET, &page, Bytes::new()).await?;
        let collections: Vec<Named> = marker::parsed("listing its collections", &reply)?;
        for collection in &collections {
            delete(instance, &path::collection_by_name(tenant, database, &collection.name)).await?;
        }
        if collections.len() < PAGE {
            return Ok(());
        }
    }
}

async fn delete(instance: &Instance, path: &str) -> Result<(), MarkerError> {
    let reply = instance.call(Method::DELETE, path, Bytes::new()).await?;
    match reply.status {
        404 => Ok(()),
        _ if reply.is_success() => Ok(()),
        _ => Err(MarkerError::answer("deleting what is left on it", &reply)),
    }
}

/// Makes a tenant and its databases.
async fn fill(instance: &Instance, tenant: &Tenant) -> Result<(), MarkerError> {
    let tenants = tenant.made.then(|| ("/api/v2/tenants".to_owned(), &tenant.name));
    let databases = tenant.databases.iter().map(|name| (path::databases(&tenant.name), name));
    for (to, name) in tenants.into_iter().chain(databases) {
        let reply = instance.call(Method::POST, &to, requests::named_body(name).into()).await?;
        if !reply.is_success() && reply.status != 409 {
            return Err(MarkerError::answer("making the databases of the catalog", &reply));
        }
    }
    Ok(())
}
