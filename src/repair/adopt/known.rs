//! What the instances keep of a catalog whose log is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::find::{Name, There};
use crate::chroma::ids::CollectionId;
use crate::instances::client::Instance;
use crate::instances::kept::{self, KeptCatalog, KeptCollection, Seen};
use crate::instances::marker::{Found, Marker};

/// Entries of the lost log that came after the last marker have smaller numbers than this above its end.
const LOST: u64 = 1 << 20;

/// Which collection of the catalog an instance has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// This one, whose name the catalog may know better.
    Known(CollectionId, Name),
    /// One that the catalog does not know.
    Unknown,
    /// One that was dropped, which had not come to this instance.
    Dropped,
}

/// The cluster that the servers belonged to, and what is left of its catalog.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// `None`: they belonged to none.
    pub cluster: Option<String>,
    /// By instance, in order: the marker's counter; `None` where there is none.
    pub counters: Vec<Option<u64>>,
    /// The highest epoch.
    pub epoch: u64,
    /// How far the log reached, at least.
    pub lsn: u64,
    /// The newest catalog that is kept.
    pub catalog: Option<KeptCatalog>,
    /// By instance, in order: public ids by the real ids there.
    here: Vec<BTreeMap<u128, CollectionId>>,
}

impl Known {
    /// Looks at every instance. Changes nothing.
    ///
    /// # Errors
    /// Why they can't be taken over, in words.
    pub(super) async fn of(instances: &[Arc<Instance>], take_over: bool) -> Result<Self, String> {
        let mut known = Self::default();
        let mut newest = (0, 0);
        for instance in instances {
            let told = |what: String| format!("{}: {what}", instance.name);
            let seen = kept::look(instance).await;
            let Seen { found, epoch, kept } = seen.map_err(|error| told(error.to_string()))?;
            let marker = known.belongs(instance, found, take_over).map_err(told)?;
            known.counters.push(marker.as_ref().map(|marker| marker.counter));
            known.epoch = known.epoch.max(epoch);
            if let Some(marker) = marker {
                let word = marker.word.map_or(0, |(_, lsn)| lsn);
                (known.epoch, known.lsn) =
                    (known.epoch.max(marker.epoch), known.lsn.max(marker.lsn).max(word));
            }
            let kept = kept.filter(|_| take_over);
            let collections = kept.iter().flat_map(|kept| &kept.catalog.collections);
            let here = collections.filter_map(|one| Some((one.here?.as_u128(), CollectionId::from(one.id))));
            known.here.push(here.collect());
            if let Some(kept) = kept.filter(|kept| known.catalog.is_none() || kept.at > newest) {
                newest = kept.at;
                known.lsn = known.lsn.max(kept.at.1);
                known.catalog = Some(kept.catalog);
            }
        }
        if take_over && known.cluster.is_none() {
            return Err(
                "no server belongs to an Isochrome cluster; without --take-over they are adopted".to_owned()
            );
        }
        Ok(known)
    }

    /// The marker of an instance that may be adopted.
    fn belongs(
        &mut self,
        instance: &Instance,
        found: Found,
        take_over: bool,
    ) -> Result<Option<Marker>, String> {
        let Found::Marker(marker, _) = found else { return Ok(None) };
        if !take_over {
            return Err(format!(
                "it belongs to the Isochrome cluster {} already. Start with its data directory; where that is lost, \
                 --take-over goes on without it",
                marker.cluster
            ));
        }
        if marker.instance != instance.name {
            return Err(format!("it was the instance {:?}; give each server its name", marker.instance));
        }
        let cluster = self.cluster.get_or_insert_with(|| marker.cluster.clone());
        if *cluster != marker.cluster {
            return Err(format!(
                "it belongs to the cluster {}, and another server to {cluster}",
                marker.cluster
            ));
        }
        Ok(Some(marker))
    }

    /// Which collection it is that an instance has under this name.
    pub(super) fn identify(&self, place: usize, name: &Name, there: &There) -> Which {
        let collections = || self.catalog.iter().flat_map(|catalog| &catalog.collections);
        let id = self.here.get(place).and_then(|here| here.get(&there.real_id));
        let known = match id {
            Some(id) => collections().find(|known| known.id == id.uuid()),
            None => collections().find(|known| Name::of(known) == *name),
        };
        match (known, id) {
            (Some(known), _) => Which::Known(CollectionId::from(known.id), Name::of(known)),
            (None, Some(_)) => Which::Dropped,
            (None, None) => Which::Unknown,
        }
    }

    /// Where the new log begins.
    pub(super) fn begins_after(&self) -> u64 {
        if self.cluster.is_some() { self.lsn + LOST } else { 0 }
    }
}

impl Name {
    fn of(known: &KeptCollection) -> Self {
        let (tenant, database) = (known.tenant.clone(), known.database.clone());
        Self { tenant, database, name: known.name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::change::CatalogChange;
    use crate::chroma::ids::InstanceId;

    fn name(name: &str) -> Name {
        Name { tenant: "t".to_owned(), database: "d".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_collection_is_known_by_the_id_that_the_instance_gave_it_and_then_by_its_name() {
        let mut catalog = Catalog::default();
        let id = CollectionId(7);
        let (tenant, database) = ("t".to_owned(), "d".to_owned());
        catalog.apply(&CatalogChange::CollectionCreated { id, tenant, database, name: "new".to_owned() });
        let here = BTreeMap::from([(70, id), (80, CollectionId(8))]);
        let catalog = KeptCatalog::of(&catalog, InstanceId(0));
        let known = Known { catalog: Some(catalog), here: vec![here], ..Known::default() };
        let there = |real_id| There { real_id, dimension: None };
        let ours = Which::Known(id, name("new"));
        assert_eq!(known.identify(0, &name("old"), &there(70)), ours, "renamed since");
        assert_eq!(known.identify(0, &name("new"), &there(90)), ours, "not kept there yet");
        assert_eq!(known.identify(0, &name("other"), &there(90)), Which::Unknown);
        assert_eq!(known.identify(0, &name("new"), &there(80)), Which::Dropped);
        assert_eq!(Known::default().identify(0, &name("new"), &there(Uuid::nil().as_u128())), Which::Unknown);
    }
}
