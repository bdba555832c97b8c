//! `GET /collection/mappings`: which id each instance gave to a collection.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use super::json;
use crate::catalog::Collection;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::gateway::AppState;

#[derive(Serialize)]
struct Mappings {
    mappings: Vec<Mapping>,
    count: usize,
}

#[derive(Serialize)]
struct Mapping {
    collection_name: String,
    /// The id that clients see.
    collection_id: CollectionId,
    tenant: String,
    database: String,
    primary_collection_id: Option<Uuid>,
    replica_collection_id: Option<Uuid>,
    /// By the instances' names.
    real_ids: BTreeMap<String, Uuid>,
    /// Not kept.
    created_at: Option<String>,
    updated_at: Option<String>,
}

pub(super) async fn mappings(State(app): State<AppState>) -> Response {
    let name = |id: InstanceId| app.replication.instances().get(id.index()).map(|there| there.name.clone());
    let mappings: Vec<_> = app.replication.with_catalog(|catalog| {
        catalog.all_living().into_iter().map(|collection| Mapping::of(collection, name)).collect()
    });
    json(200, &Mappings { count: mappings.len(), mappings })
}

impl Mapping {
    fn of(collection: &Collection, name: impl Fn(InstanceId) -> Option<String>) -> Self {
        let real_id = |number| collection.real_ids.get(&InstanceId(number)).copied().map(Uuid::from_u128);
        let real_ids = collection.real_ids.iter();
        Self {
            collection_name: collection.name.clone(),
            collection_id: collection.id,
            tenant: collection.tenant.clone(),
            database: collection.database.clone(),
            primary_collection_id: real_id(0),
            replica_collection_id: real_id(1),
            real_ids: real_ids.filter_map(|(id, real)| Some((name(*id)?, Uuid::from_u128(*real)))).collect(),
            created_at: None,
            updated_at: None,
        }
    }
}
