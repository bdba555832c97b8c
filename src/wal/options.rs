//! The log's limits and times.

/// How large, how often and how long. Every queue and cache of the log has its bound here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// A segment file is closed and the next begun at about this size.
    pub segment_bytes: u64,
    /// A segment that lasts longer than this has the next one made ready beforehand.
    pub spare_after_ms: u64,
    /// A body of at least this length gets a file of its own, synced before the commit that names it.
    pub large_body_bytes: usize,
    /// One commit takes what waits, up to about this many bytes.
    pub batch_bytes: usize,
    /// Entries that may wait to be committed.
    pub queue_entries: usize,
    /// Bytes of bodies that may wait to be committed.
    pub queue_bytes: usize,
    /// Bytes of bodies of unfinished entries kept in memory; the rest is read back from the files.
    pub cache_bytes: usize,
    /// Bytes of bodies that the log may hold for entries that are not finished.
    pub max_bytes: u64,
    /// Memory that entries which are not finished may take, in bytes, here and in their lanes.
    pub max_memory_bytes: u64,
    /// Bytes that stay free on the disk: below this writes are refused, while outcomes are still recorded and a
    /// start still finds the room it needs.
    pub min_free_bytes: u64,
    /// The checkpoint follows the log at this pace ...
    pub checkpoint_ms: u64,
    /// ... or after this many records, whichever comes first; also the records of one transaction of it.
    pub checkpoint_records: u64,
    /// Records that the checkpoint may be behind before writes are refused: their transactions are in memory.
    pub max_unchecked_records: u64,
    /// A closed segment that is not finished after this time is folded, so that the next start is quick.
    pub fold_after_ms: u64,
    /// How long the outcome of a finished transaction can be asked for.
    pub keep_s: u64,
    /// How many finished transactions are kept at most.
    pub keep_transactions: u64,
    /// First pause before a log that failed is tried again; doubles ...
    pub retry_min_ms: u64,
    /// ... up to this.
    pub retry_max_ms: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            spare_after_ms: 1_000,
            large_body_bytes: 256 << 10,
            batch_bytes: 8 << 20,
            queue_entries: 20_000,
            queue_bytes: 256 << 20,
            cache_bytes: 64 << 20,
            max_bytes: 16 << 30,
            max_memory_bytes: 1 << 30,
            min_free_bytes: 64 << 20,
            checkpoint_ms: 1_000,
            checkpoint_records: 10_000,
            max_unchecked_records: 100_000,
            fold_after_ms: 10_000,
            keep_s: 86_400,
            keep_transactions: 1_000_000,
            retry_min_ms: 50,
            retry_max_ms: 2_000,
        }
    }
}
