//! Databases and collections that an instance holds and the catalog does not, and databases that it lacks.
//!
//! What was seen may be on its way: a create of which the catalog does not know yet, a drop that comes just now. So it
//! counts when it is still there after the instance has applied everything that was logged by then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::report::{Difference, NotCompared, Report};
use crate::catalog::SYSTEM;
use crate::chroma::copies::is_put_aside;
use crate::chroma::path;
use crate::delivery::handle::Replication;
use crate::instances::client::Instance;

/// How long one list may take.
const LIST: Duration = Duration::from_secs(30);
/// How long an instance may take to apply what was logged.
const SETTLE: Duration = Duration::from_secs(120);
/// Collections in one list.
const PAGE: usize = 1_000;

/// Something that should not be there, or should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Odd {
    Database { tenant: String, database: String, is_there: bool },
    Collection { tenant: String, database: String, name: String, real_id: Uuid },
}

/// Looks at every instance that is up.
pub(super) async fn compare(replication: &Replication, instances: &[&Instance], report: &mut Report) {
    for instance in instances {
        match odd(replication, instance).await {
            Ok(odd) => odd.into_iter().for_each(|odd| report.note(odd.told(&instance.name))),
            Err(why) => report.not_compared.push(NotCompared { instance: instance.name.clone(), why }),
        }
    }
}

async fn odd(replication: &Replication, instance: &Instance) -> Result<BTreeSet<Odd>, String> {
    let upto = replication.log_stats().durable_lsn;
    let seen = look(replication, instance).await?;
    if seen.is_empty() {
        return Ok(seen);
    }
    let deadline = Instant::now() + SETTLE;
    while !replication.has_settled(instance.id, upto).await {
        if Instant::now() >= deadline {
            return Err("it is too far behind for a look at its databases".to_owned());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let again = look(replication, instance).await?;
    Ok(seen.intersection(&again).cloned().collect())
}

/// What differs from the catalog at the moment, which is asked last.
async fn look(replication: &Replication, instance: &Instance) -> Result<BTreeSet<Odd>, String> {
    let tenants: Vec<String> =
        replication.with_catalog(|catalog| catalog.tenants().map(str::to_owned).collect());
    let mut odd = BTreeSet::new();
    for tenant in tenants.into_iter().filter(|tenant| tenant != SYSTEM) {
        let there: BTreeSet<String> =
            list(instance, &path::databases(&tenant)).await?.into_iter().map(|one| one.name).collect();
        let known: BTreeSet<String> = replication
            .with_catalog(|catalog| catalog.databases(&tenant).map(|(name, _)| name.to_owned()).collect());
        let strange = there.symmetric_difference(&known).filter(|name| *name != SYSTEM);
        odd.extend(strange.map(|name| Odd::Database {
            tenant: tenant.clone(),
            database: name.clone(),
            is_there: there.contains(name),
        }));
        for database in there.intersection(&known) {
            odd.extend(strangers(replication, instance, &tenant, database).await?);
        }
    }
    Ok(odd)
}

/// What an instance holds that the catalog does not know, and the living collections that it should hold and does not,
/// in words. What is on its way counts too.
///
/// # Errors
/// Why it can't be told, in words.
pub(in crate::repair) async fn survey(
    replication: &Replication,
    instance: &Instance,
) -> Result<(Vec<String>, Vec<String>), String> {
    let strange = look(replication, instance).await?;
    let strange = strange.iter().map(Odd::name).collect();
    let living: Vec<(String, String, String, u128)> = replication.with_catalog(|catalog| {
        let living = catalog.all_living().into_iter();
        let here = living.filter_map(|known| Some((known, *known.real_ids.get(&instance.id)?)));
        here.map(|(known, id)| (known.tenant.clone(), known.database.clone(), known.name.clone(), id))
            .collect()
    });
    let mut held: BTreeMap<(String, String), BTreeSet<u128>> = BTreeMap::new();
    let mut missing = Vec::new();
    for (tenant, database, name, real_id) in living {
        let place = (tenant, database);
        if !held.contains_key(&place) {
            let all = all_in(instance, &place.0, &place.1).await?;
            held.insert(place.clone(), all.into_iter().map(|one| one.id.as_u128()).collect());
        }
        if !held.get(&place).is_some_and(|ids| ids.contains(&real_id)) {
            missing.push(format!("collection {name:?} in {}/{}", place.0, place.1));
        }
    }
    Ok((strange, missing))
}

async fn all_in(instance: &Instance, tenant: &str, database: &str) -> Result<Vec<Listed>, String> {
    let mut all = Vec::new();
    loop {
        let to = format!("{}?limit={PAGE}&offset={}", path::collections(tenant, database), all.len());
        let page = list(instance, &to).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// Collections of a database that nobody made through us.
async fn strangers(
    replication: &Replication,
    instance: &Instance,
    tenant: &str,
    database: &str,
) -> Result<Vec<Odd>, String> {
    let mut all = all_in(instance, tenant, database).await?;
    all.retain(|one| !is_put_aside(&one.name));
    let strange = replication.with_catalog(|catalog| {
        all.retain(|one| catalog.owner_of(instance.id, one.id.as_u128()).is_none());
        all
    });
    let odd = strange.into_iter().map(|one| Odd::Collection {
        tenant: tenant.to_owned(),
        database: database.to_owned(),
        name: one.name,
        real_id: one.id,
    });
    Ok(odd.collect())
}

/// A database or a collection in a list.
#[derive(Deserialize)]
struct Listed {
    id: Uuid,
    name: String,
}

async fn list(instance: &Instance, to: &str) -> Result<Vec<Listed>, String> {
    let asked = timeout(LIST, instance.call(Method::GET, to, Bytes::new())).await;
    let reply =
        asked.map_err(|_| "it gave no list in time".to_owned())?.map_err(|error| error.to_string())?;
    if !reply.is_success() {
        return Err(format!("it answered {} to a list", reply.status));
    }
    serde_json::from_slice(&reply.body).map_err(|error| format!("its list can't be read: {error}"))
}

impl Odd {
    fn name(&self) -> String {
        match self {
            Self::Database { tenant, database, is_there: true } => format!("database {tenant}/{database}"),
            Self::Database { tenant, database, is_there: false } => {
                format!("no database {tenant}/{database}")
            }
            Self::Collection { tenant, database, name, .. } => {
                format!("collection {name:?} in {tenant}/{database}")
            }
        }
    }

    fn told(self, instance: &str) -> Difference {
        let (tenant, database, collection, field, what) = match self {
            Self::Database { tenant, database, is_there } => {
                let what = if is_there { "has it, and nobody made it through Isochrome" } else { "lacks it" };
                (tenant, database, String::new(), "database", what.to_owned())
            }
            Self::Collection { tenant, database, name, real_id } => {
                let what = format!("has it under the id {real_id}, and nobody made it through Isochrome");
                (tenant, database, name, "collection", what)
            }
        };
        let instances = BTreeMap::from([(instance.to_owned(), what)]);
        Difference { tenant, database, collection, record: None, field: field.to_owned(), instances }
    }
}
