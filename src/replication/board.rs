//! What a reader may know without asking the core: a board that the core writes and every reader looks at.
//!
//! The core writes it at the end of each event, before any action of that event is performed. So a write stands on the
//! board before a byte of it goes to an instance, and before its sender is told anything. From that follows what
//! invariant I6 asks of a read that does not go through the core:
//!
//! 1. *At its start* the reader finds the lane at a position and the instances that are *current*: they have applied
//!    every entry up to that position, each by a durable verdict, and nothing is under way there. Every write that was
//!    acknowledged, and every write that an answer may have shown, is on the board by then; so each of these instances
//!    has it.
//! 2. *At its end*, with the whole answer in hand and before the last byte goes to the client, the reader looks again. If
//!    the lane still has the same position and the instance is still current, nothing was sent there before that
//!    moment that the answer could show: the answer is exactly the state at the position. Nobody has to be told.
//! 3. Else the answer may show a write that came meanwhile. Then the core is told that the read ends, before the last
//!    byte goes out, and other instances count as behind until they have what was sent to this one. A later reader
//!    finds that write on the board too, without current instances until it is decided, and takes the way through the
//!    core, behind that message.
//!
//! The same two looks make an answer fit to be kept: it is the answer at that position, wherever it came from, and may
//! be given again for as long as the board shows the position.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::event::ReadScope;
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::Lsn;

/// Parts of the board that are written apart from each other.
const SHARDS: usize = 16;

/// A set of instances. Those beyond the 64th are never in it, and so are read through the core only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instances(u64);

impl Instances {
    /// True where the instance is in the set.
    #[must_use]
    pub fn contains(self, instance: InstanceId) -> bool {
        Self::bit(instance) & self.0 != 0
    }

    /// True where nobody is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The instances, in order.
    pub fn iter(self) -> impl Iterator<Item = InstanceId> {
        let (mut left, mut next) = (self.0, 0_u8);
        std::iter::from_fn(move || {
            let skipped = left.trailing_zeros();
            left = left.checked_shr(skipped)? >> 1;
            let instance = InstanceId(next + u8::try_from(skipped).ok()?);
            next = instance.0 + 1;
            Some(instance)
        })
    }

    fn bit(instance: InstanceId) -> u64 {
        1_u64.checked_shl(u32::from(instance.0)).unwrap_or(0)
    }
}

impl FromIterator<InstanceId> for Instances {
    fn from_iter<T: IntoIterator<Item = InstanceId>>(instances: T) -> Self {
        Self(instances.into_iter().fold(0, |set, instance| set | Self::bit(instance)))
    }
}

/// Names a state of a collection. Where two are equal, so are all answers to one question about its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The last entry of the lane.
    position: Lsn,
    /// Grows when what instances answered before is not to be trusted.
    era: u64,
}

impl Stamp {
    /// The last entry of the lane; 0 where none came since the start.
    #[must_use]
    pub fn position(self) -> Lsn {
        self.position
    }
}

/// How a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub stamp: Stamp,
    /// The instances whose state of the lane is the one at the position. None while an entry is undecided.
    pub current: Instances,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    position: Lsn,
    current: Instances,
}

/// The board. It holds a line for each known collection.
#[derive(Debug, Default)]
pub struct Board {
    up: AtomicU64,
    serving: AtomicU64,
    era: AtomicU64,
    lines: [RwLock<HashMap<CollectionId, Line>>; SHARDS],
}

impl Board {
    /// How a lane stands; `None` for a collection that is not known.
    #[must_use]
    pub fn standing(&self, id: CollectionId) -> Option<Standing> {
        let era = self.era.load(Ordering::SeqCst);
        let line = self.read(id).get(&id).copied()?;
        Some(Standing { stamp: Stamp { position: line.position, era }, current: line.current })
    }

    /// The instances that take requests.
    #[must_use]
    pub fn up(&self) -> Instances {
        Instances(self.up.load(Ordering::SeqCst))
    }

    /// Those of them that readers are to ask: without the drained ones, where there are others.
    #[must_use]
    pub fn serving(&self) -> Instances {
        Instances(self.serving.load(Ordering::SeqCst))
    }

    /// Instances that may serve the read without the core's permission, with the state that they will show. Empty
    /// where the core must be asked.
    #[must_use]
    pub fn permit(&self, scope: &ReadScope) -> (Instances, Option<Stamp>) {
        match scope {
            ReadScope::Constant => (self.serving(), None),
            ReadScope::Collection { id, .. } => match self.standing(*id) {
                Some(standing) => (standing.current.and(self.serving()), Some(standing.stamp)),
                None => (Instances::default(), None),
            },
            ReadScope::Database { .. } => (Instances::default(), None),
        }
    }

    /// True where an answer that is in hand now, and was asked for when the lane had this stamp, shows exactly that
    /// state.
    #[must_use]
    pub fn confirms(&self, id: CollectionId, stamp: Stamp, instance: InstanceId) -> bool {
        let standing = self.standing(id);
        standing.is_some_and(|standing| standing.stamp == stamp && standing.current.contains(instance))
    }

    /// Writes a lane's line. Its position never goes back; `None` leaves it where it is.
    pub(super) fn write_line(&self, id: CollectionId, position: Option<Lsn>, current: Instances) {
        let mut lines = self.write(id);
        let line = lines.entry(id).or_insert(Line { position: Lsn(0), current });
        line.position = line.position.max(position.unwrap_or_default());
        line.current = current;
    }

    /// Nobody will ask for the collection again.
    pub(super) fn wipe_line(&self, id: CollectionId) {
        self.write(id).remove(&id);
    }

    pub(super) fn write_up(&self, up: Instances, serving: Instances) {
        self.serving.store(serving.0, Ordering::SeqCst);
        self.up.store(up.0, Ordering::SeqCst);
    }

    /// An instance turned out not to be what it seemed: no answer that came before is given again.
    pub fn distrust(&self) {
        self.era.fetch_add(1, Ordering::SeqCst);
    }

    fn shard(&self, id: CollectionId) -> &RwLock<HashMap<CollectionId, Line>> {
        let folded = (id.0 ^ (id.0 >> 64)) as usize;
        &self.lines[(folded ^ (folded >> 7)) % SHARDS]
    }

    fn read(&self, id: CollectionId) -> RwLockReadGuard<'_, HashMap<CollectionId, Line>> {
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, id: CollectionId) -> RwLockWriteGuard<'_, HashMap<CollectionId, Line>> {
        self.shard(id).write().unwrap_or_else(PoisonError::into_inner)
    }
}
