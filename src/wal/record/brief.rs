//! Entries in brief: what ordering and coalescing need of them. Millions may wait in memory, so each is small.

use std::sync::Arc;

use super::{Encoding, EntryHead, Lane, Lsn, Op, RecordKind, RecordWrite, Verdict};

/// An entry in brief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    pub lsn: Lsn,
    /// Shared by the entries of a lane.
    pub lane: Arc<Lane>,
    pub work: Work,
}

impl Brief {
    /// The head of an entry, in brief.
    #[must_use]
    pub fn of(lsn: Lsn, head: EntryHead) -> Self {
        Self { lsn, lane: Arc::new(head.lane), work: Work::of(head.op, head.body_bytes) }
    }
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// add, upsert, update or delete by ids.
    Records(Write),
    /// Anything else; never [`Op::Records`].
    Other(Box<Op>),
}

impl Work {
    /// An operation with a body of this length.
    #[must_use]
    pub fn of(op: Op, body_bytes: u64) -> Self {
        match op {
            Op::Records(write) => Self::Records(Write::of(write, body_bytes)),
            other => Self::Other(Box::new(other)),
        }
    }
}

/// [`RecordWrite`] in little room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    ids: Ids,
    dimension: u32,
    /// Number of ids in the request, repeated ones counted.
    pub count: u32,
    body_bytes: u32,
    pub kind: RecordKind,
    pub encoding: Encoding,
    /// See [`RecordWrite::provable`].
    pub provable: bool,
}

/// Most writes have one id, which then needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ids {
    Any,
    One(u64),
    Many(Box<Box<[u64]>>),
}

/// Stands for no dimension; Chroma takes no vector of this length.
const NO_DIMENSION: u32 = u32::MAX;

impl Write {
    /// A record write with a body of this length.
    #[must_use]
    pub fn of(write: RecordWrite, body_bytes: u64) -> Self {
        let ids = match write.ids {
            None => Ids::Any,
            Some(ids) => match ids.as_slice() {
                [one] => Ids::One(*one),
                _ => Ids::Many(Box::new(ids.into_boxed_slice())),
            },
        };
        Self {
            ids,
            dimension: write.dimension.unwrap_or(NO_DIMENSION),
            count: write.count,
            // No body of 4 GiB fits into the log.
            body_bytes: u32::try_from(body_bytes).unwrap_or(u32::MAX),
            kind: write.kind,
            encoding: write.encoding,
            provable: write.provable,
        }
    }

    /// Sorted, distinct hashes of the ids; `None` counts as "all ids".
    #[must_use]
    pub fn ids(&self) -> Option<&[u64]> {
        match &self.ids {
            Ids::Any => None,
            Ids::One(id) => Some(std::slice::from_ref(id)),
            Ids::Many(ids) => Some(ids),
        }
    }

    /// Length of every embedding, where there is one and all agree.
    #[must_use]
    pub fn dimension(&self) -> Option<u32> {
        Some(self.dimension).filter(|dimension| *dimension != NO_DIMENSION)
    }

    /// Length of the body.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        u64::from(self.body_bytes)
    }
}

/// Memory that an unfinished entry takes: in the books of the log and in its lane, with what allocators round up.
pub const ENTRY_BYTES: u64 = 80;
/// What any entry but a record write takes beyond that: names, and who waits for whom.
const OTHER_BYTES: u64 = 512;
/// What an allocation costs beyond what it holds.
const ALLOCATION_BYTES: u64 = 16;

impl Op {
    /// Memory that an unfinished entry with this operation takes, about.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let ids = match self {
            Self::Records(write) => write.ids.as_ref().map_or(0, Vec::len) as u64,
            _ => return ENTRY_BYTES + OTHER_BYTES,
        };
        match ids {
            1 => ENTRY_BYTES,
            _ => ENTRY_BYTES + size_of::<Box<[u64]>>() as u64 + 2 * ALLOCATION_BYTES + 8 * ids,
        }
    }
}

/// What a verdict asks of an instance that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// To be applied.
    Committed,
    /// Nothing; it was answered as a success.
    Unchanged,
    /// Nothing; it was refused.
    Refused,
    /// Nothing but this dimension.
    FixesDimension(u32),
    /// Nothing; its sender took it back.
    Cancelled,
    /// Nothing; it was withdrawn as poison.
    Poisoned,
}

impl Verdict {
    /// The verdict without its answer.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        match self {
            Self::Committed(_) => Ruling::Committed,
            Self::Unchanged(_) => Ruling::Unchanged,
            Self::Cancelled(_) => Ruling::Cancelled,
            Self::Poisoned(_) => Ruling::Poisoned,
            Self::Rejected { fixes_dimension: None, .. } => Ruling::Refused,
            Self::Rejected { fixes_dimension: Some(dimension), .. } => Ruling::FixesDimension(*dimension),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(ids: Option<Vec<u64>>, dimension: Option<u32>) -> RecordWrite {
        let (kind, encoding) = (RecordKind::Upsert, Encoding::Base64);
        RecordWrite { kind, encoding, count: 3, dimension, ids, provable: true }
    }

    #[test]
    fn nothing_that_orders_writes_is_lost_in_brief() {
        for ids in [None, Some(vec![]), Some(vec![7]), Some(vec![7, 8, 9])] {
            for dimension in [None, Some(0), Some(384)] {
                let brief = Write::of(write(ids.clone(), dimension), 2_200);
                assert_eq!(brief.ids(), ids.as_deref());
                assert_eq!(brief.dimension(), dimension);
                assert_eq!((brief.body_bytes(), brief.count, brief.provable), (2_200, 3, true));
                assert_eq!((brief.kind, brief.encoding), (RecordKind::Upsert, Encoding::Base64));
            }
        }
    }

    #[test]
    fn a_write_of_one_id_needs_nothing_outside_of_48_bytes() {
        assert_eq!((size_of::<Brief>(), size_of::<Work>()), (48, 32));
        let memory_bytes = |ids: usize| Op::Records(write(Some(vec![7; ids]), Some(384))).memory_bytes();
        assert_eq!((memory_bytes(1), memory_bytes(100)), (80, 928));
    }
}
