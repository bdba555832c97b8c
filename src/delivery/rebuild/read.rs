//! Readings from a source. They take its turn in the lane, so that nothing of the collection changes there meanwhile.

use bytes::Bytes;
use http::Method;

use super::super::courier::{Courier, Halt, collection_path};
use super::store::Next;
use super::{Order, gone, unix_ms, unusable};
use crate::chroma::answers::Asked;
use crate::chroma::{copies, requests, rewrite};
use crate::replication::event::{Chunk, Delivery, DeliveryOutcome};

/// Ids in one page of a list.
const PAGE: usize = 100_000;
/// An answer larger than this is asked for in halves: the request that it becomes must fit into Chroma's 40 MiB.
const LARGEST_BYTES: usize = 32 << 20;

impl Courier {
    /// Reads the description and all ids, in order, and stores them.
    pub(super) async fn list(&self, delivery: &Delivery, order: Order) -> Result<DeliveryOutcome, Halt> {
        let real_id = order.real_id()?;
        let described = self.describe(delivery, real_id).await?;
        let Some((name, _)) = rewrite::collection_name_and_dimension(&described.body) else {
            return Err(unusable("the description of the collection"));
        };
        let description = String::from_utf8_lossy(&described.body).into_owned();
        let ids = self.all_ids(delivery, order).await?;
        let count = ids.len() as u64;
        let (source, target) =
            (&self.instance(delivery).name, &self.instances[order.key.target.index()].name);
        tracing::info!(
            collection = name,
            ids = count,
            source,
            target,
            "lists the ids of a collection that is rebuilt"
        );
        let chunk = self.rebuilds.chunk_size;
        self.rebuilds.with_store(move |store| store.begin(order.key, &description, &ids, chunk)).await?;
        Ok(DeliveryOutcome::Listed { name, ids: count })
    }

    /// All ids of the collection on the delivery's instance, in order.
    pub(super) async fn all_ids(&self, delivery: &Delivery, order: Order) -> Result<Vec<String>, Halt> {
        let to = format!("{}/get", collection_path(order.real_id()?));
        let mut ids: Vec<String> = Vec::new();
        loop {
            let body = copies::page_of_ids_body(PAGE, ids.len()).into();
            let page = self.ask(delivery, Asked::Read, Method::POST, &to, body).await?;
            let page = requests::parse_get_ids(&page.body).ok_or_else(|| unusable("a page of ids"))?;
            let last = page.len() < PAGE;
            ids.extend(page);
            if last {
                return Ok(ids);
            }
        }
    }

    /// Reads the next chunk that still has records, and holds it in memory: the first one, then no other is held any more,
    /// or the first after a place.
    pub(super) async fn fetch(
        &self,
        delivery: &Delivery,
        order: Order,
        after: Option<u64>,
    ) -> Result<DeliveryOutcome, Halt> {
        let key = order.key;
        if after.is_none() {
            self.rebuilds.fetched().remove(&key);
        }
        loop {
            let now_ms = unix_ms();
            let claimed = self.rebuilds.with_store(move |store| store.claim(key, after, now_ms)).await?;
            let chunk = match claimed {
                Next::Chunk(chunk) => chunk,
                Next::Nothing => return Ok(DeliveryOutcome::Chunk(Chunk::default())),
                Next::NoTask => return Err(gone()),
            };
            let (place, left) = (chunk.place, chunk.left);
            let (records, bodies) = self.records_of(delivery, order, chunk.ids).await?;
            if records > 0 {
                self.rebuilds.fetched().entry(key).or_default().insert(place, bodies);
                return Ok(DeliveryOutcome::Chunk(Chunk { place, records, left }));
            }
            self.rebuilds.with_store(move |store| store.done(key, place)).await?;
        }
    }

    /// The records of these ids that are there: how many, and the answers that hold them, in order.
    async fn records_of(
        &self,
        delivery: &Delivery,
        order: Order,
        ids: Vec<String>,
    ) -> Result<(u64, Vec<Bytes>), Halt> {
        let to = format!("{}/get", collection_path(order.real_id()?));
        let (mut records, mut bodies, mut parts) = (0, Vec::new(), vec![ids]);
        while let Some(mut ids) = parts.pop() {
            let body = copies::records_body(&ids).into();
            let reply = self.ask(delivery, Asked::Read, Method::POST, &to, body).await?;
            if reply.body.len() > LARGEST_BYTES && ids.len() > 1 {
                let second = ids.split_off(ids.len() / 2);
                parts.extend([second, ids]);
                continue;
            }
            let found = copies::count_records(&reply.body).ok_or_else(|| unusable("a chunk of records"))?;
            if found > 0 {
                records += found as u64;
                bodies.push(reply.body);
            }
        }
        Ok((records, bodies))
    }
}
