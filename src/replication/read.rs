//! Which instances may serve a read (invariant I6).
//!
//! For a strong read an instance is eligible when it has applied, of the writes that the read can see, every one with a
//! committed verdict, and every one that had been sent to another instance before a strong answer of that instance
//! ended at a client: that answer may have shown it. On the instance that gave the answer itself what was visible stays
//! visible.
//!
//! Weaker reads are content with an instance that holds the collection and, for a bounded one, is not too far behind.
//! They may show what is still undecided, and that binds nobody: I6 speaks of what *strong* reads have shown. So
//! nothing is noted when they end, and a strong read of the same client may show less than a weak one before it.
//! Where no instance is good enough they wait as long as a strong read.
//!
//! A list of collections waits a moment for an instance with all writes of the database, and is content with the names
//! and the schema after that.

use std::collections::BTreeSet;

use super::core::{Availability, Core};
use super::event::{Action, Level, ReadId, ReadScope, RefusedRead};
use super::lag::{LOOKED_AT, Sight, is_within};
use super::lane::LaneState;
use super::pending::{Effect, Pending};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::{Lane, Lsn, Op};

/// How long a list of collections waits for an instance that shows the dimension and the metadata keys of each as of the
/// last write.
const LIST_WAIT_MS: u64 = 100;

/// A read that found no eligible instance yet.
#[derive(Clone, Debug)]
pub(super) struct WaitingRead {
    read: ReadId,
    scope: ReadScope,
    level: Level,
    since_ms: u64,
}

/// What may let a waiting read be served.
#[derive(Debug, Default)]
pub(super) struct Moved {
    lanes: BTreeSet<Lane>,
    everything: bool,
}

impl Moved {
    /// Something moved in these lanes.
    pub(super) fn lanes(&mut self, mut lanes: BTreeSet<Lane>) {
        self.lanes.append(&mut lanes);
    }

    /// An instance came or went, or time passed.
    pub(super) fn everything(&mut self) {
        self.everything = true;
    }
}

impl Core {
    /// Takes a new read.
    pub(super) fn read(&mut self, read: ReadId, scope: ReadScope, level: Level) {
        let waiting = WaitingRead { read, scope, level, since_ms: self.now_ms };
        if !self.serve(&waiting) {
            self.reads.push(waiting);
        }
    }

    /// Tries the waiting reads again, and refuses those that waited too long.
    pub(super) fn reconsider_reads(&mut self) {
        if self.reads.is_empty() {
            return;
        }
        let moved = std::mem::take(&mut self.moved);
        let reads = std::mem::take(&mut self.reads);
        self.reads = reads
            .into_iter()
            .filter(|waiting| !self.concerns(&moved, waiting) || !self.serve(waiting))
            .collect();
    }

    /// True where what moved may let a read be served.
    fn concerns(&self, moved: &Moved, waiting: &WaitingRead) -> bool {
        moved.everything
            || match &waiting.scope {
                ReadScope::Constant => false,
                ReadScope::Collection { id, .. } => moved.lanes.contains(&Lane::Collection(*id)),
                ReadScope::Database { .. } if !self.is_content(waiting) => !moved.lanes.is_empty(),
                // Of the entries only those that are no record writes count.
                ReadScope::Database { .. } => moved
                    .lanes
                    .iter()
                    .any(|key| self.lanes.get(key).is_none_or(|lane| !lane.others.is_empty())),
            }
    }

    /// Answers the read if that can be done now.
    fn serve(&mut self, waiting: &WaitingRead) -> bool {
        let (mut quiet, mut busy) = self.suitable(waiting, false);
        if quiet.is_empty() && busy.is_empty() && self.is_content(waiting) {
            (quiet, busy) = self.suitable(waiting, true);
        }
        if quiet.iter().chain(&busy).any(|instance| self.serves(*instance)) {
            // Those that are drained answer where nobody else can.
            quiet.retain(|instance| self.serves(*instance));
            busy.retain(|instance| self.serves(*instance));
        }
        let read = waiting.read;
        if !quiet.is_empty() || !busy.is_empty() {
            self.actions.push(Action::ReadFrom { read, quiet, busy });
            return true;
        }
        let hopeless =
            self.instances.iter().all(|instance| matches!(instance.availability, Availability::Down(_)));
        if hopeless || self.now_ms - waiting.since_ms >= self.settings.read_wait_ms {
            let reason = if hopeless { RefusedRead::NoInstance } else { RefusedRead::NotCaughtUp };
            self.actions.push(Action::ReadRefused { read, reason });
            return true;
        }
        false
    }

    /// True for a list of collections that has waited long enough for an instance with all record writes: where many lanes
    /// are written to and led by several instances there may never be one.
    fn is_content(&self, waiting: &WaitingRead) -> bool {
        matches!(waiting.scope, ReadScope::Database { .. })
            && self.now_ms - waiting.since_ms >= LIST_WAIT_MS.min(self.settings.read_wait_ms)
    }

    /// Those that may serve a read: with nothing undecided under way, and the rest. `schema_only` lets a list of
    /// collections show the dimension and the metadata keys of one later than the writes that made them.
    fn suitable(&self, waiting: &WaitingRead, schema_only: bool) -> (Vec<InstanceId>, Vec<InstanceId>) {
        let (mut quiet, mut busy) = (Vec::new(), Vec::new());
        for instance in self.instance_ids().filter(|instance| self.is_up(*instance)) {
            match self.suitability(&waiting.scope, waiting.level, schema_only, instance) {
                Suitability::Quiet => quiet.push(instance),
                Suitability::Busy => busy.push(instance),
                Suitability::Behind => {}
            }
        }
        (quiet, busy)
    }

    fn suitability(
        &self,
        scope: &ReadScope,
        level: Level,
        schema_only: bool,
        instance: InstanceId,
    ) -> Suitability {
        let sight = |ids, schema_only| Sight { ids, schema_only };
        match scope {
            ReadScope::Constant => Suitability::Quiet,
            ReadScope::Collection { id, .. } if self.is_missing(*id, instance) => Suitability::Behind,
            ReadScope::Collection { id, .. } if self.holds_poison(&Lane::Collection(*id), instance) => {
                Suitability::Behind
            }
            ReadScope::Collection { id, ids } => match self.lanes.get(&Lane::Collection(*id)) {
                Some(lane) => self.suitability_in(lane, level, instance, sight(ids.as_deref(), false)),
                None => Suitability::Quiet,
            },
            // For a strong list the creates that are not applied there tell the same.
            ReadScope::Database { tenant, database }
                if level != Level::Strong && self.misses_one_of(tenant, database, instance) =>
            {
                Suitability::Behind
            }
            ReadScope::Database { tenant, database } => {
                let mut worst = Suitability::Quiet;
                for lane in self.lanes_of(tenant, database) {
                    worst = worst.max(self.suitability_in(lane, level, instance, sight(None, schema_only)));
                    if worst == Suitability::Behind {
                        break;
                    }
                }
                worst
            }
        }
    }

    fn suitability_in(
        &self,
        lane: &LaneState,
        level: Level,
        instance: InstanceId,
        sight: Sight<'_>,
    ) -> Suitability {
        let at = &lane.at[instance.index()];
        if at.divergent.is_some() || at.tainted || at.rewound > at.applied {
            return Suitability::Behind;
        }
        let enough = match level {
            Level::Strong => return strong_suitability(lane, instance, sight),
            Level::Bounded { max_lag_ms } => is_within(lane, instance, sight, max_lag_ms, self.now_ms),
            Level::Any => true,
        };
        // What is undecided may be shown, so that a busy instance is as good as any.
        if enough { Suitability::Quiet } else { Suitability::Behind }
    }

    fn misses_one_of(&self, tenant: &str, database: &str, instance: InstanceId) -> bool {
        self.catalog.collections(tenant, database).any(|(_, id)| self.is_missing(id, instance))
    }

    /// True until the real id of a living collection there is durable: without it nobody can ask for it.
    fn is_missing(&self, id: CollectionId, instance: InstanceId) -> bool {
        self.catalog.living(id).is_some_and(|known| !known.real_ids.contains_key(&instance))
    }

    fn lanes_of(&self, tenant: &str, database: &str) -> impl Iterator<Item = &LaneState> {
        self.lanes
            .iter()
            .filter(move |(key, lane)| match key {
                Lane::Collection(id) => match self.catalog.known(*id) {
                    Some(known) => known.tenant == tenant && known.database == database,
                    None => lane.entries.front().is_some_and(|entry| {
                        matches!(entry.other(), Some(Op::CreateCollection { tenant: t, database: d, .. })
                        if t == tenant && d == database)
                    }),
                },
                Lane::Database { .. } | Lane::Tenant { .. } => false,
            })
            .map(|(_, lane)| lane)
    }

    /// Notes what an answer may have shown.
    pub(super) fn read_ended(&mut self, instance: InstanceId, scope: &ReadScope) {
        let see = |lane: &mut LaneState| {
            let at = &mut lane.at[instance.index()];
            at.seen = at.seen.max(at.sent);
        };
        match scope {
            ReadScope::Constant => {}
            ReadScope::Collection { id, .. } => {
                self.lanes.get_mut(&Lane::Collection(*id)).into_iter().for_each(see);
            }
            ReadScope::Database { .. } => self.lanes.values_mut().for_each(see),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Suitability {
    /// Nothing undecided is under way there.
    Quiet,
    Busy,
    /// Not eligible.
    Behind,
}

fn strong_suitability(lane: &LaneState, instance: InstanceId, sight: Sight<'_>) -> Suitability {
    let at = &lane.at[instance.index()];
    let others = lane.at.iter().enumerate().filter(|(index, _)| *index != instance.index());
    let seen_elsewhere = others.map(|(_, other)| other.seen).max().unwrap_or(Lsn(0));
    let last = lane.decided.max(seen_elsewhere);
    let lacks = |entry: &Pending| match entry.effect() {
        Effect::Void => false,
        Effect::Undecided if entry.lsn > seen_elsewhere => false,
        _ => sight.ids.is_none_or(|ids| entry.touches(ids)),
    };
    let behind = if sight.schema_only {
        let schema = lane.others_after(at.applied).filter(|entry| !entry.is(&Op::DeleteWhere));
        lacks_any(schema, last, lacks)
    } else {
        lacks_any(lane.entries.range(lane.index_after(at.applied)..), last, lacks)
    };
    match at.in_flight {
        _ if behind => Suitability::Behind,
        Some(_) if !at.in_flight_decided => Suitability::Busy,
        _ => Suitability::Quiet,
    }
}

/// True where one of the entries up to `last` is lacking, or they are too many to tell.
fn lacks_any<'a>(
    entries: impl Iterator<Item = &'a Pending>,
    last: Lsn,
    lacks: impl Fn(&Pending) -> bool,
) -> bool {
    let mut entries = entries.take_while(|entry| entry.lsn <= last);
    entries.by_ref().take(LOOKED_AT).any(lacks) || entries.next().is_some()
}
