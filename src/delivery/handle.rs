//! What the gateway and the operators' side see of replication.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::book::Book;
use super::copies::Rebuilt;
use super::hold::Wanted;
use super::measure::{RunView, Runs};
use crate::catalog::Catalog;
use crate::chroma::ids::InstanceId;
use crate::instances::client::Instance;
use crate::instances::fence::{Fence, Fenced};
use crate::instances::health::{Health, Watched};
use crate::metrics::HistogramView;
use crate::replication::board::{Board, Stamp};
use crate::replication::core::{Core, Settings};
use crate::replication::event::{Event, Level, NotCancelled, ReadId, ReadScope, RefusedRead, Reply};
use crate::replication::hold::HoldId;
use crate::replication::view::{CoreView, StateThere};
use crate::wal::record::{EntryHead, Lane, Lsn};
use crate::wal::{AppendError, Committed, LogError, NewEntry, StoredTransaction, Wal, WalStats};

/// A write to be logged.
#[derive(Clone, Debug)]
pub struct Submission {
    pub head: EntryHead,
    pub body: Bytes,
}

/// How far a write must come before its sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It is durable in the log.
    Logged,
    /// There is a verdict, or the sender has waited long enough for one.
    Answered,
}

/// What became of a submission.
#[derive(Clone, Debug)]
pub enum Written {
    /// Logged; what its sender is to be told.
    Logged { lsn: Lsn, reply: Reply },
    /// Logged, and its sender does not wait for more.
    Accepted { lsn: Lsn },
    /// Not logged, for certain, and why.
    NotLogged { reason: String },
    /// Not logged: too much is under way.
    Overloaded,
    /// We are stopping; logged or not, its sender can't be told.
    Stopping,
}

/// Instances that may serve a read, the better ones first.
#[derive(Clone, Debug)]
pub struct ReadPermit {
    /// Nothing undecided is under way there.
    pub quiet: Vec<InstanceId>,
    pub busy: Vec<InstanceId>,
    /// The state that the quiet ones show, where the core was not asked.
    pub stamp: Option<Stamp>,
}

/// What the core's owner task takes.
pub(super) enum Message {
    Event(Box<Event>),
    /// News from the log.
    Committed(Committed),
    /// A read that wants instances.
    Read {
        scope: ReadScope,
        level: Level,
        permit: oneshot::Sender<Result<ReadPermit, RefusedRead>>,
    },
    /// A sender takes its write back.
    Cancel {
        lane: Lane,
        lsn: Lsn,
        done: oneshot::Sender<Result<(), NotCancelled>>,
    },
    /// Someone wants a lane to stand still.
    Hold(Wanted),
    /// A hold is not needed any more; `intact` takes whether it had lasted.
    Release {
        hold: HoldId,
        intact: Option<oneshot::Sender<bool>>,
    },
    /// A look at the core.
    Ask(Box<dyn FnOnce(&Core) + Send>),
    /// Give up what is under way, and end; answered when that is done.
    Stop(oneshot::Sender<()>),
}

impl Message {
    pub(super) fn event(event: Event) -> Self {
        Self::Event(Box::new(event))
    }
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Replication {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub messages: mpsc::UnboundedSender<Message>,
    pub catalog: Arc<Book>,
    pub board: Arc<Board>,
    pub instances: Vec<Arc<Instance>>,
    pub next_ticket: AtomicU64,
    /// Who waits for which submission to be logged.
    pub tickets: Mutex<HashMap<u64, Ticket>>,
    pub wal: Arc<Wal>,
    pub watched: Vec<Arc<Watched>>,
    pub runs: Runs,
    pub fence: Arc<Fence>,
    pub rebuilt: Rebuilt,
}

/// The sender of a submission, and what it waits for.
pub(super) struct Ticket {
    pub sender: oneshot::Sender<Written>,
    pub until: Until,
}

impl Shared {
    pub(super) fn tickets(&self) -> MutexGuard<'_, HashMap<u64, Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replication {
    /// The instances, by id.
    #[must_use]
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.shared.instances
    }

    /// The instance of this name.
    #[must_use]
    pub fn instance_named(&self, name: &str) -> Option<&Arc<Instance>> {
        self.instances().iter().find(|instance| instance.name == name)
    }

    /// The epochs of this process.
    #[must_use]
    pub fn fence(&self) -> &Fence {
        &self.shared.fence
    }

    /// Why nothing is written or read any more; `None` while it is.
    #[must_use]
    pub fn fenced(&self) -> Option<Fenced> {
        self.shared.fence.fenced()
    }

    /// A look at the catalog as of the last durable verdict. Keep it short: writers of the catalog wait.
    pub fn with_catalog<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        look(&self.shared.catalog.read())
    }

    /// Logs the submissions as one group, in order, and waits for what the sender of the last one is to be told. The
    /// writes go on whether or not the caller waits.
    pub async fn write(&self, group: Vec<Submission>, until: Until) -> Written {
        let (sender, written) = oneshot::channel();
        let mut sender = Some(sender);
        let last = group.len().saturating_sub(1);
        let mut own_ticket = None;
        let entries = group.into_iter().enumerate().map(|(place, submission)| {
            let ticket = self.ticket();
            if place == last
                && let Some(sender) = sender.take()
            {
                own_ticket = Some(ticket);
                self.shared.tickets().insert(ticket, Ticket { sender, until });
            }
            NewEntry { head: submission.head, body: submission.body, ticket }
        });
        let entries: Vec<NewEntry> = entries.collect();
        if let Err(error) = self.shared.wal.append(entries) {
            if let Some(ticket) = own_ticket {
                self.shared.tickets().remove(&ticket);
            }
            return match error {
                AppendError::QueueFull => Written::Overloaded,
                other => Written::NotLogged { reason: other.to_string() },
            };
        }
        written.await.unwrap_or(Written::Stopping)
    }

    /// What the store knows of a transaction.
    ///
    /// # Errors
    /// [`LogError`] where the store can't be read.
    pub async fn transaction(&self, id: &str) -> Result<Option<StoredTransaction>, LogError> {
        let (wal, id) = (Arc::clone(&self.shared.wal), id.to_owned());
        let looked_up = tokio::task::spawn_blocking(move || wal.transaction(&id)).await;
        looked_up.unwrap_or_else(|error| Err(LogError::Storage(error.to_string())))
    }

    /// Takes other times and limits: the core's, the log's `keep_s`, and the pause between heartbeats.
    pub fn configure(&self, settings: Settings, keep_s: u64, heartbeat_pause: Duration) {
        self.shared.wal.set_keep_s(keep_s);
        self.shared.watched.iter().for_each(|watched| watched.set_pause(heartbeat_pause));
        self.send(Message::event(Event::Configured { settings: Box::new(settings) }));
    }

    /// Deliveries so far.
    #[must_use]
    pub fn runs(&self) -> Vec<RunView> {
        self.shared.runs.view()
    }

    /// Takes a write back, durably, where none of it was sent to an instance.
    ///
    /// # Errors
    /// [`NotCancelled`] tells why it stands.
    pub async fn cancel(&self, lane: Lane, lsn: Lsn) -> Result<(), NotCancelled> {
        let (done, cancelled) = oneshot::channel();
        self.send(Message::Cancel { lane, lsn, done });
        cancelled.await.unwrap_or(Err(NotCancelled::Unknown))
    }

    /// Figures of the log.
    #[must_use]
    pub fn log_stats(&self) -> WalStats {
        self.shared.wal.stats()
    }

    /// True while three quarters or more of what the log may hold for instances are held.
    #[must_use]
    pub fn log_fills(&self) -> bool {
        self.shared.wal.is_filling()
    }

    /// How many records of the log shared a commit.
    #[must_use]
    pub fn log_groups(&self) -> HistogramView {
        self.shared.wal.groups()
    }

    /// What is known of an instance's health.
    #[must_use]
    pub fn health(&self, instance: InstanceId) -> Health {
        self.shared.watched[instance.index()].health()
    }

    /// Lets an instance lag until it has caught up: it slows no acknowledgements.
    pub fn let_lag(&self, instance: InstanceId) {
        self.send(Message::event(Event::LetLag { instance }));
    }

    /// What readers may know without asking the core.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.shared.board
    }

    /// Tells which instances may serve a read of this level now; waits up to `read.wait_ms` for one.
    ///
    /// # Errors
    /// [`RefusedRead`] where none could.
    pub async fn read_permit(&self, scope: &ReadScope, level: Level) -> Result<ReadPermit, RefusedRead> {
        let (current, stamp) = self.shared.board.permit(scope);
        // A weaker read may have more to choose from, which only the core can tell.
        let are_all = level == Level::Strong || current == self.shared.board.serving();
        if !current.is_empty() && are_all {
            return Ok(ReadPermit { quiet: current.iter().collect(), busy: Vec::new(), stamp });
        }
        let (permit, answer) = oneshot::channel();
        self.send(Message::Read { scope: scope.clone(), level, permit });
        answer.await.unwrap_or(Err(RefusedRead::NoInstance))
    }

    /// Must be called with all of an answer in hand and before the last byte of it goes to the client; `stamp` is that
    /// of the permit. Gives it back where the answer shows exactly that state of the collection. Only a strong answer
    /// binds later reads.
    pub fn read_ended(
        &self,
        instance: InstanceId,
        scope: &ReadScope,
        level: Level,
        stamp: Option<Stamp>,
    ) -> Option<Stamp> {
        match (scope, stamp) {
            (ReadScope::Constant, _) => return None,
            (ReadScope::Collection { id, .. }, Some(stamp))
                if self.shared.board.confirms(*id, stamp, instance) =>
            {
                return Some(stamp);
            }
            _ => {}
        }
        if level == Level::Strong {
            self.send(Message::event(Event::ReadEnded { instance, scope: scope.clone() }));
        }
        None
    }

    /// The whole at this moment; `None` while stopping.
    pub async fn view(&self) -> Option<CoreView> {
        self.ask(Core::view).await
    }

    /// Where a write stands on each instance; `None` when it is finished everywhere.
    pub async fn entry_view(&self, lane: Lane, lsn: Lsn) -> Option<Vec<(InstanceId, StateThere)>> {
        self.ask(move |core| core.entry_view(&lane, lsn)).await.flatten()
    }

    /// True where an instance has applied everything up to this entry, durably, and the catalog tells of it.
    pub async fn has_settled(&self, instance: InstanceId, upto: Lsn) -> bool {
        self.ask(move |core| core.has_settled(instance, upto)).await.unwrap_or(false)
    }

    /// When these writes were accepted: Unix time in milliseconds. Those that are finished everywhere are missing.
    pub async fn accepted_ms(&self, lsns: Vec<Lsn>) -> BTreeMap<Lsn, u64> {
        let wal = Arc::clone(&self.shared.wal);
        let read =
            move || lsns.into_iter().filter_map(|lsn| Some((lsn, wal.accepted_ms(lsn).ok()?))).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.send(Message::Ask(Box::new(move |core| _ = sender.send(look(core)))));
        answer.await.ok()
    }

    pub(super) fn send(&self, message: Message) {
        // The owner task is gone only while the process stops; whoever waits then sees a closed channel.
        _ = self.shared.messages.send(message);
    }

    pub(super) fn ticket(&self) -> u64 {
        self.shared.next_ticket.fetch_add(1, Ordering::Relaxed)
    }
}

/// Names the reads that wait in the core.
pub(super) fn read_id(number: u64) -> ReadId {
    ReadId(number)
}
