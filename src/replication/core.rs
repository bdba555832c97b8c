//! The one owner of all replication state: one event in, typed actions out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::board::Board;
use super::cancel::Accepted;
use super::durable::Later;
use super::event::{Action, Delivery, DeliveryId, DownReason, Event, LoggedEntry, What};
use super::follow::Following;
use super::hold::Holds;
use super::lane::LaneState;
use super::leadership::Move;
use super::pace::Pace;
use super::pending::Pending;
use super::poison::{Phase, Poisoned, Trials};
use super::read::{Moved, WaitingRead};
use super::rebuild::{Lost, Rebuilds};
use super::schema::SchemaOrder;
use super::slowing::Slowing;
use super::waiting::Waiting;
use crate::catalog::Catalog;
use crate::chroma::ids::InstanceId;
use crate::wal::record::brief::Work;
use crate::wal::record::duty::Duties;
use crate::wal::record::{EntryHead, Lane, Lsn, Op};

/// What the core must know of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of instances; their ids are 0 to this, the primary first.
    pub instances: usize,
    /// True for `write.acknowledge = "all"`.
    pub acknowledge_all: bool,
    /// How long a write waits for an instance before its sender is told that its fate is open.
    pub write_wait_ms: u64,
    /// How long a sender waits in any case.
    pub write_timeout_ms: u64,
    /// How long a strong read waits for an instance that is caught up.
    pub read_wait_ms: u64,
    /// Requests under way at one instance at most; Chroma applies writes through one queue.
    pub max_in_flight: usize,
    /// Records in a run at most.
    pub run_records: u32,
    /// Bytes in a run at most.
    pub run_bytes: u64,
    /// Expected duration of a run at most.
    pub run_ms: u64,
    /// How long a lane's leader stays before the decision goes back to a preferred instance.
    pub min_stay_ms: u64,
    /// A delivery is never overdue before this.
    pub overdue_ms: u64,
    /// The cluster's id; ids of databases are derived from it.
    pub cluster: u128,
    /// Divergent lanes are rebuilt, and so are instances that lost their state.
    pub rebuild: bool,
    /// Collections that are copied at a time to one instance at most.
    pub rebuild_lanes: usize,
    /// An instance that is up and further behind than this slows acknowledgements; 0: none does.
    pub max_lag_ms: u64,
}

/// Whether an instance takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    Up,
    /// A connection was lost or an answer was indefinite; its marker is being read.
    Checking,
    Down(DownReason),
}

#[derive(Clone, Debug)]
pub(super) struct InstanceState {
    pub availability: Availability,
    /// Proofs that were asked for.
    pub proofs: u64,
    pub in_flight: usize,
    pub trials: Trials,
    /// Lanes that may have something to send, in turn.
    pub ready: VecDeque<Lane>,
    pub queued: BTreeSet<Lane>,
    pub following: Following,
    /// What its requests take, by kind of record write.
    pub paces: [Pace; 4],
    /// It lost what it had acknowledged, and is being brought back.
    pub lost: Option<Lost>,
}

/// A delivery under way.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub instance: InstanceId,
    pub lane: Lane,
    pub entries: Vec<Lsn>,
    /// They were decided before.
    pub decided: bool,
    pub what: What,
    pub since_ms: u64,
    pub expected_ms: u64,
    pub records: u64,
    /// The last entry that had been sent there before.
    pub sent_before: Lsn,
    /// It carries suspects, to be rehearsed first.
    pub trial: Option<Phase>,
    /// Its instance died, or stopped writing, while it was under way.
    pub died: bool,
}

/// The core. See the module's documentation.
#[derive(Debug)]
pub struct Core {
    pub(super) settings: Settings,
    pub(super) now_ms: u64,
    pub(super) instances: Vec<InstanceState>,
    pub(super) catalog: Catalog,
    pub(super) lanes: BTreeMap<Lane, LaneState>,
    pub(super) deliveries: BTreeMap<DeliveryId, InFlight>,
    /// Deliveries under way that decide.
    pub(super) deciding: usize,
    pub(super) next_delivery: u64,
    pub(super) recorded: u64,
    pub(super) recorded_durable: u64,
    /// The records up to this are on their way to the disk, whatever they are.
    pub(super) hurried: u64,
    pub(super) later: VecDeque<(u64, Later)>,
    pub(super) waiting: Waiting,
    pub(super) reads: Vec<WaitingRead>,
    /// What moved since the waiting reads were tried.
    pub(super) moved: Moved,
    pub(super) board: Arc<Board>,
    pub(super) schema: SchemaOrder,
    pub(super) accepted: Accepted,
    pub(super) holds: Holds,
    pub(super) rebuilds: Rebuilds,
    pub(super) slowing: Slowing,
    pub(super) duties: Duties,
    /// The last entry of all.
    pub(super) last: Lsn,
    /// Withdrawn writes that are kept.
    pub(super) poisoned: BTreeMap<Lsn, Poisoned>,
    /// Lanes and instances to look at again at a time.
    pub(super) retries: BTreeSet<(u64, Lane)>,
    pub(super) dirty: BTreeSet<Lane>,
    pub(super) actions: Vec<Action>,
    /// How often the decision of a lane moved, by [`Move`].
    pub(super) moves: [u64; Move::WORDS.len()],
}

impl Core {
    /// A core that knows nothing but the catalog; every instance counts as down until it is reported up.
    #[must_use]
    pub fn new(settings: Settings, catalog: Catalog) -> Self {
        let instance = InstanceState {
            availability: Availability::Down(DownReason::Refused),
            proofs: 0,
            in_flight: 0,
            trials: Trials::default(),
            ready: VecDeque::new(),
            queued: BTreeSet::new(),
            following: Following::default(),
            paces: [Pace::new(); 4],
            lost: None,
        };
        Self {
            instances: vec![instance; settings.instances],
            settings,
            now_ms: 0,
            catalog,
            lanes: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            deciding: 0,
            next_delivery: 1,
            recorded: 0,
            recorded_durable: 0,
            hurried: 0,
            later: VecDeque::new(),
            waiting: Waiting::default(),
            reads: Vec::new(),
            moved: Moved::default(),
            board: Arc::default(),
            schema: SchemaOrder::default(),
            accepted: Accepted::default(),
            holds: Holds::default(),
            rebuilds: Rebuilds::default(),
            slowing: Slowing::default(),
            duties: Duties::default(),
            last: Lsn(0),
            poisoned: BTreeMap::new(),
            retries: BTreeSet::new(),
            dirty: BTreeSet::new(),
            actions: Vec::new(),
            moves: [0; Move::WORDS.len()],
        }
        .published()
    }

    /// Takes one event at a time on a clock that never goes back, and gives what is to be done, in order.
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Vec<Action> {
        self.now_ms = self.now_ms.max(now_ms);
        match event {
            Event::Logged { entries } => entries.into_iter().for_each(|entry| self.logged(entry)),
            Event::Delivered { delivery, outcome } => self.delivered(delivery, outcome),
            Event::Recorded { upto } => self.records_durable(upto),
            Event::InstanceUp { instance, proof } => self.instance_up(instance, proof),
            Event::InstanceDown { instance, reason } => self.instance_down(instance, reason),
            Event::Read { read, scope, level } => self.read(read, scope, level),
            Event::ReadEnded { instance, scope } => self.read_ended(instance, &scope),
            Event::Cancel { lane, lsn } => self.cancel(&lane, lsn),
            Event::Hold { hold, lane, instances, for_ms } => self.hold(hold, lane, instances, for_ms),
            Event::Release { hold } => self.release(hold),
            Event::Discard { lsn } => self.discard(lsn),
            Event::Duty { change } => self.want_duty(change),
            Event::Note { record } => _ = self.record(record, Later::Nothing),
            Event::StateLost { instance, collection, detail } => self.lacks(instance, collection, detail),
            Event::Distrust { instance, collection, copy, reason } => {
                self.distrust(instance, collection, copy, reason);
            }
            Event::Prepared { instance } => self.prepared(instance),
            Event::LogFilling => self.make_room(),
            Event::LetLag { instance } => self.let_lag(instance),
            Event::Configured { settings } => self.configured(&settings),
            Event::Wake => self.wake(),
            Event::Tick => self.tick(),
        }
        self.upkeep();
        std::mem::take(&mut self.actions)
    }

    /// The catalog as of the last durable verdict.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(super) fn instance_ids(&self) -> impl Iterator<Item = InstanceId> + use<> {
        (0..self.settings.instances).filter_map(|index| u8::try_from(index).ok()).map(InstanceId)
    }

    pub(super) fn logged(&mut self, entry: LoggedEntry) {
        let LoggedEntry { lsn, head, waited_for } = entry;
        let EntryHead { lane, op, transaction, body_bytes } = head;
        self.accepted.note(&lane, lsn, transaction.is_some());
        if waited_for {
            self.waiting.add(lsn, lane.clone(), self.now_ms);
        }
        self.append(lsn, &lane, Work::of(op, body_bytes));
        self.dirty.insert(lane);
    }

    /// Puts an entry at the end of its lane.
    pub(super) fn append(&mut self, lsn: Lsn, key: &Lane, work: Work) {
        let after = match &work {
            Work::Records(_) => Vec::new(),
            Work::Other(op) => self.order_schema(lsn, key, op),
        };
        let creates = matches!(&work, Work::Other(op) if matches!(**op, Op::CreateCollection { .. }));
        self.last = self.last.max(lsn);
        let lane = self.lane_entry(key, lsn, creates);
        if matches!(work, Work::Other(_)) {
            lane.others.push_back(lsn);
        }
        lane.entries.push_back(Pending::new(lsn, work, after));
    }

    fn configured(&mut self, settings: &Settings) {
        let Settings { instances, cluster, .. } = self.settings;
        self.settings = Settings { instances, cluster, ..settings.clone() };
    }

    fn tick(&mut self) {
        self.wake();
        self.move_from_slow_leaders();
        self.return_leadership();
        self.watch_lags();
        self.waits_over();
        self.heal_lost();
        self.dirty.extend(self.rebuilds.active_lanes().cloned());
        self.moved.everything();
    }

    /// Restores what must hold between events: every lane that changed has been looked at, every instance has as
    /// much under way as it may, and what is finished is gone.
    fn upkeep(&mut self) {
        self.end_holds();
        loop {
            let touched = std::mem::take(&mut self.dirty);
            if touched.is_empty() {
                break;
            }
            for key in &touched {
                self.elect(key);
                for instance in self.instance_ids() {
                    let state = &mut self.instances[instance.index()];
                    if state.queued.insert(key.clone()) {
                        state.ready.push_back(key.clone());
                    }
                }
            }
            self.instance_ids().for_each(|instance| self.pump(instance));
            for key in &touched {
                self.finish(key);
                self.publish_lane(key);
            }
            if !self.reads.is_empty() {
                self.moved.lanes(touched);
            }
        }
        self.publish_up();
        self.tell_holds();
        self.acknowledge_applied();
        self.reconsider_reads();
        self.assert_invariants();
    }

    pub(super) fn deliver(
        &mut self,
        key: &Lane,
        instance: InstanceId,
        entries: Vec<Lsn>,
        what: What,
        probe: bool,
    ) {
        let id = DeliveryId(self.next_delivery);
        self.next_delivery += 1;
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let records: u64 = entries.iter().filter_map(|lsn| lane.entry(*lsn)).map(Pending::record_count).sum();
        let decided = entries.iter().all(|lsn| lane.entry(*lsn).is_some_and(Pending::is_decided));
        let rewound = lane.rewound_by(&entries, instance, self.settings.run_records as usize);
        let at = &mut lane.at[instance.index()];
        at.in_flight = Some(id);
        at.in_flight_decided = decided;
        let reads_only = what.is_reading();
        let last = entries.last().copied().unwrap_or_default();
        at.handed = at.handed.max(last);
        at.rewound = at.rewound.max(rewound);
        let sent_before = at.sent;
        at.sent = if reads_only { at.sent } else { at.sent.max(last) };
        let doubt = at.doubt;
        let rehearse = lane.is_trial(&entries, &what);
        if !decided && !reads_only {
            lane.gather.ends(entries.len());
        }
        if rehearse {
            self.trial_begins(instance, id);
        }
        let expected_ms = self.expected_ms(instance, &what, records);
        self.count_delivery(instance, decided, true);
        self.deliveries.insert(
            id,
            InFlight {
                instance,
                lane: key.clone(),
                entries: entries.clone(),
                decided,
                what: what.clone(),
                since_ms: self.now_ms,
                expected_ms,
                records,
                sent_before,
                trial: rehearse.then_some(Phase::Whole),
                died: false,
            },
        );
        let home = match (&what, key) {
            (What::Describe { id, .. } | What::Rebuild { id, .. }, _) => self.catalog.known(*id),
            (_, Lane::Collection(id)) if probe => self.catalog.known(*id),
            _ => None,
        };
        let home = home.map(|collection| (collection.tenant.clone(), collection.database.clone()));
        self.actions.push(Action::Deliver(Delivery {
            id,
            instance,
            lane: key.clone(),
            entries,
            what,
            doubt,
            rehearse,
            probe_dimension: probe,
            home,
        }));
    }
}
