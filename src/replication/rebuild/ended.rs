//! What the end of an errand means for its rebuild.

use super::{Phase, Rebuild};
use crate::chroma::ids::InstanceId;
use crate::replication::core::{Core, InFlight};
use crate::replication::event::{Chunk, DeliveryOutcome, Errand, What};
use crate::wal::record::rebuild::RebuildStep;
use crate::wal::record::{Lane, Lsn};

impl Core {
    /// Takes the end of an errand.
    pub(in crate::replication) fn errand_ended(&mut self, ended: &InFlight, outcome: DeliveryOutcome) {
        let What::Rebuild { errand, target, from, .. } = ended.what else { return };
        self.dirty.insert(ended.lane.clone());
        let now_ms = self.now_ms;
        let Some(rebuild) = self.rebuild_of(&ended.lane, target) else { return };
        let is_reading = ended.instance != target;
        if !rebuild.waits_for(errand, from, is_reading) {
            return self.settle_only(ended, outcome);
        }
        match outcome {
            DeliveryOutcome::Listed { name, ids } => {
                (rebuild.name, rebuild.ids, rebuild.left) = (name.clone(), ids, ids);
                self.save_step(&ended.lane, target, RebuildStep::Listed { from, name, ids });
            }
            DeliveryOutcome::Chunk(chunk) => {
                if rebuild.left_at_first.is_none() {
                    (rebuild.left_at_first, rebuild.since_ms) = (Some(chunk.left), now_ms);
                }
                if rebuild.phase == Phase::Putting {
                    (rebuild.reading, rebuild.ahead) = (false, Some(chunk));
                } else {
                    self.take_chunk(&ended.lane, target, chunk);
                }
            }
            DeliveryOutcome::Digest(digest) => self.digested(ended, target, digest),
            DeliveryOutcome::Success { real_id, .. } => self.errand_done(ended, target, errand, real_id),
            DeliveryOutcome::TaskGone { detail } => self.rebuild_anew(&ended.lane, target, detail),
            DeliveryOutcome::NotExecuted { refused: false, .. } if matches!(errand, Errand::Put { .. }) => {
                self.go_to(&ended.lane, target, Phase::Copying);
                self.back_off(ended);
            }
            DeliveryOutcome::Rejected { ref answer, .. } if !is_reading => {
                self.back_off(ended);
                self.rebuild_anew(&ended.lane, target, format!("its copy can't be made: {answer:?}"));
            }
            DeliveryOutcome::StateLost { ref detail } | DeliveryOutcome::BrokenCopy { ref detail }
                if !is_reading =>
            {
                self.back_off(ended);
                self.rebuild_anew(&ended.lane, target, format!("its copy is gone: {detail}"));
            }
            other => {
                if is_reading {
                    rebuild.give_up_reading();
                }
                self.settle_only(ended, other);
            }
        }
    }

    /// Nothing waits for the errand any more, or it failed: what matters is what it tells of the instance.
    fn settle_only(&mut self, ended: &InFlight, outcome: DeliveryOutcome) {
        match outcome {
            DeliveryOutcome::NotExecuted { detail, refused: true } => self.recheck(ended.instance, detail),
            DeliveryOutcome::Doubt { detail, answer } => {
                if answer.is_some() {
                    self.back_off(ended);
                }
                self.recheck(ended.instance, detail);
            }
            DeliveryOutcome::DeadWriter { .. } => {
                self.back_off(ended);
                self.recheck(ended.instance, "its writer is dead".to_owned());
            }
            DeliveryOutcome::StateLost { detail } if !is_target(ended) => {
                self.lost_state(&ended.lane, ended.instance, detail);
            }
            DeliveryOutcome::BrokenCopy { detail } if !is_target(ended) => self.broken_copy(ended, detail),
            DeliveryOutcome::NotExecuted { .. }
            | DeliveryOutcome::Rejected { .. }
            | DeliveryOutcome::BrokenCopy { .. } => self.back_off(ended),
            _ => {}
        }
    }

    fn errand_done(&mut self, ended: &InFlight, target: InstanceId, errand: Errand, real_id: Option<u128>) {
        let key = &ended.lane;
        if let Some(at) = self.lanes.get_mut(key).map(|lane| &mut lane.at[target.index()]) {
            at.failures = 0;
        }
        match (errand, real_id) {
            (Errand::PutAway, _) => self.out_of_the_way(key, target),
            (Errand::Create, Some(real_id)) => {
                self.save_step(key, target, RebuildStep::Created { real_id });
            }
            (Errand::Put { .. }, _) => self.was_put(key, target),
            (Errand::Name, _) => self.save_step(key, target, RebuildStep::Copied),
            (Errand::Bury, _) => {
                let applied = self.lanes.get(key).map_or(Lsn(0), |lane| lane.at[target.index()].applied);
                self.save_step(key, target, RebuildStep::Ended { applied });
            }
            (Errand::Clear, _) => self.cleared(key, target),
            _ => {}
        }
    }

    /// A chunk was read and is the next to be put, or all are.
    fn take_chunk(&mut self, key: &Lane, target: InstanceId, chunk: Chunk) {
        let Some(rebuild) = self.rebuild_of(key, target) else { return };
        (rebuild.chunk, rebuild.left) = (chunk, chunk.left);
        self.go_to(key, target, if chunk.left == 0 { Phase::Naming } else { Phase::Putting });
    }

    /// A chunk is copied. The next one may be read, or is being read.
    fn was_put(&mut self, key: &Lane, target: InstanceId) {
        let Some(rebuild) = self.rebuild_of(key, target) else { return };
        match rebuild.ahead {
            Some(chunk) => self.take_chunk(key, target, chunk),
            None => rebuild.phase = Phase::Copying,
        }
    }

    /// Nothing is left of a dropped collection on the target.
    pub(super) fn cleared(&mut self, key: &Lane, target: InstanceId) {
        let Some(lane) = self.lanes.get(key) else { return };
        let Some(dropped) = lane.dropped_at else { return };
        // It may have got further before it lost its state.
        let applied = lane.at[target.index()].applied.max(dropped);
        let changes = self.schema_changes(key, target, dropped, false, None);
        self.applied(key, target, applied, Vec::new(), changes);
        self.save_step(key, target, RebuildStep::Ended { applied });
    }

    /// The source's digest waits for the target's; where both are there, they tell whether the copy is right.
    fn digested(&mut self, ended: &InFlight, target: InstanceId, digest: u128) {
        let Some(rebuild) = self.rebuild_of(&ended.lane, target) else { return };
        match rebuild.digest {
            Some((position, None)) if ended.instance != target => {
                rebuild.digest = Some((position, Some(digest)));
            }
            Some((_, Some(wanted))) if wanted == digest => {
                self.go_to(&ended.lane, target, Phase::Burying);
            }
            Some((position, Some(_))) => {
                self.back_off(ended);
                self.rebuild_anew(
                    &ended.lane,
                    target,
                    format!("its copy differs from its source at {position}"),
                );
            }
            _ => {}
        }
    }
}

/// True for an errand on the copy that is being made.
fn is_target(ended: &InFlight) -> bool {
    matches!(ended.what, What::Rebuild { target, .. } if target == ended.instance)
}

impl Rebuild {
    /// True where the errand is what the rebuild is about.
    fn waits_for(&self, errand: Errand, from: Lsn, is_reading: bool) -> bool {
        let phase = match errand {
            Errand::Clear => return self.phase != Phase::Saving,
            Errand::PutAway => Phase::Waiting,
            Errand::List => Phase::Listing,
            Errand::Create => Phase::Creating,
            // What is read ahead may come when its turn has come.
            Errand::Fetch { after } if self.phase == Phase::Putting && after == self.after => Phase::Putting,
            Errand::Fetch { after } if after != self.after => return false,
            Errand::Fetch { .. } => Phase::Copying,
            Errand::Put { place, .. } if place != self.chunk.place => return false,
            Errand::Put { .. } => Phase::Putting,
            Errand::Name => Phase::Naming,
            Errand::Compare => Phase::Comparing,
            Errand::Bury => Phase::Burying,
        };
        let asked = !is_reading || self.reading || errand == Errand::Compare;
        self.phase == phase && asked && (errand == Errand::PutAway || self.from == Some(from))
    }

    /// A reading failed; another source may be tried.
    fn give_up_reading(&mut self) {
        (self.reading, self.digest) = (false, None);
        if self.phase == Phase::Listing {
            self.from = None;
        }
    }
}
