//! An instance that lost what it had acknowledged: every collection that it held is rebuilt there.

use crate::chroma::ids::InstanceId;
use crate::replication::core::Core;
use crate::replication::durable::Later;
use crate::replication::event::Action;
use crate::replication::lane::Divergence;
use crate::wal::record::{Lane, Lsn, Record};

/// How far an instance that lost its state has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::replication) enum Lost {
    /// It is out. What it was told before, and how it answered, counts no more.
    Noted { reason: String },
    /// That becomes durable.
    Saving,
    /// What is left on it is deleted, and our marker is prepared.
    Preparing,
}

impl Core {
    /// Notes that an instance lost its state.
    pub(in crate::replication) fn note_lost(&mut self, instance: InstanceId, reason: &str) {
        let state = &mut self.instances[instance.index()];
        if state.lost.is_none() {
            state.lost = Some(Lost::Noted { reason: reason.to_owned() });
        }
        self.heal_lost();
    }

    /// Begins to bring back the instances that lost their state, where each of their collections has another source.
    pub(in crate::replication) fn heal_lost(&mut self) {
        if !self.settings.rebuild {
            return;
        }
        for instance in self.instance_ids() {
            let state = &self.instances[instance.index()];
            let Some(Lost::Noted { reason }) = state.lost.clone() else { continue };
            if state.in_flight > 0 || !self.has_other_sources(instance) {
                continue;
            }
            self.instances[instance.index()].lost = Some(Lost::Saving);
            self.record(Record::Lost { instance, reason: reason.clone() }, Later::Lost { instance, reason });
        }
    }

    /// True where another instance can be the source of each living collection that an instance held. (I8)
    fn has_other_sources(&self, instance: InstanceId) -> bool {
        let held =
            self.catalog.all_known().filter(|known| !known.dropped && known.real_ids.contains_key(&instance));
        held.into_iter().all(|known| {
            let elsewhere = known.real_ids.keys().any(|other| *other != instance);
            elsewhere && self.has_other_source(&Lane::Collection(known.id), instance)
        })
    }

    /// The loss is durable.
    pub(in crate::replication) fn lost_durable(&mut self, instance: InstanceId, reason: &str) {
        for key in self.lanes_held_by(instance) {
            self.forget_rebuild(&key, instance);
            let next = Lsn(self.last.0 + 1);
            let at = &mut self.lane_entry(&key, next, false).at[instance.index()];
            at.divergent = Some(Divergence { reason: reason.to_owned(), durable: true });
            self.begin_rebuild(&key, instance);
            self.dirty.insert(key);
        }
        self.prepare(instance);
    }

    /// The lanes of the collections that an instance has, or had, a copy of.
    fn lanes_held_by(&self, instance: InstanceId) -> Vec<Lane> {
        let held = self.catalog.all_known().filter(|known| known.real_ids.contains_key(&instance));
        held.map(|known| Lane::Collection(known.id)).collect()
    }

    /// Asks for an empty server with our marker.
    pub(in crate::replication) fn prepare(&mut self, instance: InstanceId) {
        self.instances[instance.index()].lost = Some(Lost::Preparing);
        self.actions.push(Action::Prepare { instance });
    }

    /// An instance is empty and carries our marker; it is reported up as soon as it is.
    pub(in crate::replication) fn prepared(&mut self, instance: InstanceId) {
        self.instances[instance.index()].lost = None;
    }
}
