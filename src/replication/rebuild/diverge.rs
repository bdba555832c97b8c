//! A lane on an instance is given up there: it contradicts the verdicts, or lacks what it should hold.

use crate::chroma::ids::{CollectionId, InstanceId};
use crate::replication::core::{Core, InFlight};
use crate::replication::durable::Later;
use crate::replication::event::{Action, DownReason};
use crate::replication::lane::Divergence;
use crate::replication::outcome::RETRY_MS;
use crate::wal::record::{Lane, Lsn, Record};

impl Core {
    /// An instance contradicts the verdicts: it serves the lane no more. The last one that could be a source stays. (I8)
    pub(in crate::replication) fn diverged(&mut self, key: &Lane, instance: InstanceId, reason: String) {
        if self.give_up(key, instance, reason) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.at[instance.index()].retry_at_ms = self.now_ms + RETRY_MS.1;
            self.retries.insert((self.now_ms + RETRY_MS.1, key.clone()));
        }
    }

    /// The instance lacks what the catalog says lives there. Where that is a collection with another source, it is
    /// rebuilt, and a proof tells whether more was lost; else nothing more is read or written there.
    pub(in crate::replication) fn lost_state(&mut self, key: &Lane, instance: InstanceId, why: String) {
        let is_collection = matches!(key, Lane::Collection(_));
        if is_collection && self.settings.rebuild && self.has_other_source(key, instance) {
            self.recheck(instance, why.clone());
            return self.rebuild_anew(key, instance, why);
        }
        self.instance_down(instance, DownReason::LostState);
        self.actions.push(Action::TakeOut { instance, why });
    }

    /// An answer to a read told that the instance lacks a collection.
    pub(in crate::replication) fn lacks(
        &mut self,
        instance: InstanceId,
        collection: CollectionId,
        why: String,
    ) {
        self.lost_state(&Lane::Collection(collection), instance, why);
    }

    /// A copy takes neither reads nor writes any more. What was sent there, if anything, is replaced with it.
    pub(in crate::replication) fn broken_copy(&mut self, ended: &InFlight, detail: String) {
        if let Some(lane) = self.lanes.get_mut(&ended.lane)
            && !ended.what.is_reading()
        {
            lane.at[ended.instance.index()].doubt = true;
        }
        self.diverged(&ended.lane, ended.instance, detail);
    }

    /// A collection is not to be trusted on an instance any more. Nothing happens where that is the last source.
    pub(in crate::replication) fn distrust(
        &mut self,
        instance: InstanceId,
        collection: CollectionId,
        copy: Option<u128>,
        reason: String,
    ) {
        let key = Lane::Collection(collection);
        let real_id =
            self.catalog.living(collection).and_then(|known| known.real_ids.get(&instance).copied());
        let is_out = self.lanes.get(&key).is_some_and(|lane| lane.at[instance.index()].divergent.is_some());
        let is_news = copy.is_none() || (copy == real_id && !is_out);
        if real_id.is_some() && is_news && self.has_other_source(&key, instance) {
            self.rebuild_anew(&key, instance, reason);
        }
    }

    /// Those of the collections that an instance holds and that can be rebuilt there, with their names.
    #[must_use]
    pub fn rebuildable(
        &self,
        instance: InstanceId,
        collections: &[CollectionId],
    ) -> Vec<(CollectionId, String)> {
        let living = collections.iter().filter_map(|id| self.catalog.living(*id));
        let able = living.filter(|known| {
            self.settings.rebuild
                && known.real_ids.contains_key(&instance)
                && self.has_other_source(&Lane::Collection(known.id), instance)
        });
        able.map(|known| (known.id, known.name.clone())).collect()
    }

    /// True where another instance could be the lane's source.
    pub(in crate::replication) fn has_other_source(&self, key: &Lane, instance: InstanceId) -> bool {
        let lane = self.lanes.get(key);
        let mut others = self.instance_ids().filter(|other| *other != instance);
        others.any(|other| {
            let sound = lane.is_none_or(|lane| lane.at[other.index()].divergent.is_none());
            sound && self.instances[other.index()].lost.is_none()
        })
    }

    /// An instance serves a lane no more, unless it is the last one that could be a source: then gives false. A copy that is
    /// under way there begins again.
    pub(in crate::replication) fn give_up(
        &mut self,
        key: &Lane,
        instance: InstanceId,
        reason: String,
    ) -> bool {
        let at = self.lanes.get(key).map(|lane| &lane.at[instance.index()]);
        let is_divergent = at.is_some_and(|at| at.divergent.is_some());
        let copies = at.is_some_and(|at| at.rebuild.as_ref().is_some_and(|rebuild| rebuild.from.is_some()));
        if !is_divergent && !self.has_other_source(key, instance) {
            self.board.distrust();
            return false;
        }
        if !is_divergent || copies {
            self.rebuild_anew(key, instance, reason);
        }
        true
    }

    /// The lane is divergent there, and rebuilt from the beginning.
    pub(super) fn rebuild_anew(&mut self, key: &Lane, instance: InstanceId, reason: String) {
        self.board.distrust();
        self.forget_rebuild(key, instance);
        if self.settings.rebuild && matches!(key, Lane::Collection(_)) {
            self.rebuilds.in_the_way.insert((instance, key.clone()));
        }
        let next = Lsn(self.last.0 + 1);
        let at = &mut self.lane_entry(key, next, false).at[instance.index()];
        at.divergent = Some(Divergence { reason: reason.clone(), durable: false });
        self.wake_dependents(key);
        self.dirty.insert(key.clone());
        let later = Later::Divergent { lane: key.clone(), instance };
        self.record(Record::Divergent { lane: key.clone(), instance, reason }, later);
    }
}
