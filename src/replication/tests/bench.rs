//! A core on a bench: what it asks for is collected, and the test answers by hand.

use std::collections::VecDeque;

use crate::catalog::{Catalog, DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::replication::core::{Core, Settings};
use crate::replication::event::{
    Action, Delivery, DeliveryOutcome, DownReason, Event, Level, LoggedEntry, NotCancelled, ReadId,
    ReadScope, Reply,
};
use crate::wal::record::{Answer, Encoding, EntryHead, Lane, Lsn, Op, RecordKind, RecordWrite, Transaction};

pub const A: InstanceId = InstanceId(0);
pub const B: InstanceId = InstanceId(1);
pub const ID: CollectionId = CollectionId(7);

pub struct Bench {
    pub core: Core,
    pub now_ms: u64,
    pub deliveries: VecDeque<Delivery>,
    pub replies: Vec<(Lsn, Reply)>,
    pub reads: Vec<Action>,
    pub others: Vec<Action>,
    records: u64,
    next_lsn: u64,
}

impl Bench {
    /// Two instances that are up, and nothing logged.
    pub fn new() -> Self {
        Self::with(false)
    }

    pub fn with(acknowledge_all: bool) -> Self {
        let settings = Settings {
            instances: 2,
            acknowledge_all,
            write_wait_ms: 5_000,
            write_timeout_ms: 60_000,
            read_wait_ms: 5_000,
            max_in_flight: 16,
            run_records: 500,
            run_bytes: 1 << 20,
            run_ms: 250,
            min_stay_ms: 10_000,
            overdue_ms: 10_000,
            cluster: 1,
            rebuild: false,
            rebuild_lanes: 1,
            max_lag_ms: 0,
        };
        let mut bench = Self {
            core: Core::new(settings, Catalog::default()),
            now_ms: 0,
            deliveries: VecDeque::new(),
            replies: Vec::new(),
            reads: Vec::new(),
            others: Vec::new(),
            records: 0,
            next_lsn: 1,
        };
        for instance in [A, B] {
            bench.feed(Event::InstanceUp { instance, proof: 0 });
        }
        bench
    }

    /// A bench whose collection exists on both instances, with a dimension of 2.
    pub fn with_collection() -> Self {
        let mut bench = Self::new();
        bench.make_collection();
        bench
    }

    pub fn make_collection(&mut self) {
        self.log(create(false));
        self.finish_all(201);
        self.log(add(&[1]));
        self.finish_all(201);
        self.replies.clear();
    }

    pub fn feed(&mut self, event: Event) {
        for action in self.core.handle(self.now_ms, event) {
            match action {
                Action::Deliver(delivery) => self.deliveries.push_back(delivery),
                Action::Record(_) => self.records += 1,
                Action::Answer { lsn, reply } => self.replies.push((lsn, reply)),
                Action::ReadFrom { .. } | Action::ReadRefused { .. } => self.reads.push(action),
                other => self.others.push(other),
            }
        }
    }

    /// Logs a write of the collection whose sender waits.
    pub fn log(&mut self, op: Op) -> Lsn {
        self.log_in(Lane::Collection(ID), op)
    }

    /// Logs a write of any lane whose sender waits.
    pub fn log_in(&mut self, lane: Lane, op: Op) -> Lsn {
        let (id, path) = (format!("t{}", self.next_lsn), "/".to_owned());
        let sender = Transaction { id, fingerprint: 0, method: "POST".to_owned(), path, accepted_ms: 0 };
        self.log_from(Some(sender), lane, op)
    }

    /// Logs a part of a compound write, which has no sender.
    pub fn log_part(&mut self, lane: Lane, op: Op) -> Lsn {
        self.log_from(None, lane, op)
    }

    fn log_from(&mut self, transaction: Option<Transaction>, lane: Lane, op: Op) -> Lsn {
        let lsn = Lsn(self.next_lsn);
        self.next_lsn += 1;
        let waited_for = transaction.is_some();
        let head = EntryHead { lane, op, transaction, body_bytes: 10 };
        let entry = LoggedEntry { lsn, head, waited_for };
        self.feed(Event::Logged { entries: vec![entry] });
        lsn
    }

    /// The sender of a write of the collection takes it back; gives what the core says at once.
    pub fn cancel(&mut self, lsn: Lsn) -> Option<Result<(), NotCancelled>> {
        self.cancel_in(Lane::Collection(ID), lsn)
    }

    /// The same in any lane.
    pub fn cancel_in(&mut self, lane: Lane, lsn: Lsn) -> Option<Result<(), NotCancelled>> {
        self.others.clear();
        self.feed(Event::Cancel { lane, lsn });
        self.cancelled(lsn)
    }

    /// What the core has said of a cancellation.
    pub fn cancelled(&self, lsn: Lsn) -> Option<Result<(), NotCancelled>> {
        self.others.iter().find_map(|action| match action {
            Action::Cancelled { lsn: told } if *told == lsn => Some(Ok(())),
            Action::NotCancelled { lsn: told, why } if *told == lsn => Some(Err(*why)),
            _ => None,
        })
    }

    /// All records asked for so far become durable.
    pub fn save(&mut self) {
        self.feed(Event::Recorded { upto: self.records });
    }

    /// How many records were asked for.
    pub fn records_so_far(&self) -> u64 {
        self.records
    }

    /// The one delivery that is under way at an instance.
    pub fn take(&mut self, instance: InstanceId) -> Delivery {
        let place = self.deliveries.iter().position(|delivery| delivery.instance == instance);
        let place = place.unwrap_or_else(|| panic!("nothing is under way at {instance:?}"));
        self.deliveries.remove(place).expect("just found")
    }

    pub fn end(&mut self, delivery: &Delivery, outcome: DeliveryOutcome) {
        self.feed(Event::Delivered { delivery: delivery.id, outcome });
    }

    pub fn succeed(&mut self, delivery: &Delivery, status: u16) {
        let real_id = Some(100 + u128::from(delivery.instance.0));
        let answer = Answer { status, body: b"{}".to_vec() };
        self.end(delivery, DeliveryOutcome::Success { answer, real_id });
    }

    pub fn reject(&mut self, delivery: &Delivery, dimension: Option<u32>) {
        let answer = Answer { status: 400, body: b"{}".to_vec() };
        self.end(delivery, DeliveryOutcome::Rejected { answer, dimension });
    }

    pub fn lose(&mut self, delivery: &Delivery) {
        self.end(delivery, DeliveryOutcome::Doubt { detail: "cut".to_owned(), answer: None });
    }

    /// An instance ends while a delivery is under way there.
    pub fn die(&mut self, delivery: &Delivery) {
        self.lose(delivery);
        self.down(delivery.instance);
        self.save();
    }

    /// The rehearsal of a delivery shows that its instance does not bear it.
    pub fn fail_rehearsal(&mut self, delivery: &Delivery) {
        let answer = Some(Answer { status: 500, body: b"{}".to_vec() });
        self.end(delivery, DeliveryOutcome::Rehearsal { detail: "it is dead".to_owned(), answer });
        self.save();
    }

    /// Everything under way succeeds, and what follows from it, until nothing is left.
    pub fn finish_all(&mut self, status: u16) {
        while let Some(delivery) = self.deliveries.pop_front() {
            self.succeed(&delivery, status);
            self.save();
        }
    }

    pub fn down(&mut self, instance: InstanceId) {
        self.feed(Event::InstanceDown { instance, reason: DownReason::Refused });
    }

    pub fn up(&mut self, instance: InstanceId) {
        self.feed(Event::InstanceUp { instance, proof: u64::MAX });
    }

    pub fn tick_at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.feed(Event::Tick);
    }

    /// Asks for a strong read of the whole collection, and gives the instances that may serve it.
    pub fn read(&mut self) -> Vec<InstanceId> {
        self.read_as(Level::Strong, ReadScope::Collection { id: ID, ids: None })
    }

    /// Asks for a read, and gives the instances that may serve it now.
    pub fn read_as(&mut self, level: Level, scope: ReadScope) -> Vec<InstanceId> {
        self.reads.clear();
        self.feed(Event::Read { read: ReadId(1), scope, level });
        match self.reads.pop() {
            Some(Action::ReadFrom { quiet, busy, .. }) => quiet.into_iter().chain(busy).collect(),
            _ => Vec::new(),
        }
    }

    pub fn read_ended(&mut self, instance: InstanceId) {
        let scope = ReadScope::Collection { id: ID, ids: None };
        self.feed(Event::ReadEnded { instance, scope });
    }

    /// The status that each sender got, in the order of the answers.
    pub fn statuses(&self) -> Vec<u16> {
        let status = |reply: &Reply| match reply {
            Reply::Verdict(answer) | Reply::Cancelled(answer) | Reply::Poisoned(answer) => answer.status,
            Reply::Unknown => 503,
        };
        self.replies.iter().map(|(_, reply)| status(reply)).collect()
    }
}

pub fn create(get_or_create: bool) -> Op {
    let (tenant, database) = (DEFAULT_TENANT.to_owned(), DEFAULT_DATABASE.to_owned());
    Op::CreateCollection { tenant, database, name: "name".to_owned(), get_or_create }
}

/// An add of records whose ids hash to these.
pub fn add(ids: &[u64]) -> Op {
    records(RecordKind::Add, ids, 2)
}

pub fn records(kind: RecordKind, ids: &[u64], dimension: u32) -> Op {
    let encoding = if kind == RecordKind::Delete { Encoding::None } else { Encoding::Lists };
    Op::Records(RecordWrite {
        kind,
        encoding,
        count: u32::try_from(ids.len()).expect("few ids"),
        dimension: (encoding != Encoding::None).then_some(dimension),
        ids: Some(ids.to_vec()),
        provable: true,
    })
}
