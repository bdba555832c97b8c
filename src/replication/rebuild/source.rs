//! Whom the readings of a rebuild are taken from.

use super::{Phase, Rebuild};
use crate::chroma::ids::InstanceId;
use crate::replication::core::Core;
use crate::replication::event::{Errand, What};
use crate::replication::lane::{LaneAt, LaneState};
use crate::replication::step::Step;
use crate::wal::record::{Lane, Lsn, Op};

impl Core {
    /// Chooses a source for the next reading: one that may give it, preferably not the leader. It keeps its turn free from
    /// then on.
    pub(super) fn find_source(&mut self, key: &Lane, target: InstanceId) {
        let Some(lane) = self.lanes.get(key) else { return };
        let able = self.instance_ids().filter(|source| self.is_source(key, lane, *source, target));
        let rank = |source: &InstanceId| {
            let chosen = lane.at[target.index()].rebuild.as_ref().and_then(|rebuild| rebuild.source);
            (chosen != Some(*source), lane.leader == *source, *source)
        };
        let best = able.min_by_key(rank);
        if let Some(rebuild) = self.rebuild_of(key, target)
            && rebuild.source != best
        {
            rebuild.source = best;
            self.dirty.insert(key.clone());
        }
    }

    /// True where the lane on an instance is sound and far enough for the target's next reading.
    fn is_source(&self, key: &Lane, lane: &LaneState, source: InstanceId, target: InstanceId) -> bool {
        let (at, to) = (&lane.at[source.index()], &lane.at[target.index()]);
        let sound = self.is_up(source) && at.divergent.is_none() && !at.tainted && lane.dropped_at.is_none();
        let sound = sound && !self.holds_poison(key, source);
        let Some(rebuild) = to.rebuild.as_ref().filter(|_| sound && source != target) else { return false };
        // A position may lie between entries, so that a smaller one is as far.
        let far = match rebuild.phase {
            Phase::Listing => !lane.is_behind(source, to.applied) && !renamed_after(lane, at.applied),
            Phase::Copying | Phase::Putting => rebuild.from.is_some_and(|from| !lane.is_behind(source, from)),
            Phase::Comparing => !lane.is_behind(source, to.applied),
            _ => false,
        };
        far && self.real_id(key, source).is_some()
    }

    /// The turn of an instance in a lane that one of its targets wants; `None` where none does, or first something has
    /// to be settled there.
    pub(in crate::replication) fn source_step(&mut self, key: &Lane, source: InstanceId) -> Option<Step> {
        let Lane::Collection(id) = *key else { return None };
        let lane = self.lanes.get(key)?;
        let wants = |target: &InstanceId| {
            let rebuild = lane.at[target.index()].rebuild.as_ref();
            rebuild.is_some_and(|rebuild| rebuild.source == Some(source))
                && self.is_up(*target)
                && self.is_source(key, lane, source, *target)
        };
        let target = self.instance_ids().find(wants)?;
        let at = &lane.at[source.index()];
        if at.is_open() || at.stops_at.is_some() {
            return None;
        }
        if at.applied_durable != at.applied {
            self.hurry();
            return Some(Step::Wait);
        }
        let (applied, real_id) = (at.applied, self.catalog.real_id(id, source));
        let at = &mut self.lanes.get_mut(key)?.at[target.index()];
        let applied = applied.max(at.applied);
        let errand = read(at.rebuild.as_mut()?, applied);
        let from = at.rebuild.as_ref()?.from.unwrap_or_default();
        if errand == Errand::List {
            at.skip_to(applied);
        }
        let what = What::Rebuild { errand, id, target, from, real_id };
        Some(Step::Send { entries: Vec::new(), decided: false, what, probe_dimension: false })
    }
}

/// The reading that is due, at this position.
fn read(rebuild: &mut Rebuild, position: Lsn) -> Errand {
    rebuild.source = None;
    if rebuild.phase == Phase::Comparing {
        rebuild.digest = Some((position, None));
        return Errand::Compare;
    }
    rebuild.reading = true;
    if matches!(rebuild.phase, Phase::Copying | Phase::Putting) {
        rebuild.after = (rebuild.phase == Phase::Putting).then_some(rebuild.chunk.place);
        return Errand::Fetch { after: rebuild.after };
    }
    rebuild.from = Some(position);
    Errand::List
}

impl LaneAt {
    /// True while something that was sent, or may have been, is neither applied nor void.
    fn is_open(&self) -> bool {
        self.sent > self.applied
    }
}

/// True where a rename or a drop comes after a position.
fn renamed_after(lane: &LaneState, position: Lsn) -> bool {
    let moves = |op: &Op| matches!(op, Op::ModifyCollection { new_name: Some(_) } | Op::DropCollection);
    let mut others = lane.others_after(position).filter(|entry| !entry.is_cancelled());
    others.any(|entry| entry.other().is_some_and(moves))
}
