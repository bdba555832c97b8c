//! Making a data directory for servers that hold data.

use std::path::Path;

use super::disk::disk;
use super::error::{LogError, OpenError};
use super::state::{self, Adoption};
use super::{lock, segment};

/// Makes a data directory that begins with a catalog. [`Wal::open`](super::Wal::open) finds it as its own.
///
/// # Errors
/// [`OpenError`] where there is one already, somebody holds it, or the disk fails; then there is none.
pub fn adopt(dir: &Path, adoption: &Adoption) -> Result<(), OpenError> {
    let storage = |error: LogError| OpenError::Storage { dir: dir.to_owned(), error };
    disk().make_dir(&dir.join("wal")).map_err(|error| storage(error.into()))?;
    let _lock = lock::take(dir)?;
    if state::path_of(dir).exists() {
        return Err(OpenError::InUse { dir: dir.to_owned() });
    }
    state::adopt(dir, adoption).map_err(storage)?;
    segment::sync_dir(dir).map_err(storage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::change::CatalogChange;
    use crate::chroma::ids::{CollectionId, InstanceId};
    use crate::wal::record::{Lane, Lsn};
    use crate::wal::{Setup, Wal, WalOptions};

    #[test]
    fn a_log_begins_with_what_was_adopted() {
        let dir = tempfile::tempdir().unwrap();
        let (id, instance) = (CollectionId(7), InstanceId(1));
        let (tenant, database) = ("t".to_owned(), "d".to_owned());
        let adoption = Adoption {
            cluster: "c".to_owned(),
            instances: vec![("a".to_owned(), 4), ("b".to_owned(), 4)],
            changes: vec![
                CatalogChange::DatabaseCreated { tenant: tenant.clone(), database: database.clone(), id: 9 },
                CatalogChange::CollectionCreated { id, tenant, database, name: "n".to_owned() },
                CatalogChange::Dimension { id, dimension: 3 },
                CatalogChange::RealId { id, instance: InstanceId(0), real_id: 70 },
            ],
            divergent: vec![(Lane::Collection(id), instance, "no copy".to_owned())],
            last_lsn: Lsn(41),
        };
        adopt(dir.path(), &adoption).unwrap();
        assert!(matches!(adopt(dir.path(), &adoption), Err(OpenError::InUse { .. })));

        let setup = Setup {
            dir: dir.path(),
            options: WalOptions::default(),
            instances: &["a".to_owned(), "b".to_owned()],
            new_cluster: "other",
        };
        let (wal, recovered) = Wal::open(&setup, Box::new(|_| {})).unwrap();
        assert_eq!((recovered.cluster.as_str(), recovered.next_lsn), ("c", Lsn(42)));
        assert_eq!(recovered.divergent, adoption.divergent);
        assert!(recovered.instances.iter().all(|known| known.joined && known.marker_counter == 4));
        let mut catalog = Catalog::default();
        recovered.changes.iter().for_each(|change| catalog.apply(change));
        let known = catalog.by_name("t", "d", "n").unwrap();
        assert_eq!((known.id, known.dimension), (id, Some(3)));
        assert_eq!(catalog.real_id(id, InstanceId(0)), Some(70));
        assert_eq!(catalog.database_id("t", "d"), Some(9));
        wal.close();
    }
}
