//! One collection on one instance is copied from another while it is in use: see `docs/decisions/0008-rebuild.md` for
//! the rule, and why the copy cannot differ.
//!
//! A lane that is divergent on an instance, durably, is rebuilt there. The instance is the *target*. Readings are taken
//! from a *source*, and take its turn in the lane: nothing of the lane is under way there meanwhile, and nothing that
//! was sent is open. What is to be done goes out as deliveries without entries ([`What::Rebuild`]), so that a loss of any
//! party is settled as it is for writes.
//!
//! | phase | waits for |
//! | --- | --- |
//! | `Waiting` | the old collection to be put away, and its turn among the rebuilds |
//! | `Listing` | a source to read the ids from |
//! | `Saving` | a step to be durable |
//! | `Creating`, `Copying`, `Naming` | these errands |
//! | `Putting` | a chunk to be added; the next one is read meanwhile |
//! | `Following` | the entries after the list, sent as to any instance |
//! | `Comparing` | a reading from a source and one from the target, at one position |
//! | `Burying` | the old collection to be deleted |

mod diverge;
mod ended;
mod lost;
mod names;
mod source;
mod view;

use std::collections::BTreeSet;

use super::core::Core;
use super::durable::Later;
use super::event::{Chunk, Errand, What};
use super::lane::LaneState;
use super::step::Step;
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::rebuild::{RebuildStep, Stage, StoredRebuild};
use crate::wal::record::{Lane, Lsn, Record};

pub(super) use lost::Lost;
pub use view::RebuildView;

/// What a rebuild waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Waiting,
    Listing,
    Saving,
    Creating,
    Copying,
    Putting,
    Naming,
    Following,
    Comparing,
    Burying,
}

/// The rebuild of a lane on an instance.
#[derive(Clone, Debug)]
pub struct Rebuild {
    pub phase: Phase,
    /// The old collection stands in the way of no name any more.
    pub put_away: bool,
    /// The ids are, or are being, listed as of this entry: those after it are kept for the target.
    pub from: Option<Lsn>,
    /// The collection's name at that entry.
    pub name: String,
    /// How many ids were listed, and how many of them are left to be copied.
    pub ids: u64,
    pub left: u64,
    /// What is being put, and what was read meanwhile to be put next.
    pub chunk: Chunk,
    pub ahead: Option<Chunk>,
    /// Whom the next reading is to be taken from.
    pub source: Option<InstanceId>,
    /// The ids, or a chunk, are being read; of a chunk, after which one it comes where that is being put.
    pub reading: bool,
    pub after: Option<u64>,
    /// The position of the comparison, and what the source has there.
    pub digest: Option<(Lsn, Option<u128>)>,
    /// When it began in this run.
    pub since_ms: u64,
    /// How many were left then.
    pub left_at_first: Option<u64>,
}

impl Rebuild {
    fn new(now_ms: u64) -> Self {
        Self {
            phase: Phase::Waiting,
            put_away: false,
            from: None,
            name: String::new(),
            ids: 0,
            left: 0,
            chunk: Chunk::default(),
            ahead: None,
            source: None,
            reading: false,
            after: None,
            digest: None,
            since_ms: now_ms,
            left_at_first: None,
        }
    }

    fn stored(stored: &StoredRebuild, now_ms: u64) -> Self {
        let phase = match stored.stage {
            Stage::Listed => Phase::Creating,
            Stage::Created => Phase::Copying,
            Stage::Copied => Phase::Following,
        };
        Self {
            phase,
            put_away: true,
            from: Some(stored.from),
            name: stored.name.clone(),
            ids: stored.ids,
            left: if stored.stage == Stage::Copied { 0 } else { stored.ids },
            ..Self::new(now_ms)
        }
    }

    /// Nothing after this entry may be applied on the target for now.
    pub(super) fn limit(&self) -> Option<Lsn> {
        self.digest.map(|(position, _)| position)
    }
}

/// Rebuilds by target.
#[derive(Debug, Default)]
pub(super) struct Rebuilds {
    /// Those that wait for their turn.
    waiting: BTreeSet<(InstanceId, Lane)>,
    active: BTreeSet<(InstanceId, Lane)>,
    /// Copies that may have a name there which others were given since.
    in_the_way: BTreeSet<(InstanceId, Lane)>,
}

impl Rebuilds {
    fn active_on(&self, target: InstanceId) -> usize {
        self.active.iter().filter(|(instance, _)| *instance == target).count()
    }

    fn remove(&mut self, target: InstanceId, key: &Lane) {
        let pair = (target, key.clone());
        self.waiting.remove(&pair);
        self.active.remove(&pair);
    }

    /// True where names on an instance are not to be given away yet.
    pub(super) fn block_names_on(&self, instance: InstanceId) -> bool {
        self.in_the_way.iter().any(|(target, _)| *target == instance)
    }

    /// All of their lanes.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.waiting.iter().chain(&self.active).map(|(_, key)| key)
    }

    pub(super) fn active_lanes(&self) -> impl Iterator<Item = &Lane> {
        self.active.iter().map(|(_, key)| key)
    }
}

impl Core {
    /// A divergence is durable: a collection is rebuilt, unless that is turned off.
    pub(super) fn begin_rebuild(&mut self, key: &Lane, target: InstanceId) {
        let now_ms = self.now_ms;
        let wanted = self.settings.rebuild && matches!(key, Lane::Collection(_));
        let Some(lane) = self.lanes.get_mut(key) else { return };
        // Of one that is gone, and whose drop is finished, nothing is known any more.
        let is_over = lane.dropped_at == Some(Lsn(0));
        let at = &mut lane.at[target.index()];
        if !wanted || is_over {
            self.clear_way(key, target);
        } else if at.given_up() && at.rebuild.is_none() {
            at.rebuild = Some(Box::new(Rebuild::new(now_ms)));
            self.rebuilds.waiting.insert((target, key.clone()));
            self.rebuilds.in_the_way.insert((target, key.clone()));
            self.dirty.insert(key.clone());
        }
    }

    /// Goes on with a rebuild that was under way before a restart.
    pub(super) fn resume_rebuild(&mut self, stored: &StoredRebuild) {
        let (now_ms, target) = (self.now_ms, stored.instance);
        let Some(at) = self.lanes.get_mut(&stored.lane).map(|lane| &mut lane.at[target.index()]) else {
            return;
        };
        if at.divergent.is_some() {
            at.rebuild = Some(Box::new(Rebuild::stored(stored, now_ms)));
            at.skip_to(stored.from);
            self.rebuilds.active.insert((target, stored.lane.clone()));
        }
    }

    /// It begins again from nothing, or ends, for another reason than success.
    pub(super) fn forget_rebuild(&mut self, key: &Lane, target: InstanceId) {
        self.rebuilds.remove(target, key);
        self.clear_way(key, target);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.at[target.index()].rebuild = None;
        }
        self.next_rebuild(target);
    }

    /// Lets those look again that wait for their turn.
    fn next_rebuild(&mut self, target: InstanceId) {
        let next = self.rebuilds.waiting.iter().filter(|(instance, _)| *instance == target);
        self.dirty.extend(next.take(self.settings.rebuild_lanes).map(|(_, key)| key.clone()));
    }

    pub(super) fn rebuild_of(&mut self, key: &Lane, target: InstanceId) -> Option<&mut Rebuild> {
        self.lanes.get_mut(key)?.at[target.index()].rebuild.as_deref_mut()
    }

    /// The next step on the target; `None` where it follows like any other instance.
    pub(super) fn target_step(&mut self, key: &Lane, target: InstanceId) -> Option<Step> {
        let Lane::Collection(id) = *key else { return Some(Step::Wait) };
        let has_copy = self.catalog.real_id(id, target).is_some();
        let lane = self.lanes.get(key)?;
        let at = &lane.at[target.index()];
        let Some(rebuild) = &at.rebuild else { return Some(Step::Wait) };
        let (phase, from) = (rebuild.phase, rebuild.from);
        let errand = |errand| Some(self.errand(id, target, from, errand));
        if phase == Phase::Saving {
            return Some(Step::Wait);
        }
        if lane.dropped_at.is_some_and(|dropped| dropped > Lsn(0)) {
            if self.catalog.known(id).is_some() {
                return errand(Errand::Clear);
            }
            // It had applied the drop before it lost its state.
            self.cleared(key, target);
            return Some(Step::Wait);
        }
        match phase {
            Phase::Waiting if has_copy && !rebuild.put_away => return errand(Errand::PutAway),
            Phase::Waiting => self.take_turn(key, target),
            Phase::Listing | Phase::Copying if rebuild.reading => {}
            Phase::Listing | Phase::Copying => self.find_source(key, target),
            Phase::Creating | Phase::Naming if !self.name_is_free(key, id, target) => {}
            Phase::Creating => return errand(Errand::Create),
            Phase::Putting => {
                let Chunk { place, records, .. } = rebuild.chunk;
                let put = errand(Errand::Put { place, records });
                if rebuild.ahead.is_none() && !rebuild.reading {
                    self.find_source(key, target);
                }
                return put;
            }
            Phase::Naming => return errand(Errand::Name),
            Phase::Following if lane.is_behind(target, lane.decided) => return None,
            Phase::Following | Phase::Comparing if at.applied_durable != at.applied => self.hurry(),
            Phase::Following => {
                self.go_to(key, target, Phase::Comparing);
                self.find_source(key, target);
            }
            Phase::Comparing => match rebuild.digest {
                None => self.find_source(key, target),
                Some((position, _)) if lane.is_behind(target, position) => return None,
                Some((_, Some(_))) => return errand(Errand::Compare),
                Some(_) => {}
            },
            Phase::Burying => return errand(Errand::Bury),
            Phase::Saving => {}
        }
        Some(Step::Wait)
    }

    fn errand(&self, id: CollectionId, target: InstanceId, from: Option<Lsn>, errand: Errand) -> Step {
        let from = from.unwrap_or_default();
        let what = What::Rebuild { errand, id, target, from, real_id: self.catalog.real_id(id, target) };
        // It is no write that could wait until others are decided.
        Step::Send { entries: Vec::new(), decided: false, what, probe_dimension: false }
    }

    /// Begins to list where not too many are under way.
    fn take_turn(&mut self, key: &Lane, target: InstanceId) {
        let free = self.rebuilds.active_on(target) < self.settings.rebuild_lanes;
        let Some(rebuild) = self.rebuild_of(key, target) else { return };
        // What never was there is out of the way.
        let newly = !std::mem::replace(&mut rebuild.put_away, true);
        if newly {
            self.out_of_the_way(key, target);
        }
        if free {
            self.go_to(key, target, Phase::Listing);
            self.rebuilds.waiting.remove(&(target, key.clone()));
            self.rebuilds.active.insert((target, key.clone()));
            self.dirty.insert(key.clone());
        }
    }

    /// The old collection has no name any more that others may want.
    fn out_of_the_way(&mut self, key: &Lane, target: InstanceId) {
        if let Some(rebuild) = self.rebuild_of(key, target) {
            rebuild.put_away = true;
        }
        self.clear_way(key, target);
        self.wake_dependents(key);
    }

    /// It stands in the way of no name.
    fn clear_way(&mut self, key: &Lane, target: InstanceId) {
        let stood = self.rebuilds.in_the_way.remove(&(target, key.clone()));
        if stood && !self.rebuilds.block_names_on(target) {
            self.touch_all_lanes();
        }
    }

    fn go_to(&mut self, key: &Lane, target: InstanceId, phase: Phase) {
        if let Some(rebuild) = self.rebuild_of(key, target) {
            (rebuild.phase, rebuild.source) = (phase, None);
            (rebuild.reading, rebuild.ahead, rebuild.digest) = (false, None, None);
        }
        self.dirty.insert(key.clone());
    }

    /// Makes a step durable; nothing more is done until it is.
    fn save_step(&mut self, key: &Lane, target: InstanceId, step: RebuildStep) {
        self.go_to(key, target, Phase::Saving);
        let later = Later::Rebuild { lane: key.clone(), instance: target, step: step.clone() };
        self.record(Record::Rebuild { lane: key.clone(), instance: target, step }, later);
    }

    fn is_saving(&self, key: &Lane, target: InstanceId) -> bool {
        let rebuild = self.lanes.get(key).and_then(|lane| lane.at[target.index()].rebuild.as_ref());
        rebuild.is_some_and(|rebuild| rebuild.phase == Phase::Saving)
    }

    /// A step is durable.
    pub(super) fn step_durable(&mut self, key: &Lane, target: InstanceId, step: &RebuildStep) {
        match step {
            RebuildStep::Listed { .. } => self.go_to(key, target, Phase::Creating),
            RebuildStep::Created { real_id } => {
                if let Lane::Collection(id) = key {
                    self.change_catalog(CatalogChange::RealId {
                        id: *id,
                        instance: target,
                        real_id: *real_id,
                    });
                }
                self.go_to(key, target, Phase::Copying);
            }
            RebuildStep::Copied => self.go_to(key, target, Phase::Following),
            // It may have been given up again since.
            RebuildStep::Ended { .. } if !self.is_saving(key, target) => {}
            RebuildStep::Ended { .. } => {
                self.forget_rebuild(key, target);
                self.bears_again(key, target);
                if let Some(lane) = self.lanes.get_mut(key) {
                    let at = &mut lane.at[target.index()];
                    // The copy got nothing else, and shows less than the old one did.
                    (at.sent, at.rewound) = (at.applied, at.rewound.max(at.seen));
                    (at.divergent, at.tainted, at.doubt, at.failures) = (None, false, false, 0);
                    at.saved(self.recorded_durable);
                }
                self.moved.everything();
                self.wake_dependents(key);
                self.dirty.insert(key.clone());
            }
        }
    }
}

impl LaneState {
    /// True while an entry up to a position is neither applied nor void on an instance.
    pub(super) fn is_behind(&self, instance: InstanceId, position: Lsn) -> bool {
        self.oldest_pending_at(instance).is_some_and(|oldest| oldest <= position)
    }
}
