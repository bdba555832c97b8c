//! Which neighbouring writes share a request.

use super::core::Core;
use super::lane::LaneState;
use super::pending::{Effect, Pending};
use crate::chroma::ids::InstanceId;
use crate::wal::record::brief::Write;
use crate::wal::record::{Encoding, Lsn, RecordKind};

impl Core {
    /// The run that begins with `first` at an instance: neighbours of one kind and encoding, bounded by records,
    /// bytes and expected time. Ids may repeat inside, Chroma applies a request in order.
    pub(super) fn run(&self, lane: &LaneState, first: &Pending, instance: InstanceId) -> Vec<Lsn> {
        let mut entries = vec![first.lsn];
        let Some(write) = first.records() else {
            return entries;
        };
        if first.is_tried_alone() || !joinable(write, lane.dimension) {
            return entries;
        }
        let at = &lane.at[instance.index()];
        let unsaved = lane.index_after(at.applied_durable)..lane.index_after(at.applied);
        let mut room = Room {
            entries: at.split.unwrap_or(usize::MAX).saturating_sub(1),
            records: self.run_records(instance, write.kind).saturating_sub(write.count),
            bytes: self.settings.run_bytes.saturating_sub(write.body_bytes()),
        };
        let mut encoding = write.encoding;
        for entry in lane.entries.range(lane.index_after(first.lsn)..) {
            if first.effect() == Effect::Apply && entry.effect() == Effect::Void {
                continue;
            }
            let Some(next) = entry.records().filter(|_| !at.stops_before(entry.lsn)) else { break };
            let alike = next.kind == write.kind
                && entry.is_on_trial() == first.is_on_trial()
                && !entry.is_tried_alone()
                && entry.effect() == first.effect()
                && entry.is_decided() == first.is_decided()
                && joinable(next, lane.dimension);
            let Some(joined) = join(write.kind, encoding, next.encoding).filter(|_| alike) else {
                break;
            };
            let clear = !lane.entries.range(unsaved.clone()).any(|earlier| entry.conflicts(earlier));
            if !clear || entry.lsn > at.limit() || !room.take(next) {
                break;
            }
            encoding = joined;
            entries.push(entry.lsn);
        }
        entries
    }

    /// Records that the instance is expected to take within the time of a run.
    fn run_records(&self, instance: InstanceId, kind: RecordKind) -> u32 {
        let pace = self.instances[instance.index()].paces[kind as usize];
        pace.records_within(self.settings.run_ms).clamp(1, self.settings.run_records)
    }
}

/// What a run may still take.
struct Room {
    entries: usize,
    records: u32,
    bytes: u64,
}

impl Room {
    fn take(&mut self, write: &Write) -> bool {
        let fits = self.entries > 0 && self.records >= write.count && self.bytes >= write.body_bytes();
        if fits {
            self.entries -= 1;
            self.records -= write.count;
            self.bytes -= write.body_bytes();
        }
        fits
    }
}

/// True where the write can't be rejected, so that it may share a request. While the dimension is unset, a write with
/// embeddings goes alone: it may be the one that fixes it.
fn joinable(write: &Write, dimension: Option<u32>) -> bool {
    let fits = match write.encoding {
        Encoding::None => true,
        _ => dimension.is_some() && write.dimension() == dimension,
    };
    write.provable && write.count > 0 && fits
}

/// The encoding of a request that holds both, where Chroma takes both in one. Embeddings may be missing in updates only.
fn join(kind: RecordKind, one: Encoding, other: Encoding) -> Option<Encoding> {
    match (one, other) {
        _ if one == other => Some(one),
        (Encoding::None, some) | (some, Encoding::None) if kind == RecordKind::Update => Some(some),
        _ => None,
    }
}
