//! What waits for the writer thread, and what it tells.

use std::sync::Mutex;

use bytes::Bytes;

use super::error::{AppendError, LogError};
use super::lock_unpoisoned;
use super::options::WalOptions;
use super::record::{Body, Entry, EntryHead, Lsn, Record};

/// A write to be logged. `body_bytes` of the head is set by the log.
#[derive(Clone, Debug)]
pub struct NewEntry {
    pub head: EntryHead,
    pub body: Bytes,
    /// The appender's own number for it; comes back in [`Committed`].
    pub ticket: u64,
}

/// What the writer thread tells, in commit order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// These entries are durable, in LSN order.
    Entries(Vec<(Lsn, EntryHead, u64)>),
    /// This many of the records handed to [`record`](super::Wal::record) are durable, counted from the start.
    Records { upto: u64 },
    /// A group was not logged, for certain.
    Refused { tickets: Vec<u64>, error: LogError },
    /// Commits fail. Entries are refused until [`Committed::Available`]; the fate of tickets under way
    /// that got no answer is open until then.
    Unavailable(LogError),
    /// Commits work again.
    Available,
}

/// One record on its way into the log.
#[derive(Debug)]
pub struct Pending {
    /// Its LSN, for an entry, is given by the writer.
    pub record: Record,
    pub body: Bytes,
    pub ticket: u64,
}

/// Records that are committed together or not at all.
#[derive(Debug)]
pub enum Item {
    /// Entries: refused when they cannot be committed.
    Group(Vec<Pending>),
    /// Outcomes: tried again until they are durable.
    Records(Vec<Pending>),
    /// A group whose large bodies could not be written.
    Failed(Vec<Pending>, LogError),
}

impl Item {
    /// A group; bodies are still to be placed.
    #[must_use]
    pub fn group(entries: Vec<NewEntry>) -> Self {
        Self::Group(entries.into_iter().map(Pending::entry).collect())
    }

    /// Outcomes.
    #[must_use]
    pub fn records(records: Vec<Record>) -> Self {
        let pending = |record| Pending { record, body: Bytes::new(), ticket: 0 };
        Self::Records(records.into_iter().map(pending).collect())
    }

    /// Its records.
    #[must_use]
    pub fn pending(&self) -> &[Pending] {
        match self {
            Self::Group(pending) | Self::Records(pending) | Self::Failed(pending, _) => pending,
        }
    }
}

impl Pending {
    fn entry(new: NewEntry) -> Self {
        let mut head = new.head;
        head.body_bytes = new.body.len() as u64;
        let entry = Entry { lsn: Lsn(0), head, body: Body::Inline(Vec::new()) };
        Self { record: Record::Entry(entry), body: new.body, ticket: new.ticket }
    }

    /// The name of its body file, where it has one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match &self.record {
            Record::Entry(Entry { body: Body::File { name, .. }, .. }) => Some(name),
            _ => None,
        }
    }
}

/// Sizes of a group.
#[must_use]
pub fn size(pending: &[Pending]) -> (usize, usize) {
    (pending.len(), pending.iter().map(|pending| pending.body.len()).sum())
}

/// How much waits, and whether more may come.
#[derive(Debug, Default)]
pub struct Admission {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: usize,
    bytes: usize,
    appended: u64,
    down: Option<LogError>,
}

impl Admission {
    /// Lets a group in, or says why not. A group larger than the queue is let in when nothing waits.
    pub fn enter(&self, pending: &[Pending], options: &WalOptions) -> Result<(), AppendError> {
        let (entries, bytes) = size(pending);
        let mut waiting = lock_unpoisoned(&self.waiting);
        if let Some(error) = &waiting.down {
            return Err(AppendError::Unavailable(error.clone()));
        }
        let full =
            waiting.entries + entries > options.queue_entries || waiting.bytes + bytes > options.queue_bytes;
        if full && waiting.entries > 0 {
            return Err(AppendError::QueueFull);
        }
        waiting.entries += entries;
        waiting.bytes += bytes;
        waiting.appended += entries as u64;
        Ok(())
    }

    /// A group is committed or refused.
    pub fn leave(&self, pending: &[Pending]) {
        let (entries, bytes) = size(pending);
        let mut waiting = lock_unpoisoned(&self.waiting);
        waiting.entries -= entries;
        waiting.bytes -= bytes;
    }

    /// Refuses everything from now on, or nothing any more.
    pub fn set_down(&self, error: Option<LogError>) {
        lock_unpoisoned(&self.waiting).down = error;
    }

    /// Entries and bytes that wait, entries let in since the start, and whether the log is available.
    #[must_use]
    pub fn figures(&self) -> (u64, u64, u64, bool) {
        let waiting = lock_unpoisoned(&self.waiting);
        (waiting.entries as u64, waiting.bytes as u64, waiting.appended, waiting.down.is_none())
    }
}
