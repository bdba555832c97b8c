//! Reads that do not ask the core: the board, and kept answers.

use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::replication::board::{Instances, Stamp};
use isochrome::replication::results::{Results, Weight};
use xxhash_rust::xxh3::xxh3_64;

use crate::history::{Look, Shown};
use crate::model::{RealId, Request};
use crate::world::World;

/// The answers that this run of Isochrome keeps.
pub(crate) type Answers = Results<Look, Shown>;

/// Few enough that some must go.
const KEPT_BYTES: u64 = 100_000;

impl Weight for Look {
    fn bytes(&self) -> u64 {
        64
    }
}

impl Weight for Shown {
    fn bytes(&self) -> u64 {
        match self {
            Self::Records(records) => 100 * records.len() as u64,
            Self::Description(..) | Self::Gone => 100,
        }
    }
}

/// The request for all records, or those with these ids.
pub(crate) fn get(collection: RealId, ids: Option<Vec<String>>) -> Request {
    Request::Get { collection, ids, filter: None, limit: None, offset: 0, embeddings: false }
}

/// What the core is told of ids.
pub(crate) fn hashes(ids: &[String]) -> Vec<u64> {
    let mut hashes: Vec<u64> = ids.iter().map(|id| xxh3_64(id.as_bytes())).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// A new run keeps nothing yet.
pub(crate) fn none() -> Answers {
    Answers::new(KEPT_BYTES)
}

impl World {
    /// The kept answer to a read that begins now.
    pub(crate) fn kept(&mut self, collection: RealId, look: &Look) -> Option<Shown> {
        let id = CollectionId(collection);
        let standing = self.core.as_ref()?.board().standing(id)?;
        let found = self.answers.find(id, look, standing.stamp)?;
        self.count("reads of kept answers");
        Some(found)
    }

    /// The instances that the board lets a read go to; none where the core must be asked.
    pub(crate) fn on_the_board(&mut self, collection: RealId) -> Option<(Vec<InstanceId>, Stamp)> {
        let board = self.core.as_ref()?.board();
        let standing = board.standing(CollectionId(collection))?;
        let current: Instances = standing.current.and(board.up());
        if current.is_empty() {
            return None;
        }
        self.count("reads by the board");
        Some((current.iter().collect(), standing.stamp))
    }

    /// A read that the board let go has its answer. True where nobody has to be told.
    pub(crate) fn is_confirmed(
        &mut self,
        (collection, look): (RealId, &Look),
        stamp: Stamp,
        instance: InstanceId,
        shown: &Shown,
    ) -> bool {
        let id = CollectionId(collection);
        let confirmed = self.core.as_ref().is_some_and(|core| core.board().confirms(id, stamp, instance));
        if confirmed {
            self.answers.keep(id, look.clone(), stamp, shown.clone());
        } else {
            self.count("reads by the board overtaken");
        }
        confirmed
    }

    /// Whoever is sent a write counts as current no more, so that a read notices it.
    pub(crate) fn check_board(&self, collection: RealId, instance: InstanceId) {
        let core = self.core.as_ref();
        let standing = core.and_then(|core| core.board().standing(CollectionId(collection)));
        let current = standing.is_some_and(|standing| standing.current.contains(instance));
        assert!(!current, "I6: {instance:?} is current on the board, and is sent a write of {collection}");
    }
}
