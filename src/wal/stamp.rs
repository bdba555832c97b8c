//! Giving records their numbers and bytes.

use std::collections::VecDeque;

use super::codec::encode;
use super::engine::StampedRecord;
use super::error::LogError;
use super::queue::{Item, Pending};
use super::record::{Body, EntryHead, Lsn, Record};

/// The numbers that the next record and the next entry get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    pub seq: u64,
    pub lsn: Lsn,
}

/// What one commit brings: `records` are those of `items`, in order.
#[derive(Debug, Default)]
pub struct Batch {
    pub records: Vec<StampedRecord>,
    pub items: Vec<Item>,
    /// Some item is outcomes.
    pub has_records: bool,
}

impl Batch {
    /// True when there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn push(&mut self, item: Item, records: Vec<StampedRecord>) {
        self.has_records |= matches!(item, Item::Records(_));
        self.records.extend(records);
        self.items.push(item);
    }

    /// Parts a batch at the last durable record. Commits are atomic, so no item is ever cut.
    #[must_use]
    pub fn split(self, last_seq: u64) -> (Self, Self) {
        let (mut there, mut absent) = (Self::default(), Self::default());
        let mut records = self.records.into_iter();
        for item in self.items {
            let stamped: Vec<_> = records.by_ref().take(item.pending().len()).collect();
            let durable = stamped.iter().filter(|record| record.seq <= last_seq).count();
            assert!(durable == 0 || durable == stamped.len(), "a commit was not atomic");
            let part = if durable > 0 { &mut there } else { &mut absent };
            part.push(item, stamped);
        }
        (there, absent)
    }
}

/// Takes items from the front of the queue, up to about `max_bytes`, and stamps their records.
///
/// # Errors
/// A record cannot be encoded, which no record that fits into memory can cause.
pub fn stamp(
    queue: &mut VecDeque<Item>,
    first: Next,
    max_bytes: usize,
    at_ms: u64,
) -> Result<Batch, LogError> {
    let mut next = first;
    let mut batch = Batch::default();
    let mut bytes = 0;
    while bytes < max_bytes
        && let Some(mut item) = queue.pop_front()
    {
        let (records, after) = stamp_item(&mut item, next, at_ms)?;
        bytes += records.iter().map(StampedRecord::len_bytes).sum::<usize>();
        batch.push(item, records);
        next = after;
    }
    Ok(batch)
}

fn stamp_item(item: &mut Item, first: Next, at_ms: u64) -> Result<(Vec<StampedRecord>, Next), LogError> {
    let mut next = first;
    let (Item::Group(pending) | Item::Records(pending) | Item::Failed(pending, _)) = item;
    let mut records = Vec::with_capacity(pending.len());
    for Pending { record, body, .. } in pending {
        let mut stamped = StampedRecord { seq: next.seq, lsn: None, at_ms, head: Vec::new(), body: None };
        if let Record::Entry(entry) = record {
            entry.lsn = next.lsn;
            stamped.lsn = Some(next.lsn);
            stamped.body = matches!(entry.body, Body::Inline(_)).then(|| body.clone());
            next.lsn.0 += 1;
        }
        stamped.head = encode(record)?;
        records.push(stamped);
        next.seq += 1;
    }
    Ok((records, next))
}

impl Pending {
    /// The entry as it is told to the log's user.
    #[must_use]
    pub fn into_entry(self) -> Option<(Lsn, EntryHead, u64)> {
        match self.record {
            Record::Entry(entry) => Some((entry.lsn, entry.head, self.ticket)),
            _ => None,
        }
    }
}
