//! Which tenants, databases and collections servers hold.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use uuid::Uuid;

use crate::catalog::SYSTEM;
use crate::chroma::copies::is_put_aside;
use crate::chroma::path;
use crate::chroma::requests::is_grave;
use crate::instances::client::Instance;

/// Collections in one list.
const PAGE: usize = 1_000;

/// A collection by its tenant, database and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub tenant: String,
    pub database: String,
    pub name: String,
}

/// What a server says of one of its collections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct There {
    pub real_id: u128,
    pub dimension: Option<u32>,
}

/// What one server holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    pub tenants: BTreeSet<String>,
    /// Ids by tenant and name.
    pub databases: BTreeMap<(String, String), u128>,
    pub collections: BTreeMap<Name, There>,
    /// Collections under names that only we give, left by something that was interrupted.
    pub left_over: Vec<Name>,
}

/// Looks at these tenants. Chroma can't list tenants, so they must be named.
///
/// # Errors
/// Why it can't be told, in words.
pub(super) async fn find(instance: &Instance, tenants: &BTreeSet<String>) -> Result<Holds, String> {
    let mut holds = Holds::default();
    for tenant in tenants {
        let to = format!("/api/v2/tenants/{}", path::segment(tenant));
        let there = instance.call(Method::GET, &to, Bytes::new()).await;
        if there.map_err(|error| error.to_string())?.is_success() {
            holds.tenants.insert(tenant.clone());
        }
        let databases: Vec<Listed> = read(instance, &path::databases(tenant)).await?;
        for database in databases.into_iter().filter(|database| database.name != SYSTEM) {
            collections(instance, tenant, &database.name, &mut holds).await?;
            holds.databases.insert((tenant.clone(), database.name), database.id.as_u128());
        }
    }
    Ok(holds)
}

async fn collections(
    instance: &Instance,
    tenant: &str,
    database: &str,
    holds: &mut Holds,
) -> Result<(), String> {
    let mut offset = 0;
    loop {
        let to = format!("{}?limit={PAGE}&offset={offset}", path::collections(tenant, database));
        let page: Vec<Listed> = read(instance, &to).await?;
        offset += page.len();
        let is_last = page.len() < PAGE;
        for Listed { id, name, dimension } in page {
            let own = is_put_aside(&name) || is_grave(&name);
            let name = Name { tenant: tenant.to_owned(), database: database.to_owned(), name };
            if own {
                holds.left_over.push(name);
            } else {
                holds.collections.insert(name, There { real_id: id.as_u128(), dimension });
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

#[derive(Deserialize)]
struct Listed {
    id: Uuid,
    name: String,
    #[serde(default)]
    dimension: Option<u32>,
}

async fn read(instance: &Instance, to: &str) -> Result<Vec<Listed>, String> {
    let reply = instance.call(Method::GET, to, Bytes::new()).await.map_err(|error| error.to_string())?;
    if !reply.is_success() {
        return Err(format!("it answered {} to a list", reply.status));
    }
    serde_json::from_slice(&reply.body).map_err(|error| format!("its list can't be read: {error}"))
}
