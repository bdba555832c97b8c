//! The one task that owns the core: takes messages, feeds the core, performs its actions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, sleep_until};

use super::courier::Courier;
use super::handle::{Message, ReadPermit, Shared, Ticket, Until, Written, read_id};
use super::hold::{Holds, Wanted};
use super::measure;
use crate::instances::health::Watched;
use crate::instances::restore::Tenant;
use crate::replication::core::Core;
use crate::replication::event::{
    Action, Delivery, Event, LoggedEntry, NotCancelled, ReadId, RefusedRead, Reply,
};
use crate::wal::record::rebuild::RebuildStep;
use crate::wal::record::{Lane, Lsn, Record};
use crate::wal::{Committed, Wal};

/// Pause between ticks of the core.
const TICK: Duration = Duration::from_millis(50);
/// Messages taken at once.
const BATCH: usize = 256;

type ReadAnswer = oneshot::Sender<Result<ReadPermit, RefusedRead>>;
type CancelAnswer = oneshot::Sender<Result<(), NotCancelled>>;

/// The owner of the core.
pub(super) struct Owner {
    pub core: Core,
    pub wal: Arc<Wal>,
    pub courier: Courier,
    pub shared: Arc<Shared>,
    pub watched: Vec<Arc<Watched>>,
    pub messages: mpsc::UnboundedReceiver<Message>,
    pub started: Instant,
    pub writers: HashMap<Lsn, oneshot::Sender<Written>>,
    pub readers: HashMap<ReadId, ReadAnswer>,
    pub next_read: u64,
    /// Who waits for a write to be taken back.
    pub cancels: HashMap<Lsn, Vec<CancelAnswer>>,
    pub holds: Holds,
    pub deliveries: JoinSet<()>,
    /// Records that the log is handed together.
    pub records: Vec<Record>,
    /// They go now. Otherwise they wait for the next that does, or for the tick: a commit of their own would stand in the
    /// way of those who wait for one.
    pub hurried: bool,
}

impl Owner {
    /// Runs until a message tells it to stop, or no one is left to send one.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake = self.core.next_wake_ms().map(|ms| self.started + Duration::from_millis(ms));
            tokio::select! {
                count = self.messages.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {
                    batch.push(Message::event(Event::Wake));
                }
                _ = tick.tick() => {
                    self.hurried = true;
                    batch.push(Message::event(Event::Tick));
                    if self.wal.is_filling() {
                        batch.push(Message::event(Event::LogFilling));
                    }
                }
                Some(_) = self.deliveries.join_next(), if !self.deliveries.is_empty() => {}
            }
            for message in batch.drain(..) {
                if let Message::Stop(done) = message {
                    self.wal.record(std::mem::take(&mut self.records));
                    self.deliveries.shutdown().await;
                    _ = done.send(());
                    return;
                }
                self.take(message);
            }
            if std::mem::take(&mut self.hurried) && !self.records.is_empty() {
                self.wal.record(std::mem::take(&mut self.records));
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.feed(*event),
            Message::Committed(committed) => self.committed(committed),
            Message::Read { scope, level, permit } => {
                let read = read_id(self.next_read);
                self.next_read += 1;
                self.readers.insert(read, permit);
                self.feed(Event::Read { read, scope, level });
            }
            Message::Cancel { lane, lsn, done } => {
                self.cancels.entry(lsn).or_default().push(done);
                self.feed(Event::Cancel { lane, lsn });
            }
            Message::Hold(Wanted { lane, instances, for_ms, held }) => {
                let hold = self.holds.ask(held);
                self.feed(Event::Hold { hold, lane, instances, for_ms });
            }
            Message::Release { hold, intact } => {
                let lasted = self.holds.released(hold);
                self.feed(Event::Release { hold });
                if let Some(intact) = intact {
                    // One who has gone does not need what it read.
                    _ = intact.send(lasted);
                }
            }
            Message::Ask(look) => look(&self.core),
            Message::Stop(_) => {}
        }
    }

    fn feed(&mut self, event: Event) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let actions = self.core.handle(now_ms, event);
        for action in actions {
            self.perform(action);
        }
    }

    fn committed(&mut self, committed: Committed) {
        match committed {
            Committed::Entries(entries) => {
                let mut tickets = self.shared.tickets();
                let entries = entries
                    .into_iter()
                    .map(|(lsn, head, ticket)| {
                        let waited_for = match tickets.remove(&ticket) {
                            Some(Ticket { sender, until: Until::Answered }) => {
                                self.writers.insert(lsn, sender);
                                true
                            }
                            Some(Ticket { sender, until: Until::Logged }) => {
                                _ = sender.send(Written::Accepted { lsn });
                                false
                            }
                            None => false,
                        };
                        LoggedEntry { lsn, head, waited_for }
                    })
                    .collect();
                drop(tickets);
                self.feed(Event::Logged { entries });
            }
            Committed::Records { upto } => self.feed(Event::Recorded { upto }),
            Committed::Refused { tickets, error } => {
                let mut waiting = self.shared.tickets();
                for ticket in tickets.iter().filter_map(|ticket| waiting.remove(ticket)) {
                    _ = ticket.sender.send(Written::NotLogged { reason: error.to_string() });
                }
            }
            Committed::Unavailable(error) => {
                tracing::error!(%error, "the log can't be written; writes are refused until it can");
            }
            Committed::Available => tracing::info!("the log can be written again"),
        }
    }

    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Deliver(delivery) => self.send(delivery),
            Action::Record(record) => {
                self.tell_of_copies(&record);
                self.hurried |= !record.may_wait();
                self.records.push(record);
            }
            Action::Hurry => self.hurried = true,
            Action::Answer { lsn, reply } => self.answer(lsn, reply),
            Action::Cancelled { lsn } => self.cancelled(lsn, Ok(())),
            Action::Withdrawn { lsn } => tracing::error!(
                %lsn,
                "a write was withdrawn: instances died or stopped writing under it; see `isochrome poisoned`"
            ),
            Action::NotCancelled { lsn, why } => self.cancelled(lsn, Err(why)),
            Action::Catalog(change) => {
                self.shared.catalog.apply(&change);
            }
            Action::ReadFrom { read, quiet, busy } => {
                if let Some(permit) = self.readers.remove(&read) {
                    _ = permit.send(Ok(ReadPermit { quiet, busy, stamp: None }));
                }
            }
            Action::ReadRefused { read, reason } => {
                if let Some(permit) = self.readers.remove(&read) {
                    _ = permit.send(Err(reason));
                }
            }
            Action::Held { hold, position } => self.holds.held(hold, position),
            Action::HoldEnded { hold, why } => self.holds.ended(hold, why),
            Action::Recheck { instance, proof, why } => {
                let watched = &self.watched[instance.index()];
                tracing::debug!(instance = watched.instance.name, why, "instance is checked");
                watched.recheck(proof);
            }
            Action::Prepare { instance } => {
                let tenants = Tenant::all_of(&self.shared.catalog.read());
                self.watched[instance.index()].prepare(tenants);
            }
            Action::Rest { instance, rests } => self.watched[instance.index()].rest(rests),
            Action::TakeOut { instance, why } => self.watched[instance.index()].take_out(why),
            Action::Finished { lsns } => self.wal.finished(&lsns),
            Action::Marked { instance, collections } => tracing::error!(
                instance = self.watched[instance.index()].instance.name,
                collections,
                "an instance was down for so long that the log holds no more for it (wal.max_bytes); these collections \
                 are copied to it again when it is back"
            ),
            Action::Slowed { by: Some(by), lag_ms } => tracing::warn!(
                instance = self.watched[by.index()].instance.name,
                lag_ms,
                "an instance falls behind further and further; acknowledgements wait for it (write.max_lag_s)"
            ),
            Action::Slowed { by: None, .. } => tracing::info!("acknowledgements are not slowed any more"),
        }
    }

    /// A copy that is given up, or made again, is news.
    fn tell_of_copies(&self, record: &Record) {
        if let Record::Rebuild { lane: Lane::Collection(id), step: RebuildStep::Ended { .. }, .. } = record {
            self.shared.rebuilt.add(*id);
        }
        let Record::Divergent { lane, instance, reason } = record else { return };
        let catalog = self.shared.catalog.read();
        let known = match lane {
            Lane::Collection(id) => catalog.known(*id),
            Lane::Database { .. } | Lane::Tenant { .. } => None,
        };
        let what = known.map_or_else(|| format!("{lane:?}"), |known| known.name.clone());
        let instance = &self.watched[instance.index()].instance.name;
        tracing::error!(
            collection = what,
            instance,
            reason,
            "a copy is not to be trusted; it is not read until it is rebuilt"
        );
    }

    fn cancelled(&mut self, lsn: Lsn, how: Result<(), NotCancelled>) {
        for done in self.cancels.remove(&lsn).unwrap_or_default() {
            // One that has gone can look at the transaction.
            _ = done.send(how);
        }
    }

    fn answer(&mut self, lsn: Lsn, reply: Reply) {
        if let Some(sender) = self.writers.remove(&lsn) {
            // A sender that has gone can ask for the outcome later.
            _ = sender.send(Written::Logged { lsn, reply });
        }
    }

    fn send(&mut self, delivery: Delivery) {
        let courier = self.courier.clone();
        let shared = Arc::clone(&self.shared);
        self.deliveries.spawn(async move {
            let (id, kind, writes) = (delivery.id, measure::kind(&delivery.what), delivery.entries.len());
            let (instance, began) =
                (Arc::clone(&courier.instances[delivery.instance.index()]), Instant::now());
            let outcome = courier.deliver(delivery).await;
            shared.runs.ended(kind, writes, began.elapsed());
            instance.deliveries.ended(began.elapsed(), measure::ended_well(&outcome));
            _ = shared.messages.send(Message::event(Event::Delivered { delivery: id, outcome }));
        });
    }
}
