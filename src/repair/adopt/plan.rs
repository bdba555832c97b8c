//! What is found becomes a catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use http::Method;
use uuid::Uuid;

use super::compare::{Copy, differences};
use super::find::{Holds, Name, There, find};
use super::known::{Known, Which};
use crate::catalog::change::CatalogChange;
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::chroma::{path, requests};
use crate::instances::claims::begin_after;
use crate::instances::client::Instance;
use crate::instances::marker::{self, Marker};
use crate::wal::record::{Lane, Lsn};
use crate::wal::{Adoption, adopt};

/// Why a collection is copied again.
const NO_COPY: &str = "it was adopted, and had no copy here";
const DIFFERS: &str = "it was adopted, and another copy was chosen";

/// What an operator wants.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Chroma can't list tenants.
    pub tenants: Vec<String>,
    /// The instance whose copies count where two differ.
    pub source: Option<String>,
    /// The servers belonged to a cluster whose data directory is lost.
    pub take_over: bool,
}

/// Why nothing is adopted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdopted {
    #[error("{0}")]
    Unusable(String),
    #[error("the servers hold no collections; `isochrome serve` begins with them as they are")]
    Nothing,
    #[error("{instance}: {why}")]
    Instance { instance: String, why: String },
}

/// What will be the catalog.
#[derive(Debug)]
pub struct Plan {
    instances: Vec<Arc<Instance>>,
    holds: Vec<Holds>,
    known: Known,
    tenants: BTreeSet<String>,
    databases: BTreeMap<(String, String), u128>,
    collections: Vec<Planned>,
    /// What is not adopted, and what is copied: a line each.
    pub notes: Vec<String>,
    /// Where copies differ and no source was chosen: a line each.
    pub differences: Vec<String>,
    /// Collections that are the same on all instances.
    pub same: usize,
    /// Records that were compared.
    pub records: usize,
}

/// Copies of collections by instance, by name and public id.
type Held = BTreeMap<(Name, Option<CollectionId>), BTreeMap<usize, There>>;

#[derive(Debug)]
struct Planned {
    id: CollectionId,
    name: Name,
    dimension: Option<u32>,
    real_ids: BTreeMap<InstanceId, u128>,
    /// Where it is copied to, and why.
    copied: Vec<(InstanceId, &'static str)>,
}

impl Plan {
    /// Looks at every server, and compares what they hold under the same names. Changes nothing. `tell` gets a line for
    /// each collection that was compared.
    ///
    /// # Errors
    /// [`NotAdopted`] where a server can't be adopted.
    pub async fn make(
        instances: Vec<Arc<Instance>>,
        wish: &Wish,
        mut tell: impl FnMut(&str),
    ) -> Result<Self, NotAdopted> {
        let preferred = preferred(&instances, wish)?;
        let known = Known::of(&instances, wish.take_over).await.map_err(NotAdopted::Unusable)?;
        let mut tenants: BTreeSet<String> = wish.tenants.iter().cloned().collect();
        if let Some(catalog) = &known.catalog {
            tenants.extend(catalog.databases.iter().map(|(tenant, ..)| tenant.clone()));
            tenants.extend(catalog.tenants.iter().cloned());
        }
        let mut holds = Vec::new();
        for instance in &instances {
            let failed = |why: String| NotAdopted::Instance { instance: instance.name.clone(), why };
            holds.push(find(instance, &tenants).await.map_err(failed)?);
        }
        let mut plan = Self {
            instances,
            holds,
            known,
            tenants: BTreeSet::new(),
            databases: BTreeMap::new(),
            collections: Vec::new(),
            notes: Vec::new(),
            differences: Vec::new(),
            same: 0,
            records: 0,
        };
        plan.places(&preferred);
        let found = plan.identify();
        if found.is_empty() && !wish.take_over {
            return Err(NotAdopted::Nothing);
        }
        plan.note_lost(&found);
        for ((name, id), there) in found {
            let there =
                preferred.iter().filter_map(|place| Some((*place, there.get(place)?.clone()))).collect();
            plan.collection((name, id), there, wish.source.is_some(), &mut tell).await?;
        }
        Ok(plan)
    }

    /// Tenants and databases that any server holds, or held; a database has the id that is known of it, or that of the
    /// first server that holds it.
    fn places(&mut self, preferred: &[usize]) {
        if let Some(catalog) = &self.known.catalog {
            self.tenants.extend(catalog.tenants.iter().cloned());
            let databases = catalog.databases.iter();
            self.databases
                .extend(databases.map(|(tenant, name, id)| ((tenant.clone(), name.clone()), id.as_u128())));
        }
        for place in preferred {
            let holds = &self.holds[*place];
            self.tenants.extend(holds.tenants.iter().cloned());
            for (database, id) in &holds.databases {
                self.databases.entry(database.clone()).or_insert(*id);
            }
            let name = &self.instances[*place].name;
            let left_over = holds.left_over.iter();
            self.notes.extend(left_over.map(|one| {
                format!("left as it is: {one} on {name}, which an interrupted Isochrome may have left there")
            }));
        }
    }

    /// Which collections the servers hold, by name and, where that is known, public id.
    fn identify(&mut self) -> Held {
        let mut held = Held::new();
        for (place, holds) in self.holds.iter().enumerate() {
            let instance = &self.instances[place].name;
            for (name, there) in &holds.collections {
                let key = match self.known.identify(place, name, there) {
                    Which::Known(id, name) => (name, Some(id)),
                    Which::Unknown => {
                        if self.known.catalog.is_some() {
                            self.notes.push(format!(
                                "{name} on {instance} is in no kept catalog: it was made in the last seconds, past Isochrome, \
                                 or was deleted; it is adopted under a new id"
                            ));
                        }
                        (name.clone(), None)
                    }
                    Which::Dropped => {
                        self.notes.push(format!("left as it is: {name} on {instance}, which was deleted"));
                        continue;
                    }
                };
                held.entry(key).or_default().insert(place, there.clone());
            }
        }
        held
    }

    /// Collections that are nowhere.
    fn note_lost(&mut self, found: &Held) {
        let kept = self.known.catalog.iter().flat_map(|catalog| &catalog.collections);
        let lost =
            kept.filter(|known| !found.keys().any(|(_, id)| id.is_some_and(|id| id.uuid() == known.id)));
        self.notes.extend(lost.map(|known| format!("LOST: {:?} ({}) is on no server", known.name, known.id)));
    }

    /// Decides which copies of a collection count. `there` has the preferred one first.
    async fn collection(
        &mut self,
        (name, id): (Name, Option<CollectionId>),
        there: Vec<(usize, There)>,
        has_source: bool,
        tell: &mut impl FnMut(&str),
    ) -> Result<(), NotAdopted> {
        let mut holders =
            there.iter().map(|(place, there)| Copy { instance: &self.instances[*place], there });
        let Some(first) = holders.next() else { return Ok(()) };
        let mut planned = Planned {
            id: id.unwrap_or(CollectionId(first.there.real_id)),
            name: name.clone(),
            dimension: first.there.dimension,
            real_ids: BTreeMap::from([(first.instance.id, first.there.real_id)]),
            copied: Vec::new(),
        };
        let (mut differ, mut compared) = (Vec::new(), 0);
        for other in holders {
            planned.real_ids.insert(other.instance.id, other.there.real_id);
            let found = differences(&name, first, other).await;
            let (found, records) = found.map_err(|why| NotAdopted::Unusable(format!("{name}: {why}")))?;
            compared = records;
            if !found.is_empty() {
                planned.copied.push((other.instance.id, DIFFERS));
                differ.extend(found.into_iter().map(|found| format!("{name}: {found}")));
            }
        }
        let missing: Vec<&Instance> = self.instances.iter().map(AsRef::as_ref).collect();
        let missing = missing.into_iter().filter(|instance| !planned.real_ids.contains_key(&instance.id));
        planned.copied.extend(missing.map(|instance| (instance.id, NO_COPY)));
        let source = &first.instance.name;
        for (target, _) in &planned.copied {
            let to = &self.instances[target.index()].name;
            self.notes.push(format!("copied from {source} to {to} after the start: {name}"));
        }
        self.records += compared;
        self.same += usize::from(planned.copied.is_empty());
        tell(&format!("{name}: {}", if differ.is_empty() { "compared" } else { "DIFFERS" }));
        if !has_source {
            self.differences.append(&mut differ);
        }
        self.collections.push(planned);
        Ok(())
    }

    /// Makes the data directory. Before that it puts our marker on each server, and makes databases that it lacks.
    ///
    /// # Errors
    /// [`NotAdopted`]. Where only the markers were written, the servers belong to a cluster without a data directory.
    pub async fn carry_out(&self, dir: &Path) -> Result<(), NotAdopted> {
        let known = &self.known;
        let cluster = known.cluster.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let mut marked = Vec::new();
        for ((instance, holds), counter) in self.instances.iter().zip(&self.holds).zip(&known.counters) {
            let failed = |why: String| NotAdopted::Instance { instance: instance.name.clone(), why };
            self.fill(instance, holds).await.map_err(failed)?;
            if counter.is_none() {
                mark(instance, &cluster).await.map_err(failed)?;
            }
            marked.push((instance.name.clone(), counter.unwrap_or(FIRST)));
        }
        let divergent = self.collections.iter().flat_map(|planned| {
            let lane = Lane::Collection(planned.id);
            planned.copied.iter().map(move |(target, why)| (lane.clone(), *target, (*why).to_owned()))
        });
        let adoption = Adoption {
            cluster,
            instances: marked,
            changes: self.changes(),
            divergent: divergent.collect(),
            last_lsn: Lsn(known.begins_after()),
        };
        let (dir, epoch) = (dir.to_owned(), known.epoch);
        let made = tokio::task::spawn_blocking(move || make(&dir, &adoption, epoch)).await;
        made.map_err(|error| NotAdopted::Unusable(error.to_string()))?.map_err(NotAdopted::Unusable)
    }

    /// The catalog, as changes to a fresh one.
    fn changes(&self) -> Vec<CatalogChange> {
        let tenants = self.tenants.iter().filter(|tenant| *tenant != DEFAULT_TENANT);
        let mut changes: Vec<CatalogChange> =
            tenants.map(|tenant| CatalogChange::TenantCreated { tenant: tenant.clone() }).collect();
        for ((tenant, database), id) in &self.databases {
            let (tenant, database) = (tenant.clone(), database.clone());
            changes.push(CatalogChange::DatabaseCreated { tenant, database, id: *id });
        }
        for planned in &self.collections {
            let (id, Name { tenant, database, name }) = (planned.id, planned.name.clone());
            changes.push(CatalogChange::CollectionCreated { id, tenant, database, name });
            changes.extend(planned.dimension.map(|dimension| CatalogChange::Dimension { id, dimension }));
            let real_ids = planned.real_ids.iter();
            changes.extend(real_ids.map(|(instance, real_id)| CatalogChange::RealId {
                id,
                instance: *instance,
                real_id: *real_id,
            }));
        }
        changes
    }

    /// Makes tenants and databases that a server lacks.
    async fn fill(&self, instance: &Instance, holds: &Holds) -> Result<(), String> {
        let tenants = self.tenants.difference(&holds.tenants);
        let tenants = tenants.map(|tenant| ("/api/v2/tenants".to_owned(), tenant));
        let lacking = self.databases.keys().filter(|database| !holds.databases.contains_key(*database));
        let databases = lacking.map(|(tenant, database)| (path::databases(tenant), database));
        for (to, name) in tenants.chain(databases) {
            let body = requests::named_body(name).into();
            let reply = instance.call(Method::POST, &to, body).await.map_err(|error| error.to_string())?;
            if !reply.is_success() && reply.status != 409 {
                return Err(format!("it answered {} to the create of {name}", reply.status));
            }
        }
        Ok(())
    }

    /// Collections that will be known.
    #[must_use]
    pub fn collections(&self) -> usize {
        self.collections.len()
    }
}

/// The counter of the first marker.
const FIRST: u64 = 1;

async fn mark(instance: &Instance, cluster: &str) -> Result<(), String> {
    let failed = |error: marker::MarkerError| error.to_string();
    let collection = marker::prepare(instance).await.map_err(failed)?;
    let (cluster, instance_name) = (cluster.to_owned(), instance.name.clone());
    let marker = Marker { cluster, instance: instance_name, counter: FIRST, epoch: 0, lsn: 0, word: None };
    marker::write(instance, collection, &marker).await.map_err(failed)
}

/// The checkpoint comes last: without it there is no data directory.
fn make(dir: &Path, adoption: &Adoption, epoch: u64) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|error| format!("can't make {}: {error}", dir.display()))?;
    if epoch > 0 {
        begin_after(dir, epoch).map_err(|error| error.to_string())?;
    }
    adopt(dir, adoption).map_err(|error| error.to_string())
}

/// The places of the instances, the one first whose copies count.
fn preferred(instances: &[Arc<Instance>], wish: &Wish) -> Result<Vec<usize>, NotAdopted> {
    let mut places: Vec<usize> = (0..instances.len()).collect();
    if let Some(source) = &wish.source {
        let Some(place) = instances.iter().position(|instance| instance.name == *source) else {
            return Err(NotAdopted::Unusable(format!("there is no instance {source}")));
        };
        places.retain(|other| *other != place);
        places.insert(0, place);
    }
    Ok(places)
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.name)?;
        if (self.tenant.as_str(), self.database.as_str()) == (DEFAULT_TENANT, DEFAULT_DATABASE) {
            return Ok(());
        }
        write!(f, " in {}/{}", self.tenant, self.database)
    }
}
