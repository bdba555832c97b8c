//! The core writes the board: see [`super::board`].

use std::sync::Arc;

use super::board::{Board, Instances};
use super::core::Core;
use super::lane::LaneState;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::Lane;

impl Core {
    /// The board that readers look at.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Every living collection gets a line; a lane without entries is at rest.
    pub(super) fn published(self) -> Self {
        for collection in self.catalog.all_living() {
            self.publish_lane(&Lane::Collection(collection.id));
        }
        self
    }

    /// Writes how a lane stands now.
    pub(super) fn publish_lane(&self, key: &Lane) {
        let Lane::Collection(id) = key else { return };
        let Some(lane) = self.lanes.get(key) else {
            match self.catalog.known(*id) {
                Some(_) => self.board.write_line(*id, None, self.holders(*id)),
                None => self.board.wipe_line(*id),
            }
            return;
        };
        let current = if lane.has_undecided() {
            Instances::default()
        } else {
            self.instance_ids().filter(|instance| is_current(lane, *instance)).collect()
        };
        let last = lane.entries.back().map(|entry| entry.lsn);
        self.board.write_line(*id, last, current.and(self.holders(*id)));
    }

    pub(super) fn publish_up(&self) {
        let up: Instances = self.instance_ids().filter(|instance| self.is_up(*instance)).collect();
        let serving: Instances = self.instance_ids().filter(|instance| self.serves(*instance)).collect();
        self.board.write_up(up, if serving.is_empty() { up } else { serving });
    }

    /// The instances on which the collection can be asked for.
    fn holders(&self, id: CollectionId) -> Instances {
        let known = self.catalog.known(id).into_iter();
        let holders = known.flat_map(|known| known.real_ids.keys().copied());
        holders.filter(|instance| !self.holds_poison(&Lane::Collection(id), *instance)).collect()
    }
}

/// True where the instance has applied every entry, and nothing can change there before another comes.
fn is_current(lane: &LaneState, instance: InstanceId) -> bool {
    let at = &lane.at[instance.index()];
    let applied = lane.entries.back().is_none_or(|last| at.applied >= last.lsn);
    let sound = at.divergent.is_none() && !at.tainted && !at.doubt;
    applied && sound && at.in_flight.is_none()
}
