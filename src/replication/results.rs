//! Answers that were given once and may be given again, for as long as their collection stands where it stood.
//!
//! An answer is kept with the stamp of the state that it shows, which only [`super::board::Board::confirms`] gives. It is
//! found again only under the stamp that the board shows at that moment. The board shows a write before its sender is
//! told anything and before any answer can show it; so what is found is what an instance with every such write would
//! answer, and a read of a kept answer takes effect at the moment when it looks at the board. It needs no instance, and
//! is given also while none is up.

use std::hash::{BuildHasherDefault, Hash};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};
use xxhash_rust::xxh3::Xxh3Default;

use super::board::Stamp;
use crate::chroma::ids::CollectionId;

/// An answer takes no more than this share of all ...
const LARGEST_SHARE: u64 = 16;
/// ... and no more than this.
const LARGEST_BYTES: u64 = 1 << 20;
/// What an answer costs beside its bytes and those of its question: measured keys, hashes, counts, and slack.
const OVERHEAD_BYTES: u64 = 256;
/// Answers are smaller than this, for the first guess of how many there will be.
const USUAL_BYTES: u64 = 4 << 10;
/// Parts that are locked apart from each other.
const SHARDS: usize = 8;

/// Bytes that something takes in memory.
pub trait Weight {
    /// The bytes.
    fn bytes(&self) -> u64;
}

type Weighed<Q, A> = Cache<(CollectionId, Q), Kept<A>, Weigh, BuildHasherDefault<Xxh3Default>>;

/// Kept answers `A` to questions `Q` about collections. The least useful go first when there are too many.
#[derive(Debug)]
pub struct Results<Q, A> {
    kept: Option<Weighed<Q, A>>,
    largest_bytes: u64,
}

#[derive(Clone, Debug)]
struct Kept<A> {
    stamp: Stamp,
    answer: A,
}

#[derive(Clone, Debug)]
struct Weigh;

impl<Q: Weight, A: Weight> Weighter<(CollectionId, Q), Kept<A>> for Weigh {
    fn weight(&self, question: &(CollectionId, Q), kept: &Kept<A>) -> u64 {
        weight(&question.1, &kept.answer)
    }
}

fn weight(question: &impl Weight, answer: &impl Weight) -> u64 {
    question.bytes() + answer.bytes() + OVERHEAD_BYTES
}

/// A question that is looked for without being taken apart from its sender.
#[derive(Hash)]
struct Asked<'a, Q>(CollectionId, &'a Q);

impl<Q: Eq> Equivalent<(CollectionId, Q)> for Asked<'_, Q> {
    fn equivalent(&self, key: &(CollectionId, Q)) -> bool {
        self.0 == key.0 && *self.1 == key.1
    }
}

impl<Q: Hash + Eq + Weight, A: Clone + Weight> Results<Q, A> {
    /// Keeps answers of so many bytes in all; none where that is 0.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let largest_bytes = (max_bytes / LARGEST_SHARE).min(LARGEST_BYTES);
        let count = usize::try_from(max_bytes / USUAL_BYTES).unwrap_or(usize::MAX).clamp(64, 1 << 16);
        let mut options = OptionsBuilder::new();
        options.shards(SHARDS).estimated_items_capacity(count).weight_capacity(max_bytes);
        let options = options.build().ok().filter(|_| max_bytes > 0);
        let kept = options.map(|options| {
            Cache::with_options(options, Weigh, BuildHasherDefault::default(), DefaultLifecycle::default())
        });
        Self { kept, largest_bytes }
    }

    /// True where answers are kept at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.kept.is_some()
    }

    /// The answer that shows the state with this stamp.
    #[must_use]
    pub fn find(&self, collection: CollectionId, question: &Q, stamp: Stamp) -> Option<A> {
        let kept = self.kept.as_ref()?.get(&Asked(collection, question))?;
        (kept.stamp == stamp).then_some(kept.answer)
    }

    /// Keeps an answer that shows the state with this stamp, in place of one that shows another; unless it is too large.
    pub fn keep(&self, collection: CollectionId, question: Q, stamp: Stamp, answer: A) {
        if let Some(kept) = &self.kept
            && weight(&question, &answer) <= self.largest_bytes
        {
            kept.insert((collection, question), Kept { stamp, answer });
        }
    }

    /// Bytes of all that is kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, Cache::weight)
    }

    /// Answers that are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept.as_ref().map_or(0, Cache::len)
    }
}
