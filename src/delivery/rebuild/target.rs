//! What is done on the target. Collections have names of ours there until the copy is complete.

use std::time::{Duration, Instant};

use http::Method;
use uuid::Uuid;

use super::super::courier::{Courier, Halt, collection_path, records_path};
use super::{Order, done, gone, unusable};
use crate::chroma::answers::Asked;
use crate::chroma::ids::CollectionId;
use crate::chroma::{copies, path, requests, rewrite};
use crate::replication::event::{Delivery, DeliveryOutcome};
use crate::wal::record::{Lsn, RecordKind};

/// The longest pause after a chunk while clients are active.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Courier {
    /// Renames the old collection. Where an older one is kept already, this is a copy that was not completed: it goes.
    pub(super) async fn put_away(&self, delivery: &Delivery, order: Order) -> Result<DeliveryOutcome, Halt> {
        if let Some(real_id) = order.real_id {
            match self.rename(delivery, real_id, &copies::replaced(order.id)).await {
                Err(DeliveryOutcome::StateLost { .. }) | Ok(()) => {}
                Err(DeliveryOutcome::Rejected { .. }) => self.delete(delivery, real_id).await?,
                Err(halt) => return Err(halt),
            }
        }
        Ok(done(None))
    }

    /// Makes the copy, empty, with everything of the source that can be set at its birth.
    pub(super) async fn create_copy(
        &self,
        delivery: &Delivery,
        order: Order,
    ) -> Result<DeliveryOutcome, Halt> {
        let description = self.description(order).await?;
        let (tenant, database) = home(delivery)?;
        let name = copies::copy_name(order.id);
        let body =
            copies::create_copy_body(&name, &description).ok_or_else(|| unusable("the description"))?;
        let to = path::collections(tenant, database);
        // Left by an interruption, or still to be made: both may come before it.
        self.delete_named(delivery, &name).await?;
        let ask = || self.ask(delivery, Asked::CreateCollection, Method::POST, &to, body.clone().into());
        let created = match ask().await {
            Err(DeliveryOutcome::StateLost { .. }) => {
                self.make_database(delivery, tenant, database).await?;
                ask().await?
            }
            other => other?,
        };
        let real_id = rewrite::collection_id(&created.body).ok_or_else(|| unusable("what was created"))?;
        let dimension = rewrite::collection_name_and_dimension(description.as_bytes()).and_then(|(_, d)| d);
        if let Some(dimension) = dimension {
            let body = requests::fix_dimension_body(dimension).into();
            let to = records_path(real_id, RecordKind::Update);
            self.ask(delivery, Asked::Records, Method::POST, &to, body).await?;
        }
        Ok(done(Some(real_id)))
    }

    async fn make_database(&self, delivery: &Delivery, tenant: &str, database: &str) -> Result<(), Halt> {
        let steps = [
            (Asked::CreateTenant, "/api/v2/tenants".to_owned(), tenant),
            (Asked::CreateDatabase, path::databases(tenant), database),
        ];
        for (asked, to, name) in steps {
            let made = self.ask(delivery, asked, Method::POST, &to, requests::named_body(name).into()).await;
            match made {
                Ok(_) => {}
                Err(DeliveryOutcome::Rejected { answer, .. }) if answer.status == 409 => {}
                Err(halt) => return Err(halt),
            }
        }
        Ok(())
    }

    /// Adds the chunk that was read. While clients are active, a pause as long as that took follows.
    pub(super) async fn put(
        &self,
        delivery: &Delivery,
        order: Order,
        place: u64,
    ) -> Result<DeliveryOutcome, Halt> {
        let key = order.key;
        let fetched = self.rebuilds.fetched().get(&key).and_then(|chunks| chunks.get(&place)).cloned();
        let Some(bodies) = fetched else {
            let detail = "the chunk is to be read again".to_owned();
            return Err(DeliveryOutcome::NotExecuted { detail, refused: false });
        };
        let to = records_path(order.real_id()?, RecordKind::Add);
        let began = Instant::now();
        let before = self.reads_and_writes();
        for body in bodies {
            self.ask(delivery, Asked::Records, Method::POST, &to, body).await?;
        }
        if let Some(chunks) = self.rebuilds.fetched().get_mut(&key) {
            chunks.remove(&place);
        }
        self.rebuilds.with_store(move |store| store.done(key, place)).await?;
        if self.reads_and_writes() != before {
            tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE)).await;
        }
        Ok(done(None))
    }

    /// Gives the copy its name and its metadata.
    pub(super) async fn name(&self, delivery: &Delivery, order: Order) -> Result<DeliveryOutcome, Halt> {
        let description = self.description(order).await?;
        let real_id = order.real_id()?;
        let body = copies::name_copy_body(&description).ok_or_else(|| unusable("the description"))?;
        let to = collection_path(real_id);
        let ask = || self.ask(delivery, Asked::ModifyCollection, Method::PUT, &to, body.clone().into());
        match ask().await {
            Ok(_) => {}
            Err(DeliveryOutcome::Rejected { answer, .. }) if answer.status == 500 => {
                let (name, _) = rewrite::collection_name_and_dimension(description.as_bytes())
                    .ok_or_else(|| unusable("the description"))?;
                self.displace(delivery, &name, real_id, order.key.from).await?;
                ask().await?;
            }
            Err(halt) => return Err(halt),
        }
        Ok(done(None))
    }

    /// Renames what has a name that the catalog gives to the copy.
    async fn displace(&self, delivery: &Delivery, name: &str, own: Uuid, from: Lsn) -> Result<(), Halt> {
        let (tenant, database) = home(delivery)?;
        let by_name = path::collection_by_name(tenant, database, name);
        let found = self.ask(delivery, Asked::Read, Method::GET, &by_name, bytes::Bytes::new()).await?;
        let ghost = rewrite::collection_id(&found.body).filter(|id| *id != own);
        let ghost = ghost.ok_or_else(|| unusable("what has the collection's name"))?;
        let renamed_to = format!("isochrome-ghost-{from}-{}", ghost.simple());
        tracing::warn!(
            instance = self.instance(delivery).name,
            name,
            renamed_to,
            "a collection that Isochrome did not create has the name of a collection that is rebuilt; it was renamed"
        );
        self.rename(delivery, ghost, &renamed_to).await
    }

    /// Deletes the collection that the copy replaces.
    pub(super) async fn bury(&self, delivery: &Delivery, order: Order) -> Result<DeliveryOutcome, Halt> {
        self.delete_named(delivery, &copies::replaced(order.id)).await?;
        self.end(order).await?;
        Ok(done(None))
    }

    /// Deletes everything of a dropped collection.
    pub(super) async fn clear(&self, delivery: &Delivery, order: Order) -> Result<DeliveryOutcome, Halt> {
        if let Some(real_id) = order.real_id {
            self.delete(delivery, real_id).await?;
        }
        for name in [copies::replaced(order.id), copies::copy_name(order.id)] {
            self.delete_named(delivery, &name).await?;
        }
        self.end(order).await?;
        Ok(done(None))
    }

    async fn end(&self, order: Order) -> Result<(), Halt> {
        let (collection, target) = (order.key.collection, order.key.target);
        self.rebuilds.fetched().retain(|key, _| key.collection != collection || key.target != target);
        self.rebuilds.with_store(move |store| store.end(collection, target)).await
    }

    async fn description(&self, order: Order) -> Result<String, Halt> {
        self.rebuilds.with_store(move |store| store.description(order.key)).await?.ok_or_else(gone)
    }

    async fn rename(&self, delivery: &Delivery, id: Uuid, name: &str) -> Result<(), Halt> {
        let body = requests::rename_body(name).into();
        self.ask(delivery, Asked::ModifyCollection, Method::PUT, &collection_path(id), body).await.map(|_| ())
    }

    /// Deletes a collection by its id, by way of a name of its own; one that is gone is deleted.
    async fn delete(&self, delivery: &Delivery, id: Uuid) -> Result<(), Halt> {
        let name = copies::replaced(CollectionId(id.as_u128()));
        match self.rename(delivery, id, &name).await {
            Ok(()) | Err(DeliveryOutcome::StateLost { .. }) => self.delete_named(delivery, &name).await,
            Err(halt) => Err(halt),
        }
    }

    async fn delete_named(&self, delivery: &Delivery, name: &str) -> Result<(), Halt> {
        let (tenant, database) = home(delivery)?;
        let to = path::collection_by_name(tenant, database, name);
        match self.ask(delivery, Asked::DropCollection, Method::DELETE, &to, bytes::Bytes::new()).await {
            Ok(_) | Err(DeliveryOutcome::StateLost { .. }) => Ok(()),
            Err(halt) => Err(halt),
        }
    }

    /// Grows with what clients do.
    fn reads_and_writes(&self) -> u64 {
        let reads: u64 = self.instances.iter().map(|instance| instance.turns.reads().durations.count()).sum();
        reads + self.wal.stats().durable_lsn.0
    }
}

fn home(delivery: &Delivery) -> Result<(&str, &str), Halt> {
    let home = delivery.home.as_ref().map(|(tenant, database)| (tenant.as_str(), database.as_str()));
    home.ok_or_else(|| unusable("the database of the collection"))
}
