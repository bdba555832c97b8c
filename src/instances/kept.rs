//! The catalog as each instance keeps it for us: what a gateway needs that lost its disk.
//!
//! It stands beside the marker, as documents of a few records that are written together. Public ids are nowhere else but in
//! our own log.

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::client::Instance;
use super::fence::Fence;
use super::marker::{self, Found, Marker, MarkerError};
use super::system;
use crate::catalog::{Catalog, SYSTEM};
use crate::chroma::ids::InstanceId;
use crate::chroma::path;

const VERSION: u32 = 1;
/// Records that hold the catalog are named by their place after this.
const PART: &str = "catalog-";
/// Characters of a part.
const PART_CHARS: usize = 200_000;
/// Parts that are read.
const MOST_PARTS: usize = 1_000;

/// The living part of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCatalog {
    version: u32,
    /// Those that were made.
    pub tenants: Vec<String>,
    /// Tenant, name and public id.
    pub databases: Vec<(String, String, Uuid)>,
    pub collections: Vec<KeptCollection>,
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCollection {
    /// The public id.
    pub id: Uuid,
    pub tenant: String,
    pub database: String,
    pub name: String,
    pub dimension: Option<u32>,
    /// Its id on the instance that keeps this.
    pub here: Option<Uuid>,
}

/// A kept catalog with what tells which of two is newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The epoch in which it was written, and how far the log reached.
    pub at: (u64, u64),
    pub catalog: KeptCatalog,
}

impl KeptCatalog {
    /// What an instance is to keep.
    #[must_use]
    pub fn of(catalog: &Catalog, instance: InstanceId) -> Self {
        let made = catalog.tenants().filter(|tenant| catalog.has_tenant(tenant));
        let databases = catalog.tenants().flat_map(|tenant| {
            let databases = catalog.databases(tenant);
            databases.map(|(name, id)| (tenant.to_owned(), name.to_owned(), Uuid::from_u128(id)))
        });
        let collections = catalog.all_living().into_iter().map(|known| KeptCollection {
            id: known.id.uuid(),
            tenant: known.tenant.clone(),
            database: known.database.clone(),
            name: known.name.clone(),
            dimension: known.dimension,
            here: known.real_ids.get(&instance).copied().map(Uuid::from_u128),
        });
        Self {
            version: VERSION,
            tenants: made.map(str::to_owned).collect(),
            databases: databases.collect(),
            collections: collections.collect(),
        }
    }
}

/// Has an instance keep a catalog, in the marker's collection; `signed` tells who writes, and when.
///
/// # Errors
/// [`MarkerError`] where the instance refuses, or gives no answer.
async fn store(
    instance: &Instance,
    collection: Uuid,
    signed: &Marker,
    catalog: &KeptCatalog,
) -> Result<(), MarkerError> {
    let parts = parts_of(&serde_json::to_string(catalog).unwrap_or_default());
    let names: Vec<String> = (0..parts.len()).map(|place| format!("{PART}{place}")).collect();
    let metadata = json!({ "epoch": signed.epoch, "lsn": signed.lsn, "parts": parts.len() });
    let body = json!({
        "ids": names,
        "embeddings": vec![[0.0]; parts.len()],
        "metadatas": vec![metadata; parts.len()],
        "documents": parts,
    });
    let to = format!("{}/upsert", path::collection(SYSTEM, SYSTEM, collection));
    let reply = instance.call(Method::POST, &to, body.to_string().into()).await?;
    if reply.is_success() { Ok(()) } else { Err(MarkerError::answer("keeping the catalog", &reply)) }
}

/// Has an instance of ours keep a catalog; false where we may not write there.
///
/// # Errors
/// [`MarkerError`] where the instance refuses, or gives no answer.
pub(super) async fn keep(
    instance: &Instance,
    fence: &Fence,
    catalog: &KeptCatalog,
) -> Result<bool, MarkerError> {
    let system = system::read(instance).await?;
    match system.marker {
        Some(collection) if fence.lets_write(instance).is_ok() => {
            store(instance, collection, &fence.sign(instance, 0), catalog).await.map(|()| true)
        }
        _ => Ok(false),
    }
}

/// What an instance holds of ours, for one that knows nothing yet.
#[derive(Debug)]
pub struct Seen {
    pub found: Found,
    /// The highest epoch; 0 where there is none.
    pub epoch: u64,
    pub kept: Option<Kept>,
}

/// Looks at an instance.
///
/// # Errors
/// [`MarkerError`] where the instance gives no usable answer.
pub async fn look(instance: &Instance) -> Result<Seen, MarkerError> {
    let system = system::read(instance).await?;
    let found = marker::read_in(instance, &system).await?;
    let kept = match system.marker {
        Some(collection) => load(instance, collection).await?,
        None => None,
    };
    let epoch = system.epochs.last().map_or(0, |epoch| epoch.number);
    Ok(Seen { found, epoch, kept })
}

/// The catalog that an instance keeps in the marker's collection; `None` where it keeps none that can be read.
///
/// # Errors
/// [`MarkerError`] where the instance gives no usable answer.
pub(super) async fn load(instance: &Instance, collection: Uuid) -> Result<Option<Kept>, MarkerError> {
    let Some((at, count, first)) = part(instance, collection, 0).await? else { return Ok(None) };
    let mut text = first;
    for place in 1..count.min(MOST_PARTS) {
        match part(instance, collection, place).await? {
            Some((written, _, part)) if written == at => text.push_str(&part),
            _ => return Ok(None),
        }
    }
    let catalog = serde_json::from_str(&text).ok().filter(|catalog: &KeptCatalog| catalog.version == VERSION);
    Ok(catalog.map(|catalog| Kept { at, catalog }))
}

type Part = ((u64, u64), usize, String);

async fn part(instance: &Instance, collection: Uuid, place: usize) -> Result<Option<Part>, MarkerError> {
    #[derive(Deserialize)]
    struct Head {
        epoch: u64,
        lsn: u64,
        parts: usize,
    }
    #[derive(Deserialize)]
    struct Got {
        documents: Vec<Option<String>>,
        metadatas: Vec<Option<Head>>,
    }
    let to = format!("{}/get", path::collection(SYSTEM, SYSTEM, collection));
    let body =
        json!({ "ids": [format!("{PART}{place}")], "include": ["documents", "metadatas"] }).to_string();
    let reply = instance.call(Method::POST, &to, Bytes::from(body)).await?;
    let got: Got = marker::parsed("reading the kept catalog", &reply)?;
    let (document, head) = (got.documents.into_iter().next(), got.metadatas.into_iter().next());
    Ok(document.flatten().zip(head.flatten()).map(|(text, head)| ((head.epoch, head.lsn), head.parts, text)))
}

fn parts_of(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(PART_CHARS).map(|part| part.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::change::CatalogChange;
    use crate::chroma::ids::CollectionId;

    #[test]
    fn what_an_instance_keeps_is_the_living_part_with_its_own_ids() {
        let mut catalog = Catalog::default();
        let (tenant, database) = ("t".to_owned(), "d".to_owned());
        catalog.apply(&CatalogChange::DatabaseCreated {
            tenant: tenant.clone(),
            database: database.clone(),
            id: 5,
        });
        for (id, name) in [(1, "one"), (2, "two")] {
            let (tenant, database) = (tenant.clone(), database.clone());
            let id = CollectionId(id);
            catalog.apply(&CatalogChange::CollectionCreated { id, tenant, database, name: name.to_owned() });
            catalog.apply(&CatalogChange::RealId { id, instance: InstanceId(1), real_id: id.0 + 10 });
        }
        catalog.apply(&CatalogChange::CollectionDropped { id: CollectionId(2) });
        let kept = KeptCatalog::of(&catalog, InstanceId(1));
        assert_eq!(kept.collections.len(), 1);
        assert_eq!(kept.collections[0].here, Some(Uuid::from_u128(11)));
        assert_eq!(KeptCatalog::of(&catalog, InstanceId(0)).collections[0].here, None);
        assert!(kept.databases.contains(&(tenant, database, Uuid::from_u128(5))));
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<KeptCatalog>(&text).unwrap(), kept);
    }

    #[test]
    fn a_long_text_is_parted_between_characters() {
        let text = "é".repeat(PART_CHARS + 1);
        let parts = parts_of(&text);
        assert_eq!((parts.len(), parts.concat()), (2, text));
    }
}
