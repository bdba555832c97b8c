//! What a schema entry's success changes in the catalog.

use super::core::Core;
use super::lane::LaneState;
use super::pending::Pending;
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::{Lane, Lsn, Op};

impl Core {
    /// What a schema entry's success changes in the catalog: by its verdict once, by its real id at every instance.
    pub(super) fn schema_changes(
        &self,
        key: &Lane,
        instance: InstanceId,
        lsn: Lsn,
        decides: bool,
        real_id: Option<u128>,
    ) -> Vec<CatalogChange> {
        let Some(lane) = self.lanes.get(key) else {
            return Vec::new();
        };
        let Some(entry) = lane.entry(lsn).filter(|entry| !entry.is_cancelled()) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        match key {
            Lane::Collection(id) => {
                collection_changes(*id, lane, entry, instance, (decides, real_id), &mut changes);
            }
            Lane::Database { tenant, database } if decides => {
                let (tenant, database) = (tenant.clone(), database.clone());
                changes.push(if entry.is(&Op::CreateDatabase) {
                    let id = self.database_id(lsn);
                    CatalogChange::DatabaseCreated { tenant, database, id }
                } else {
                    CatalogChange::DatabaseDropped { tenant, database }
                });
            }
            Lane::Tenant { tenant } if decides => {
                changes.push(CatalogChange::TenantCreated { tenant: tenant.clone() });
            }
            _ => {}
        }
        changes
    }

    /// A database's public id: derived, so that it is the same after a replay, and shaped like a version 4 uuid.
    fn database_id(&self, lsn: Lsn) -> u128 {
        let seed = [self.settings.cluster.to_le_bytes(), u128::from(lsn.0).to_le_bytes()].concat();
        uuid::Builder::from_random_bytes(xxhash_rust::xxh3::xxh3_128(&seed).to_le_bytes())
            .into_uuid()
            .as_u128()
    }
}

fn collection_changes(
    id: CollectionId,
    lane: &LaneState,
    entry: &Pending,
    instance: InstanceId,
    (decides, real_id): (bool, Option<u128>),
    changes: &mut Vec<CatalogChange>,
) {
    match entry.other() {
        Some(Op::CreateCollection { tenant, database, name, .. }) => {
            if decides {
                let (tenant, database, name) = (tenant.clone(), database.clone(), name.clone());
                changes.push(CatalogChange::CollectionCreated { id, tenant, database, name });
            }
            changes.extend(real_id.map(|real_id| CatalogChange::RealId { id, instance, real_id }));
        }
        Some(Op::ModifyCollection { new_name: Some(name) }) if decides => {
            changes.push(CatalogChange::CollectionRenamed { id, name: name.clone() });
        }
        Some(Op::DropCollection) => {
            if decides {
                changes.push(CatalogChange::CollectionDropped { id });
            }
            let others = lane.at.iter().enumerate().filter(|(index, _)| *index != instance.index());
            if others.into_iter().all(|(_, at)| at.applied >= entry.lsn) {
                changes.push(CatalogChange::CollectionForgotten { id });
            }
        }
        _ => {}
    }
}
