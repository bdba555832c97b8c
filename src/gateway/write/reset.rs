//! Reset: never forwarded, but a drop of everything that clients made.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::submission::{Sender, part};
use crate::catalog::{Catalog, DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::error::ApiError;
use crate::chroma::ids::CollectionId;
use crate::gateway::answer::Refusal;
use crate::gateway::entry::Received;
use crate::gateway::state::AppState;
use crate::gateway::transaction::outcome::{DECISION_POLL, Told, undecided};
use crate::wal::record::{Answer, Lane, Op};

/// What a reset drops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    collections: Vec<CollectionId>,
    /// Tenant and name.
    databases: Vec<(String, String)>,
    tenants: Vec<String>,
}

pub(super) async fn reset(app: &AppState, request: &Arc<Received>, sender: Sender) -> Result<Told, Refusal> {
    if !app.settings().allow_reset {
        return Err(ApiError::reset_disabled().into());
    }
    let contents = app.replication.with_catalog(Contents::of);
    let mut drops = contents.drops();
    let Some((lane, op)) = drops.pop() else {
        return Ok(done());
    };
    let mut group: Vec<_> = drops.into_iter().map(|(lane, op)| part(lane, op)).collect();
    group.push(sender.submission(lane, op, request.body.clone()));
    let told = told(sender.log(app, group).await);
    if matches!(&told, Told::Answer(answer) if answer.status == 200) {
        return wait_until_gone(app, &contents, &sender.id).await;
    }
    Ok(told)
}

impl Contents {
    fn of(catalog: &Catalog) -> Self {
        let mut contents = Self::default();
        contents.collections.extend(catalog.all_living().iter().map(|collection| collection.id));
        for tenant in catalog.tenants() {
            if tenant != DEFAULT_TENANT {
                contents.tenants.push(tenant.to_owned());
            }
            for (database, _) in catalog.databases(tenant) {
                if (tenant, database) != (DEFAULT_TENANT, DEFAULT_DATABASE) {
                    contents.databases.push((tenant.to_owned(), database.to_owned()));
                }
            }
        }
        contents
    }

    /// The drops, in an order in which nothing is dropped before what is in it.
    fn drops(&self) -> Vec<(Lane, Op)> {
        let collections = self.collections.iter().map(|id| (Lane::Collection(*id), Op::DropCollection));
        let databases = self.databases.iter().cloned();
        let databases =
            databases.map(|(tenant, database)| (Lane::Database { tenant, database }, Op::DropDatabase));
        let tenants = self.tenants.iter().cloned().map(|tenant| (Lane::Tenant { tenant }, Op::DropTenant));
        collections.chain(databases).chain(tenants).collect()
    }

    fn are_gone(&self, catalog: &Catalog) -> bool {
        // A tenant stays where somebody makes a database in it meanwhile.
        let goes =
            |tenant: &String| !catalog.has_tenant(tenant) || catalog.databases(tenant).next().is_some();
        self.collections.iter().all(|id| catalog.living(*id).is_none())
            && self.databases.iter().all(|(tenant, database)| catalog.database_id(tenant, database).is_none())
            && self.tenants.iter().all(goes)
    }
}

/// The drops are decided lane by lane; the answer stands for all of them.
async fn wait_until_gone(app: &AppState, contents: &Contents, id: &str) -> Result<Told, Refusal> {
    let until = Instant::now() + app.settings().write_timeout;
    while !app.replication.with_catalog(|catalog| contents.are_gone(catalog)) {
        if Instant::now() >= until {
            return Err(undecided(id));
        }
        sleep(DECISION_POLL).await;
    }
    Ok(done())
}

/// What the sender of a reset is told for the drop that stands for it. Somebody else's drop of the same is as good.
pub(super) fn told(told: Told) -> Told {
    match told {
        Told::Answer(answer) if matches!(answer.status, 200 | 404) => done(),
        other => other,
    }
}

fn done() -> Told {
    Told::Answer(Answer { status: 200, body: b"true".to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::change::CatalogChange;

    #[test]
    fn everything_but_the_default_database_goes() {
        let mut catalog = Catalog::default();
        assert_eq!(Contents::of(&catalog), Contents::default());
        let (tenant, database) = ("t".to_owned(), "d".to_owned());
        catalog.apply(&CatalogChange::DatabaseCreated { tenant, database, id: 1 });
        for (id, tenant, database) in [(1, "t", "d"), (2, DEFAULT_TENANT, DEFAULT_DATABASE)] {
            catalog.apply(&CatalogChange::CollectionCreated {
                id: CollectionId(id),
                tenant: tenant.to_owned(),
                database: database.to_owned(),
                name: "docs".to_owned(),
            });
        }
        let contents = Contents::of(&catalog);
        assert_eq!(contents.collections, [CollectionId(1), CollectionId(2)]);
        assert_eq!(contents.databases, [("t".to_owned(), "d".to_owned())]);
        assert_eq!(contents.tenants, ["t"]);
        let last = contents.drops().pop();
        assert_eq!(last, Some((Lane::Tenant { tenant: "t".to_owned() }, Op::DropTenant)));
        assert!(!contents.are_gone(&catalog) && contents.are_gone(&Catalog::default()));
    }
}
