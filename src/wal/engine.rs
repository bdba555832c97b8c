//! What the log asks of a store: append a batch as a whole, and say after a failure what is there.

use bytes::Bytes;

use super::error::LogError;
use super::record::Lsn;

/// One record as it is stored.
#[derive(Clone, Debug)]
pub struct StampedRecord {
    /// Place among all records, from 1, without gaps.
    pub seq: u64,
    /// For entries.
    pub lsn: Option<Lsn>,
    /// Unix time of the commit's begin in milliseconds.
    pub at_ms: u64,
    /// The encoded record without its body.
    pub head: Vec<u8>,
    /// The body, where it is kept in the record.
    pub body: Option<Bytes>,
}

impl StampedRecord {
    /// Bytes that the record brings to the store, without the store's own overhead.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.head.len() + self.body.as_ref().map_or(0, Bytes::len)
    }
}

/// Checksum over a record's head and its place, so that a head cannot be taken for another's.
#[must_use]
pub fn head_crc(seq: u64, at_ms: u64, head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(&at_ms.to_le_bytes());
    hasher.update(head);
    hasher.finalize()
}

/// A store for records. One owner, the log's writer thread.
pub trait Engine: Send {
    /// Makes a batch durable as a whole and gives the number of the segment that holds it.
    ///
    /// # Errors
    /// After an error it is unknown whether the batch is there, and nothing is committed any more until
    /// [`settle`](Self::settle) and [`reopen`](Self::reopen) have succeeded.
    fn commit(&mut self, batch: &[StampedRecord]) -> Result<u64, LogError>;

    /// After a failed commit: finds out whether the batch is there, makes sure that it stays so, and
    /// gives the last record that is durable and the segment that holds it.
    ///
    /// # Errors
    /// The question is still open; ask again.
    fn settle(&mut self) -> Result<Settled, LogError>;

    /// Makes the store ready for commits again, in a new segment.
    ///
    /// # Errors
    /// It is not ready; try again.
    fn reopen(&mut self) -> Result<(), LogError>;
}

/// What a failed commit left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The last durable record; 0 when there is none.
    pub last_seq: u64,
    /// The segment in which the failed commit was made.
    pub segment: u64,
}
