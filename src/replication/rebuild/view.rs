//! What operators see of rebuilds.

use serde::Serialize;

use super::{Phase, Rebuild};
use crate::chroma::ids::InstanceId;
use crate::replication::core::Core;
use crate::wal::record::Lane;

/// A rebuild at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct RebuildView {
    /// The collection's name.
    pub collection: String,
    /// Why the collection is rebuilt.
    pub reason: String,
    /// What is being done, in a word.
    pub phase: &'static str,
    /// Ids that were listed.
    pub ids: u64,
    /// Ids of them whose records are copied, or gone.
    pub copied: u64,
    /// Ids per second since it began, or since the start of the process.
    pub ids_per_s: Option<u64>,
    /// How long the copying will still take at that rate, in seconds.
    pub remaining_s: Option<u64>,
    /// Writes that came meanwhile, and are sent afterwards.
    pub pending: usize,
}

impl Core {
    /// The rebuilds of collections on an instance, those under way first.
    pub(in crate::replication) fn rebuild_views(&self, target: InstanceId) -> Vec<RebuildView> {
        let all = self.rebuilds.active.iter().chain(&self.rebuilds.waiting);
        let here = all.filter(|(instance, _)| *instance == target);
        here.filter_map(|(_, key)| self.rebuild_view(key, target)).collect()
    }

    fn rebuild_view(&self, key: &Lane, target: InstanceId) -> Option<RebuildView> {
        let Lane::Collection(id) = key else { return None };
        let lane = self.lanes.get(key)?;
        let at = &lane.at[target.index()];
        let rebuild = at.rebuild.as_ref()?;
        let took_ms = self.now_ms.saturating_sub(rebuild.since_ms).max(1);
        let done = rebuild.left_at_first.map(|first| first.saturating_sub(rebuild.left));
        let ids_per_s = done.map(|done| done * 1_000 / took_ms).filter(|rate| *rate > 0);
        Some(RebuildView {
            collection: self.catalog.known(*id).map_or_else(|| id.to_string(), |known| known.name.clone()),
            reason: at.divergent.as_ref().map(|divergence| divergence.reason.clone()).unwrap_or_default(),
            phase: rebuild.word(),
            ids: rebuild.ids,
            copied: rebuild.ids.saturating_sub(rebuild.left),
            ids_per_s,
            remaining_s: ids_per_s.map(|rate| rebuild.left.div_ceil(rate)),
            pending: if rebuild.from.is_some() { lane.pending_at(target) } else { 0 },
        })
    }
}

impl Rebuild {
    fn word(&self) -> &'static str {
        match self.phase {
            Phase::Waiting => "waiting",
            Phase::Listing => "listing",
            Phase::Saving | Phase::Creating | Phase::Copying | Phase::Putting | Phase::Naming => "copying",
            Phase::Following => "following",
            Phase::Comparing | Phase::Burying => "comparing",
        }
    }
}
