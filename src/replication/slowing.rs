//! An instance that is up and falls behind further and further slows what is acknowledged, before its backlog fills the
//! log: beyond `write.max_lag_s` a committed write is answered when every instance that is up has applied it, or after a
//! delay. The delay grows while the lag does, stays while it shrinks, and goes when it is over. One that catches up after
//! it came back is behind, and its lag shrinks: it slows nobody.

use std::collections::BTreeSet;

use super::core::Core;
use super::event::Action;
use crate::chroma::ids::InstanceId;

/// Pause between looks at the lags.
const PAUSE_MS: u64 = 1_000;
/// The delay begins with this, and grows by half of itself and this.
const STEP_MS: u64 = 50;
/// The longest delay, and never more than this part of what a sender waits.
const LONGEST_MS: u64 = 5_000;
const SHARE_OF_TIMEOUT: u64 = 4;

/// How far the instances are behind, and what follows.
#[derive(Debug, Default)]
pub(super) struct Slowing {
    looked_at_ms: u64,
    /// By instance, at that time; none of those that are not up.
    lags_ms: Vec<Option<u64>>,
    pub delay_ms: u64,
    /// Because of this one.
    pub by: Option<InstanceId>,
    /// Those that slow nobody until they have caught up, as an operator wants it.
    released: BTreeSet<InstanceId>,
}

impl Core {
    /// An operator lets an instance lag until it has caught up.
    pub(super) fn let_lag(&mut self, instance: InstanceId) {
        self.slowing.released.insert(instance);
        if self.slowing.by == Some(instance) {
            self.slow_by(0, None);
        }
    }

    /// Looks how far the instances are behind, from time to time.
    pub(super) fn watch_lags(&mut self) {
        let limit_ms = self.settings.max_lag_ms;
        if self.now_ms < self.slowing.looked_at_ms + PAUSE_MS {
            return;
        }
        let lags_ms: Vec<Option<u64>> = self.instance_ids().map(|instance| self.lag_ms(instance)).collect();
        let is_over = |instance: InstanceId| limit_ms > 0 && lags_ms[instance.index()] > Some(limit_ms);
        self.slowing.released.retain(|instance| is_over(*instance));
        let before = std::mem::take(&mut self.slowing.lags_ms);
        let grows = |instance: InstanceId| {
            let before_ms = before.get(instance.index()).copied().flatten();
            before_ms.is_some() && lags_ms[instance.index()] >= before_ms
        };
        let over = self.instance_ids().filter(|one| is_over(*one) && !self.slowing.released.contains(one));
        let worst = over.max_by_key(|one| (grows(*one), lags_ms[one.index()]));
        let delay_ms = self.slowing.delay_ms;
        let longest_ms = LONGEST_MS.min(self.settings.write_timeout_ms / SHARE_OF_TIMEOUT);
        let next_ms = match worst {
            Some(one) if grows(one) => (delay_ms + delay_ms / 2 + STEP_MS).min(longest_ms),
            Some(_) => delay_ms,
            None => delay_ms / 2,
        };
        (self.slowing.looked_at_ms, self.slowing.lags_ms) = (self.now_ms, lags_ms);
        self.slow_by(next_ms, worst);
    }

    fn slow_by(&mut self, delay_ms: u64, by: Option<InstanceId>) {
        let by = if delay_ms == 0 { None } else { by.or(self.slowing.by) };
        if by.is_some() != self.slowing.by.is_some() {
            let lag_ms = by.and_then(|by| self.slowing.lags_ms.get(by.index()).copied().flatten());
            let lag_ms = lag_ms.unwrap_or_default();
            self.actions.push(Action::Slowed { by, lag_ms });
        }
        (self.slowing.delay_ms, self.slowing.by) = (delay_ms, by);
    }

    /// Age of the oldest committed write that an instance which is up has not applied. Of one that was decided before the
    /// start it is counted from there. `None` where it is not up.
    fn lag_ms(&self, instance: InstanceId) -> Option<u64> {
        if !self.is_up(instance) {
            return None;
        }
        let ages = self.lanes.values().filter_map(|lane| {
            let sound = lane.at[instance.index()].divergent.is_none();
            let oldest = lane.oldest_pending_at(instance).filter(|lsn| sound && *lsn <= lane.decided)?;
            Some(lane.ages.age_ms(oldest, self.now_ms).unwrap_or(self.now_ms))
        });
        Some(ages.max().unwrap_or(0))
    }
}
