//! Copies of collections that are not what they should be, and what becomes of them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::handle::{Message, Replication};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::replication::event::Event;
use crate::wal::record::Lane;

/// Collections whose copies were made again, for those who want to look at them.
#[derive(Default)]
pub(super) struct Rebuilt {
    collections: Mutex<BTreeSet<CollectionId>>,
    some: Notify,
}

impl Rebuilt {
    pub(super) fn add(&self, collection: CollectionId) {
        self.collections().insert(collection);
        self.some.notify_one();
    }

    fn collections(&self) -> MutexGuard<'_, BTreeSet<CollectionId>> {
        self.collections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replication {
    /// Why a lane on an instance can't be brought to the verdicts, where it can't.
    pub async fn divergence(&self, lane: Lane, instance: InstanceId) -> Option<String> {
        self.ask(move |core| core.divergence(&lane, instance)).await.flatten()
    }

    /// Tells that an instance did not know, in answer to a read, a collection which the catalog says lives there.
    /// The instance is taken out, unless a drop explains it.
    pub async fn report_lost_state(&self, instance: InstanceId, collection: CollectionId, detail: String) {
        let explained = self.ask(move |core| core.explains_missing(collection)).await;
        if explained == Some(false) {
            self.send(Message::event(Event::StateLost { instance, collection, detail }));
        }
    }

    /// Tells that a copy of a collection can't be read any more. It is rebuilt, where another instance can be its source.
    pub fn report_broken_copy(
        &self,
        instance: InstanceId,
        collection: CollectionId,
        copy: u128,
        reason: String,
    ) {
        let copy = Some(copy);
        self.send(Message::event(Event::Distrust { instance, collection, copy, reason }));
    }

    /// Has those of the collections copied to an instance again that it holds and that have another source; gives their
    /// names.
    pub async fn rebuild(
        &self,
        instance: InstanceId,
        collections: Vec<CollectionId>,
        reason: &'static str,
    ) -> Vec<String> {
        let able = self.ask(move |core| core.rebuildable(instance, &collections)).await.unwrap_or_default();
        let begin = |(collection, name)| {
            self.distrust(instance, collection, reason);
            name
        };
        able.into_iter().map(begin).collect()
    }

    /// Has a collection copied again to those of the instances that hold it and that have another source, none of them
    /// from another one of them; gives these.
    pub async fn rebuild_on(
        &self,
        instances: Vec<InstanceId>,
        collection: CollectionId,
        reason: &str,
    ) -> Vec<InstanceId> {
        let able = self.ask(move |core| {
            let able = |instance: &InstanceId| !core.rebuildable(*instance, &[collection]).is_empty();
            instances.into_iter().filter(able).collect::<Vec<_>>()
        });
        let able = able.await.unwrap_or_default();
        // All are given up before any of them can be asked for records.
        for instance in &able {
            self.distrust(*instance, collection, reason);
        }
        able
    }

    fn distrust(&self, instance: InstanceId, collection: CollectionId, reason: &str) {
        let reason = reason.to_owned();
        self.send(Message::event(Event::Distrust { instance, collection, copy: None, reason }));
    }

    /// Waits until copies were made again; gives the collections, each once.
    pub async fn rebuilt(&self) -> BTreeSet<CollectionId> {
        loop {
            let found = self.rebuilt_so_far();
            if !found.is_empty() {
                return found;
            }
            self.shared.rebuilt.some.notified().await;
        }
    }

    /// The same without waiting.
    #[must_use]
    pub fn rebuilt_so_far(&self) -> BTreeSet<CollectionId> {
        std::mem::take(&mut self.shared.rebuilt.collections())
    }
}
