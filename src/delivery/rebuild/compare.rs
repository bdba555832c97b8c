//! What must be the same on source and target.

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::super::courier::{Courier, Halt};
use super::{Order, unusable};
use crate::replication::event::{Delivery, DeliveryOutcome};

impl Courier {
    /// A digest of the description, but for the ids of an instance's own, and of all ids in their order.
    pub(super) async fn digest(&self, delivery: &Delivery, order: Order) -> Result<DeliveryOutcome, Halt> {
        let described = self.describe(delivery, order.real_id()?).await?;
        let description = canonical(&described.body).ok_or_else(|| unusable("the description"))?;
        let ids = self.all_ids(delivery, order).await?;
        let mut digest = Xxh3::new();
        for text in std::iter::once(&description).chain(&ids) {
            digest.update(&(text.len() as u64).to_le_bytes());
            digest.update(text.as_bytes());
        }
        Ok(DeliveryOutcome::Digest(digest.digest128()))
    }
}

/// A description without what belongs to one instance. Chroma gives the members of objects in any order; here they come in
/// the order of their names.
fn canonical(description: &[u8]) -> Option<String> {
    let mut value: Value = serde_json::from_slice(description).ok()?;
    value.as_object_mut()?.remove("id");
    value.sort_all_objects();
    Some(value.to_string())
}
