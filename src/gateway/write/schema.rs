//! Creates, modifications and drops of collections, databases and tenants.

use std::sync::Arc;

use uuid::Uuid;

use super::submission::{Sender, drop_collection};
use crate::catalog::SYSTEM;
use crate::chroma::collections::{Body, parse_create, parse_modify, parse_named};
use crate::chroma::error::ApiError;
use crate::chroma::ids::CollectionId;
use crate::chroma::route::Route;
use crate::gateway::answer::{Code, Refusal};
use crate::gateway::entry::Received;
use crate::gateway::read;
use crate::gateway::resolve::{Place, Target, check_database};
use crate::gateway::state::AppState;
use crate::gateway::transaction::outcome::Told;
use crate::wal::record::{Lane, Op};

pub(super) async fn write(
    app: &AppState,
    route: Route,
    request: &Arc<Received>,
    sender: Sender,
) -> Result<Told, Refusal> {
    match route {
        Route::CreateCollection { tenant, database } => {
            create_collection(app, request, (tenant, database), sender).await
        }
        Route::ModifyCollection { tenant, database, collection } => {
            let place = Place { tenant: &tenant, database: &database, collection: &collection };
            match app.replication.with_catalog(|catalog| place.id_or_name(catalog)) {
                Ok(target) => modify_collection(app, request, &target, sender).await,
                Err(missing) => read::judge_missing(app, place, "", missing, request).await,
            }
        }
        Route::DropCollection { tenant, database, collection } => {
            let place = Place { tenant: &tenant, database: &database, collection: &collection };
            let target = app.replication.with_catalog(|catalog| place.name_or_id(catalog))?;
            let lane = Lane::Collection(target.id);
            let submission = sender.submission(lane, Op::DropCollection, request.body.clone());
            Ok(sender.log(app, vec![submission]).await)
        }
        Route::CreateDatabase { tenant } => create_database(app, request, tenant, sender).await,
        Route::DropDatabase { tenant, database } => {
            drop_database(app, request, (tenant, database), sender).await
        }
        Route::CreateTenant => create_tenant(app, request, sender).await,
        // Chroma accepts a modification of a tenant and changes nothing.
        _ => read::pass(app, request).await,
    }
}

async fn create_collection(
    app: &AppState,
    request: &Arc<Received>,
    (tenant, database): (String, String),
    sender: Sender,
) -> Result<Told, Refusal> {
    let Body::Clear(create) = parse_create(&request.body)? else {
        return read::pass(app, request).await;
    };
    check_database(&database)?;
    let (existing, no_database) = app.replication.with_catalog(|catalog| {
        let existing = catalog.by_name(&tenant, &database, &create.name).map(Target::from);
        (existing, catalog.database_id(&tenant, &database).is_none())
    });
    // Chroma judges all of it before it looks for the database and the name.
    if (no_database || existing.is_some() && create.detailed)
        && let Some(refused) = read::judge_create(app, request).await
    {
        return Ok(refused);
    }
    if let Some(existing) = existing.filter(|_| create.get_or_create) {
        match read::describe_existing(app, request, existing).await {
            // Dropped in the meantime: it is created again.
            Err(gone) if gone.error.status == 404 => {}
            answered => return answered,
        }
    }
    let id = CollectionId::from(Uuid::new_v4());
    let (name, get_or_create) = (create.name, create.get_or_create);
    let op = Op::CreateCollection { tenant, database, name, get_or_create };
    let submission = sender.submission(Lane::Collection(id), op, request.body.clone());
    Ok(sender.log(app, vec![submission]).await)
}

async fn modify_collection(
    app: &AppState,
    request: &Arc<Received>,
    target: &Target,
    sender: Sender,
) -> Result<Told, Refusal> {
    let new_name = match parse_modify(&request.body)? {
        Body::Clear(modify) => modify.new_name,
        // A server has the exact words, and changes nothing.
        Body::Unclear => None,
    };
    let op = Op::ModifyCollection { new_name };
    let submission = sender.submission(Lane::Collection(target.id), op, request.body.clone());
    Ok(sender.log(app, vec![submission]).await)
}

async fn create_database(
    app: &AppState,
    request: &Arc<Received>,
    tenant: String,
    sender: Sender,
) -> Result<Told, Refusal> {
    let Body::Clear(database) = parse_named(&request.body)? else {
        return read::pass(app, request).await;
    };
    refuse_ours(&tenant)?;
    let lane = Lane::Database { tenant, database };
    let submission = sender.submission(lane, Op::CreateDatabase, request.body.clone());
    Ok(sender.log(app, vec![submission]).await)
}

async fn create_tenant(app: &AppState, request: &Arc<Received>, sender: Sender) -> Result<Told, Refusal> {
    let Body::Clear(tenant) = parse_named(&request.body)? else {
        return read::pass(app, request).await;
    };
    refuse_ours(&tenant)?;
    let submission = sender.submission(Lane::Tenant { tenant }, Op::CreateTenant, request.body.clone());
    Ok(sender.log(app, vec![submission]).await)
}

/// The collections go first, each in its own lane; the database's drop comes after them on every instance.
async fn drop_database(
    app: &AppState,
    request: &Arc<Received>,
    (tenant, database): (String, String),
    sender: Sender,
) -> Result<Told, Refusal> {
    let mut group = app.replication.with_catalog(|catalog| {
        catalog.collections(&tenant, &database).map(|(_, id)| drop_collection(id)).collect::<Vec<_>>()
    });
    let lane = Lane::Database { tenant, database };
    group.push(sender.submission(lane, Op::DropDatabase, request.body.clone()));
    Ok(sender.log(app, group).await)
}

fn refuse_ours(tenant: &str) -> Result<(), Refusal> {
    if tenant != SYSTEM {
        return Ok(());
    }
    let error = ApiError::invalid(format!("Tenant [{SYSTEM}] is reserved"));
    Err(Refusal::own(Code::Reserved, error))
}
