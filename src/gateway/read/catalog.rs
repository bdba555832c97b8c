//! What the catalog alone answers: tenants, databases and counts of collections.

use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use crate::chroma::error::ApiError;
use crate::chroma::page;
use crate::gateway::answer::{self, Refusal};
use crate::gateway::entry::Received;
use crate::gateway::resolve::check_database;
use crate::gateway::state::AppState;

#[derive(Serialize)]
struct Tenant<'a> {
    name: &'a str,
    /// Always null on a single node.
    resource_name: Option<&'a str>,
}

#[derive(Serialize)]
struct Database<'a> {
    id: Uuid,
    name: &'a str,
    tenant: &'a str,
}

pub(super) fn tenant(app: &AppState, tenant: &str) -> Result<Response, Refusal> {
    if !app.replication.with_catalog(|catalog| catalog.has_tenant(tenant)) {
        return Err(ApiError::tenant_not_found(tenant).into());
    }
    Ok(json(&Tenant { name: tenant, resource_name: None }))
}

/// By name, as Chroma orders them.
pub(super) fn databases(app: &AppState, tenant: &str, request: &Received) -> Result<Response, Refusal> {
    let page = page::parse(request.uri.query().unwrap_or(""))?;
    Ok(app.replication.with_catalog(|catalog| {
        let databases: Vec<_> = catalog
            .databases(tenant)
            .map(|(name, id)| Database { id: Uuid::from_u128(id), name, tenant })
            .collect();
        json(&page.of(&databases))
    }))
}

pub(super) fn database(app: &AppState, tenant: &str, database: &str) -> Result<Response, Refusal> {
    check_database(database)?;
    let id = app.replication.with_catalog(|catalog| catalog.database_id(tenant, database));
    let id = id.ok_or_else(|| ApiError::database_not_found(database))?;
    Ok(json(&Database { id: Uuid::from_u128(id), name: database, tenant }))
}

pub(super) fn count(app: &AppState, tenant: &str, database: &str) -> Result<Response, Refusal> {
    check_database(database)?;
    let count = app.replication.with_catalog(|catalog| catalog.collections(tenant, database).count());
    Ok(json(&count))
}

fn json<T: Serialize>(value: &T) -> Response {
    answer::json(200, serde_json::to_vec(value).unwrap_or_default())
}
