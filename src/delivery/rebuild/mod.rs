//! The errands of a rebuild: see `docs/decisions/0008-rebuild.md`. Each can be repeated after any interruption.

mod compare;
mod read;
mod store;
mod target;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use uuid::Uuid;

use super::courier::{Courier, Halt};
use crate::chroma::ids::CollectionId;
use crate::replication::event::{Delivery, DeliveryOutcome, Errand, What};
use crate::wal::record::Answer;
pub use store::StoreError;
use store::{Store, TaskKey};

/// What rebuilds keep beside the core.
#[derive(Debug)]
pub struct Rebuilds {
    store: Arc<Store>,
    /// Chunks that were read and not yet added, by their place: two at most for each rebuild under way.
    fetched: Mutex<HashMap<TaskKey, BTreeMap<u64, Fetched>>>,
    /// Ids in a chunk.
    chunk_size: usize,
}

/// A chunk that was read: the answers of the source, which are the requests to the target.
type Fetched = Vec<Bytes>;

impl Rebuilds {
    /// Opens the store in the data directory. Chunks have this many ids.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be opened.
    pub fn open(dir: &Path, chunk_size: usize) -> Result<Self, StoreError> {
        Ok(Self { store: Arc::new(Store::open(dir)?), fetched: Mutex::default(), chunk_size })
    }

    /// Works with the store where blocking is allowed.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Halt> {
        let store = Arc::clone(&self.store);
        let worked = tokio::task::spawn_blocking(move || work(&store)).await;
        let detail = match worked {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(detail, "a rebuild can't go on; it is tried again");
        Err(DeliveryOutcome::NotExecuted { detail, refused: false })
    }

    fn fetched(&self) -> std::sync::MutexGuard<'_, HashMap<TaskKey, BTreeMap<u64, Fetched>>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an errand is about.
#[derive(Clone, Copy, Debug)]
struct Order {
    id: CollectionId,
    key: TaskKey,
    real_id: Option<Uuid>,
}

impl Order {
    /// The collection's id on the delivery's instance.
    fn real_id(&self) -> Result<Uuid, Halt> {
        let detail = || "the collection has no id there".to_owned();
        self.real_id.ok_or_else(|| DeliveryOutcome::StateLost { detail: detail() })
    }
}

impl Courier {
    /// Does an errand.
    pub(super) async fn errand(&self, delivery: &Delivery) -> Result<DeliveryOutcome, Halt> {
        let What::Rebuild { errand, id, target, from, real_id } = delivery.what else {
            return Err(DeliveryOutcome::NotExecuted { detail: "no errand".to_owned(), refused: false });
        };
        let key = TaskKey { collection: id, target, from };
        let order = Order { id, key, real_id: real_id.map(Uuid::from_u128) };
        match errand {
            Errand::PutAway => self.put_away(delivery, order).await,
            Errand::List => self.list(delivery, order).await,
            Errand::Create => self.create_copy(delivery, order).await,
            Errand::Fetch { after } => self.fetch(delivery, order, after).await,
            Errand::Put { place, .. } => self.put(delivery, order, place).await,
            Errand::Name => self.name(delivery, order).await,
            Errand::Compare => self.digest(delivery, order).await,
            Errand::Bury => self.bury(delivery, order).await,
            Errand::Clear => self.clear(delivery, order).await,
        }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn done(real_id: Option<Uuid>) -> DeliveryOutcome {
    let answer = Answer { status: 200, body: b"{}".to_vec() };
    DeliveryOutcome::Success { answer, real_id: real_id.map(|id| id.as_u128()) }
}

fn gone() -> Halt {
    DeliveryOutcome::TaskGone { detail: "the list of its ids is gone".to_owned() }
}

/// An answer of an instance that can't be used.
fn unusable(what: &str) -> Halt {
    DeliveryOutcome::NotExecuted { detail: format!("{what} can't be read"), refused: false }
}
