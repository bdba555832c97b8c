//! The catalog's tables, kept in step with [`Catalog`](crate::catalog::Catalog).

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, Transaction, params};

use crate::catalog::change::CatalogChange;
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::error::LogError;

type Database = (String, String);

/// Applies one change to the tables.
pub fn apply(conn: &Transaction<'_>, change: &CatalogChange) -> Result<(), LogError> {
    match change {
        CatalogChange::TenantCreated { tenant } => {
            conn.execute("INSERT OR IGNORE INTO tenant VALUES (?1)", [tenant])?;
        }
        CatalogChange::TenantDropped { tenant } => {
            conn.execute("DELETE FROM tenant WHERE name = ?1", [tenant])?;
            conn.execute("DELETE FROM database WHERE tenant = ?1", [tenant])?;
        }
        CatalogChange::DatabaseCreated { tenant, database, id } => {
            let id = id.to_be_bytes();
            conn.execute(
                "INSERT OR REPLACE INTO database VALUES (?1, ?2, ?3)",
                params![tenant, database, id],
            )?;
        }
        CatalogChange::DatabaseDropped { tenant, database } => {
            conn.execute("DELETE FROM database WHERE tenant = ?1 AND name = ?2", [tenant, database])?;
        }
        CatalogChange::CollectionCreated { id, tenant, database, name } => {
            conn.execute("INSERT OR IGNORE INTO database VALUES (?1, ?2, zeroblob(16))", [tenant, database])?;
            conn.execute(
                "INSERT OR IGNORE INTO collection (id, tenant, database, name) VALUES (?1, ?2, ?3, ?4)",
                params![key(*id), tenant, database, name],
            )?;
        }
        CatalogChange::CollectionRenamed { id, name } => {
            conn.execute("UPDATE collection SET name = ?2 WHERE id = ?1", params![key(*id), name])?;
        }
        CatalogChange::CollectionDropped { id } => {
            conn.execute("UPDATE collection SET dropped = 1 WHERE id = ?1", [key(*id)])?;
        }
        CatalogChange::CollectionForgotten { id } => {
            conn.execute("DELETE FROM collection WHERE id = ?1", [key(*id)])?;
            conn.execute("DELETE FROM real_id WHERE collection = ?1", [key(*id)])?;
        }
        CatalogChange::RealId { id, instance, real_id } => {
            conn.execute(
                "INSERT OR REPLACE INTO real_id SELECT id, ?2, ?3 FROM collection WHERE id = ?1",
                params![key(*id), instance.0, real_id.to_be_bytes()],
            )?;
        }
        CatalogChange::Dimension { id, dimension } => {
            conn.execute("UPDATE collection SET dimension = ?2 WHERE id = ?1", params![key(*id), dimension])?;
        }
    }
    Ok(())
}

fn key(id: CollectionId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// The changes that make the catalog of the tables out of a fresh one.
///
/// Dropped collections come first: their creates bring back names and databases that the later changes
/// then correct.
pub fn load(conn: &Connection) -> Result<Vec<CatalogChange>, LogError> {
    let tenants = rows(conn, "SELECT name FROM tenant ORDER BY name", |row| row.get::<_, String>(0))?;
    let databases = rows(conn, "SELECT tenant, name, id FROM database ORDER BY tenant, name", |row| {
        Ok(((row.get(0)?, row.get(1)?), u128::from_be_bytes(row.get(2)?)))
    })?;
    let (mut changes, mut named) = dropped(conn)?;
    named.insert((DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned()));
    let living: BTreeSet<&Database> = databases.iter().map(|(database, _)| database).collect();
    for (tenant, database) in named {
        if !tenants.contains(&tenant) {
            changes.push(CatalogChange::TenantDropped { tenant });
        } else if !living.contains(&(tenant.clone(), database.clone())) {
            changes.push(CatalogChange::DatabaseDropped { tenant, database });
        }
    }
    changes.extend(tenants.into_iter().map(|tenant| CatalogChange::TenantCreated { tenant }));
    for ((tenant, database), id) in databases {
        changes.push(CatalogChange::DatabaseCreated { tenant, database, id });
    }
    changes.extend(collections(conn, false)?.into_iter().flat_map(|(_, changes)| changes));
    Ok(changes)
}

/// Creates and drops of the dropped collections that are not forgotten, and the databases they name.
fn dropped(conn: &Connection) -> Result<(Vec<CatalogChange>, BTreeSet<Database>), LogError> {
    let (mut changes, mut named) = (Vec::new(), BTreeSet::new());
    for (id, made) in collections(conn, true)? {
        if let Some(CatalogChange::CollectionCreated { tenant, database, .. }) = made.first() {
            named.insert((tenant.clone(), database.clone()));
        }
        changes.extend(made);
        changes.push(CatalogChange::CollectionDropped { id });
    }
    Ok((changes, named))
}

/// For each collection that is, or is not, dropped: the changes that make it.
fn collections(
    conn: &Connection,
    dropped: bool,
) -> Result<Vec<(CollectionId, Vec<CatalogChange>)>, LogError> {
    let mut select = conn.prepare(
        "SELECT id, tenant, database, name, dimension FROM collection WHERE dropped = ?1 ORDER BY id",
    )?;
    let found = select.query_map([dropped], |row| {
        let id = CollectionId(u128::from_be_bytes(row.get(0)?));
        let created = CatalogChange::CollectionCreated {
            id,
            tenant: row.get(1)?,
            database: row.get(2)?,
            name: row.get(3)?,
        };
        let dimension: Option<u32> = row.get(4)?;
        let fixed = dimension.map(|dimension| CatalogChange::Dimension { id, dimension });
        Ok((id, [Some(created), fixed].into_iter().flatten().collect()))
    })?;
    let mut found: Vec<(CollectionId, Vec<CatalogChange>)> = found.collect::<Result<_, _>>()?;
    let mut real_ids =
        conn.prepare("SELECT instance, id FROM real_id WHERE collection = ?1 ORDER BY instance")?;
    for (id, changes) in &mut found {
        let known = real_ids.query_map([key(*id)], |row| {
            Ok(CatalogChange::RealId {
                id: *id,
                instance: InstanceId(row.get(0)?),
                real_id: u128::from_be_bytes(row.get(1)?),
            })
        })?;
        for change in known {
            changes.push(change?);
        }
    }
    Ok(found)
}

/// All rows of a query without parameters.
pub fn rows<T>(
    conn: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, LogError> {
    let mut select = conn.prepare(sql)?;
    let found = select.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(found)
}
