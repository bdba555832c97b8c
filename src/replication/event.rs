//! The words between the core and its shell.

use std::sync::Arc;

use super::core::Settings;
use super::hold::{HoldId, NotHeld};
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::{CollectionId, InstanceId};
pub use crate::instances::reason::DownReason;
use crate::wal::record::duty::DutyChange;
use crate::wal::record::{Answer, EntryHead, Lane, Lsn, Record, RecordKind};

/// Names a delivery while it is under way. Never reused within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// Names a read while it asks for an instance. Chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// What the core is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// These writes are durable in the log; LSNs ascend. `waited_for` tells whose sender waits.
    Logged { entries: Vec<LoggedEntry> },
    /// A delivery ended.
    Delivered { delivery: DeliveryId, outcome: DeliveryOutcome },
    /// The first `upto` of all records that the core asked for are durable.
    Recorded { upto: u64 },
    /// The instance carries our marker and answered a canary write; the proof began after this many had been asked for
    /// by [`Action::Recheck`], so that every request lost before is settled.
    InstanceUp { instance: InstanceId, proof: u64 },
    /// The instance refuses, hangs or can't write.
    InstanceDown { instance: InstanceId, reason: DownReason },
    /// A client wants to read.
    Read { read: ReadId, scope: ReadScope, level: Level },
    /// A strong read that an instance answered is about to end at its client. Weaker reads are not told: what they
    /// showed binds no later read.
    ReadEnded { instance: InstanceId, scope: ReadScope },
    /// The sender of a write takes it back; answered by [`Action::Cancelled`] or [`Action::NotCancelled`].
    Cancel { lane: Lane, lsn: Lsn },
    /// Stop a lane on these instances, at one position, for at most so long; answered by [`Action::Held`] or
    /// [`Action::HoldEnded`].
    Hold { hold: HoldId, lane: Lane, instances: Vec<InstanceId>, for_ms: u64 },
    /// A hold is not needed any more.
    Release { hold: HoldId },
    /// An operator gives up a poisoned write: it is kept no longer.
    Discard { lsn: Lsn },
    /// The log has little room left. What instances that are down miss may be given up.
    LogFilling,
    /// An operator lets an instance lag until it has caught up: it slows no acknowledgements.
    LetLag { instance: InstanceId },
    /// An operator wants something else of the instances from now on.
    Duty { change: DutyChange },
    /// Something that is to be made durable and changes nothing here.
    Note { record: Record },
    /// An instance does not know, in answer to a read, a collection that the catalog says lives there.
    StateLost { instance: InstanceId, collection: CollectionId, detail: String },
    /// A collection on an instance is not to be trusted: it is rebuilt there, where another source is.
    /// `copy` is the real id of the copy that showed it: the news of one that was given up since is none. `None` where
    /// somebody wants it made again, whatever it is now.
    Distrust { instance: InstanceId, collection: CollectionId, copy: Option<u128>, reason: String },
    /// An instance that lost its state is empty, and carries our marker.
    Prepared { instance: InstanceId },
    /// Other times and limits are configured. The number of instances and the cluster stay as they are.
    Configured { settings: Box<Settings> },
    /// The time of [`Core::next_wake_ms`](super::core::Core::next_wake_ms) has come.
    Wake,
    /// Time passed.
    Tick,
}

/// A write that became durable.
#[derive(Clone, Debug)]
pub struct LoggedEntry {
    pub lsn: Lsn,
    pub head: EntryHead,
    /// True where a client waits for the answer.
    pub waited_for: bool,
}

/// What a read looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadScope {
    /// Records or description of one collection.
    Collection {
        id: CollectionId,
        /// Hashes of the ids, for a get by ids alone; then only writes of those count.
        ids: Option<Vec<u64>>,
    },
    /// Descriptions of all collections of a database.
    Database { tenant: String, database: String },
    /// Nothing that a write changes.
    Constant,
}

/// How fresh a read must be. Each level is content with whatever satisfies the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It sees every write acknowledged before it, and what strong reads before it saw (invariant I6).
    Strong,
    /// It sees at least every write committed this long, in milliseconds, before its instance was chosen.
    Bounded { max_lag_ms: u64 },
    /// It sees the collection as it was at some time.
    Any,
}

/// What the core wants done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this to an instance and report its end, however long that takes.
    Deliver(Delivery),
    /// Make this durable. Records are numbered from 1 in the order of these actions. One that may wait
    /// ([`Record::may_wait`]) can be held back until the next that may not, the next [`Event::Tick`] or [`Action::Hurry`].
    Record(Record),
    /// Something waits for the records so far: hold none of them back.
    Hurry,
    /// Answer the sender of this write.
    Answer { lsn: Lsn, reply: Reply },
    /// A write is cancelled, durably.
    Cancelled { lsn: Lsn },
    /// A write was withdrawn as poison, durably.
    Withdrawn { lsn: Lsn },
    /// A write can't be cancelled.
    NotCancelled { lsn: Lsn, why: NotCancelled },
    /// The lane stands still on the instances of the hold, which have applied everything up to the position.
    Held { hold: HoldId, position: Lsn },
    /// The hold can't be had, or ended before it was released.
    HoldEnded { hold: HoldId, why: NotHeld },
    /// The catalog changed, durably.
    Catalog(CatalogChange),
    /// Instances that may serve the read now, never empty. `quiet` ones have nothing undecided under way in the
    /// lane and are to be preferred, because a read there binds nobody else.
    ReadFrom { read: ReadId, quiet: Vec<InstanceId>, busy: Vec<InstanceId> },
    /// No instance could serve the read in time.
    ReadRefused { read: ReadId, reason: RefusedRead },
    /// Read the instance's marker and make a canary write, then report it up or down.
    /// `proof` counts the askings.
    Recheck { instance: InstanceId, proof: u64, why: String },
    /// The instance lost state: take it out.
    TakeOut { instance: InstanceId, why: String },
    /// The instance lost state, durably: delete what is left on it, make the databases of the catalog and our marker
    /// there, and tell by [`Event::Prepared`] before it is reported up.
    Prepare { instance: InstanceId },
    /// An operator wants the instance left alone, or not any more: while it rests nothing asks for it, not even a heartbeat.
    Rest { instance: InstanceId, rests: bool },
    /// The writes are applied or void everywhere: their space may go.
    Finished { lsns: Vec<Lsn> },
    /// An instance is down for so long that these many collections are copied to it again when it is back.
    Marked { instance: InstanceId, collections: usize },
    /// From now on this instance, that lags so much, slows acknowledgements; `None`: they are not slowed any more.
    Slowed { by: Option<InstanceId>, lag_ms: u64 },
}

/// Why a write can't be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCancelled {
    /// The core does not know it any more, or not yet.
    Unknown,
    /// There is a verdict, on disk or on its way there.
    Decided,
    /// It was in the log at the start, so that nobody knows whether it was sent.
    BeforeStart,
    /// It, or a part of it, was sent.
    Sent { instance: InstanceId },
    /// Another write was decided in view of it.
    ReliedUpon,
}

/// Why a read got no instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedRead {
    /// No instance is up.
    NoInstance,
    /// Those that are up have not caught up in time.
    NotCaughtUp,
}

/// What the sender of a write is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The verdict.
    Verdict(Answer),
    /// Taken back by its sender, by verdict.
    Cancelled(Answer),
    /// Logged, undecided, will be applied.
    Unknown,
    /// Withdrawn as poison, by verdict.
    Poisoned(Answer),
}

/// One delivery: the entries it carries and what is to be sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: DeliveryId,
    pub instance: InstanceId,
    pub lane: Lane,
    /// In order. One entry, except for a run.
    pub entries: Vec<Lsn>,
    pub what: What,
    /// True where an earlier try at this instance may have been executed.
    pub doubt: bool,
    /// True for suspects: the request goes to a scratch collection first, and only if the instance bears it there to
    /// the collection itself. Nothing else is under way at the instance meanwhile.
    pub rehearse: bool,
    /// True where a rejection may have fixed the dimension of a collection that has none, so that it must be read.
    pub probe_dimension: bool,
    /// Tenant and database of the collection, where its description is to be read: a description is only given
    /// under the right ones.
    pub home: Option<(String, String)>,
}

/// What a delivery sends. Real ids are those of the delivery's instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The bodies of the entries, joined.
    Records {
        kind: RecordKind,
        real_id: u128,
    },
    /// A delete by the ids that a predicate was resolved to.
    DeleteIds {
        ids: Arc<Vec<String>>,
        real_id: u128,
    },
    /// An update of an id that can't exist, with an embedding of this length.
    FixDimension {
        dimension: u32,
        real_id: u128,
    },
    /// Read the ids that the entry's predicate matches.
    Resolve {
        real_id: u128,
    },
    /// Read the description of an existing collection for a `get_or_create` that met it.
    Describe {
        id: CollectionId,
        real_id: u128,
    },
    CreateCollection {
        id: CollectionId,
        tenant: String,
        database: String,
        name: String,
    },
    ModifyCollection {
        real_id: u128,
    },
    /// Rename to a name made from the LSN, then delete that name.
    DropCollection {
        real_id: u128,
        tenant: String,
        database: String,
    },
    CreateDatabase {
        tenant: String,
        database: String,
    },
    DropDatabase {
        tenant: String,
        database: String,
    },
    CreateTenant {
        tenant: String,
    },
    /// An errand for the rebuild of a collection on `target`, whose list of ids stands for the entry `from`. It comes
    /// without entries. `real_id` is the id of the collection, or of the copy, on the delivery's instance, if it has one.
    Rebuild {
        errand: Errand,
        id: CollectionId,
        target: InstanceId,
        from: Lsn,
        real_id: Option<u128>,
    },
}

impl What {
    /// True where nothing is written that a lane's entries could meet.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        matches!(self, Self::Resolve { .. } | Self::Describe { .. } | Self::Rebuild { .. })
    }
}

/// What a rebuild needs to be done. Each can be repeated after any interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// On the target: rename the old collection to a name of ours.
    PutAway,
    /// On a source: read description and ids, and store them.
    List,
    /// On the target: make the empty copy, under a name of ours.
    Create,
    /// On a source: read the next chunk of records, if any are left: the first that is not copied, or the one after a chunk
    /// that is being put.
    Fetch { after: Option<u64> },
    /// On the target: add a chunk that was read.
    Put { place: u64, records: u64 },
    /// On the target: give the copy the name and the metadata of the list.
    Name,
    /// On a source or the target: read what must be the same on both.
    Compare,
    /// On the target: delete the old collection.
    Bury,
    /// On the target: delete all that belongs to a dropped collection.
    Clear,
}

/// A chunk of a rebuild's list whose records were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Its place in the list.
    pub place: u64,
    pub records: u64,
    /// Ids from it on that are not copied yet, with its own; 0 where there is no such chunk.
    pub left: u64,
}

/// How a delivery ended.
#[derive(Clone, Debug)]
pub enum DeliveryOutcome {
    /// 2xx for everything in it. `real_id` after a create.
    Success { answer: Answer, real_id: Option<u128> },
    /// The ids that the predicate matches, in the order of the collection.
    Ids(Vec<String>),
    /// A definite refusal. `dimension` is what the collection has afterwards, where it was to be read.
    Rejected { answer: Answer, dimension: Option<u32> },
    /// The instance does not know what the catalog says lives there.
    StateLost { detail: String },
    /// Certainly not executed. `refused` tells that no connection came about.
    NotExecuted { detail: String, refused: bool },
    /// The ids of a collection are stored: its name, and how many there are.
    Listed { name: String, ids: u64 },
    /// A chunk was read, or none is left.
    Chunk(Chunk),
    /// A digest of a collection's description and ids.
    Digest(u128),
    /// What was stored for a rebuild is gone.
    TaskGone { detail: String },
    /// The instance's writer is dead.
    DeadWriter { answer: Answer },
    /// It ended in the rehearsal, and nothing was sent to the collection itself. `answer` where the instance was shown
    /// to write before the request and not after it, or takes other writes and not this one; `None` where the
    /// connection was lost.
    Rehearsal { detail: String, answer: Option<Answer> },
    /// The instance's copy of the collection takes no reads and no writes any more. What was sent may be in its log.
    BrokenCopy { detail: String },
    /// Sent, and no definite answer. `answer` where the instance gave an indefinite one, `None` where the
    /// connection was lost.
    Doubt { detail: String, answer: Option<Answer> },
}
