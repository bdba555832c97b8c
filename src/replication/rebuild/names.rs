//! Who waits for whom about names, where a copy is made.

use crate::chroma::ids::{CollectionId, InstanceId};
use crate::replication::core::Core;
use crate::replication::lane::LaneAt;
use crate::replication::pending::{Effect, Pending};
use crate::wal::record::{Lane, Lsn};

impl LaneAt {
    /// True while what others do there must wait for entries of this lane as for those of any lane.
    pub(in crate::replication) fn holds_names(&self, lsn: Lsn, rebuilds: bool) -> bool {
        match (&self.divergent, &self.rebuild) {
            (None, _) => self.applied_durable < lsn,
            (Some(_), Some(rebuild)) if rebuild.from.is_some() => self.applied_durable < lsn,
            (Some(_), Some(rebuild)) => !rebuild.put_away,
            (Some(_), None) => rebuilds,
        }
    }

    /// True for an entry that does nothing to the copy that is being made there.
    fn is_untouched_by(&self, entry: Option<&Pending>) -> bool {
        let copied = self.rebuild.as_ref().is_some_and(|rebuild| rebuild.from.is_some());
        copied && entry.is_some_and(|entry| entry.effect() == Effect::Void)
    }
}

impl Core {
    /// True when entries of other lanes up to the list that give or take the name or its database are applied on the
    /// target.
    pub(super) fn name_is_free(&self, key: &Lane, id: CollectionId, target: InstanceId) -> bool {
        let rebuild = self.lanes.get(key).and_then(|lane| lane.at[target.index()].rebuild.as_ref());
        let (Some(rebuild), Some(known)) = (rebuild, self.catalog.known(id)) else { return false };
        let from = rebuild.from.unwrap_or_default();
        let before = self.schema.before(key, (&known.tenant, &known.database, &rebuild.name), from);
        before.into_iter().all(|lsn| self.is_past(lsn, target))
    }

    /// True where nothing on the instance has to wait for a schema entry any more.
    pub(in crate::replication) fn is_past(&self, lsn: Lsn, instance: InstanceId) -> bool {
        let Some(key) = self.schema.lane_of(lsn) else { return true };
        let rebuilds = self.settings.rebuild && matches!(key, Lane::Collection(_));
        self.lanes.get(key).is_none_or(|lane| {
            // A copy that is not trusted tells nothing of the verdict.
            let at = &lane.at[instance.index()];
            let past = !at.holds_names(lsn, rebuilds) && (at.divergent.is_none() || lane.decided >= lsn);
            past || at.is_untouched_by(lane.entry(lsn))
        })
    }
}
