//! The simulated world: virtual time, the queue of what happens next, and who gets it.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use isochrome::chroma::ids::InstanceId;
use isochrome::replication::core::Core;
use isochrome::replication::event::{DeliveryId, DeliveryOutcome, Event, ReadId};
use isochrome::replication::hold::HoldId;
use isochrome::wal::record::{Lane, Lsn};

use crate::clients::{Client, PendingRead};
use crate::courier::Job;
use crate::errands::Tasks;
use crate::history::{Decided, History, Look};
use crate::holds::Holds;
use crate::kept::{self, Answers};
use crate::log::Log;
use crate::model::{Generator, RealId};
use crate::plan::{Fault, Plan};
use crate::reference::Reference;
use crate::server::{Call, CallId, End, Server};

/// What can happen next. What belongs to a run of Isochrome that ended is dropped.
#[derive(Debug)]
pub(crate) enum Happening {
    Client(usize),
    Fault(Fault),
    /// The sender of a write takes it back.
    Cancel(Lsn),
    /// Somebody starts a server again whose writer is dead.
    Mend(usize),
    /// An operator looks at what was withdrawn.
    Operator,
    /// A server comes back from a crash, a hang, or slowness.
    Return(usize),
    Heal,
    Arrive(CallId),
    Show(CallId),
    /// The answer, or the loss of the connection, reaches the caller.
    Ended(CallId, End),
    /// A server executes what was given up.
    Settle(usize),
    Own(u32, Own),
}

/// What happens inside Isochrome.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Own {
    CommitBegins,
    Committed,
    Told,
    Tick,
    Wake,
    /// Who asked for a hold has read what it wanted to.
    Release(HoldId),
    /// A delivery ends that asked nothing of a server.
    Ends(DeliveryId),
    /// What is left on a server that lost its state is deleted.
    Prepare(usize),
    /// A heartbeat shows that a server is not well.
    Noticed(usize),
    Probe(usize),
    Probed {
        server: usize,
        epoch: u32,
        given_up: u64,
        proof: u64,
    },
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Rng,
    pub(crate) generator: Generator,
    pub(crate) now_ms: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    /// `None` while Isochrome is dead.
    pub(crate) core: Option<Core>,
    /// Which run of Isochrome this is.
    pub(crate) generation: u32,
    pub(crate) log: Log,
    pub(crate) records_told: u64,
    pub(crate) servers: Vec<Server>,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) jobs: BTreeMap<DeliveryId, Job>,
    /// How jobs end that asked nothing of a server.
    pub(crate) endings: BTreeMap<DeliveryId, DeliveryOutcome>,
    /// What is stored of rebuilds.
    pub(crate) tasks: Tasks,
    pub(crate) clients: Vec<Client>,
    /// Who waits for a write, and since when.
    pub(crate) waiting: BTreeMap<Lsn, (usize, u64)>,
    pub(crate) reads: BTreeMap<ReadId, PendingRead>,
    pub(crate) holds: Holds,
    pub(crate) history: History,
    pub(crate) decided: Decided,
    /// What was last looked at, to be looked at again.
    pub(crate) looks: BTreeMap<RealId, Look>,
    pub(crate) answers: Answers,
    pub(crate) reference: Reference,
    /// Finished entries whose space is not given back yet.
    pub(crate) finished: BTreeSet<Lsn>,
    /// The last entry that each instance answered definitely in this run of Isochrome.
    pub(crate) settled: BTreeMap<(Lane, InstanceId), Lsn>,
    /// The last entry that was ever sent to each instance.
    pub(crate) sent: BTreeMap<(Lane, InstanceId), Lsn>,
    /// The last of those that were more than a question.
    pub(crate) written: BTreeMap<(Lane, InstanceId), Lsn>,
    /// Lanes in which a refused write was found to have fixed the dimension; after a restart it may have met the one
    /// that a later write fixed before.
    pub(crate) fixed_by_refusal: BTreeSet<Lane>,
    /// Writes that an instance died under, or stopped writing, as the core ever said.
    pub(crate) suspected: BTreeSet<Lsn>,
    /// Those that this run of Isochrome knows.
    pub(crate) known_suspects: BTreeSet<Lsn>,
    /// Writes under whose trial a server died or stopped writing.
    pub(crate) struck: BTreeSet<Lsn>,
    /// Lanes whose last source may show a withdrawn write.
    pub(crate) spoilt: BTreeSet<Lane>,
    /// An operator is on the way.
    pub(crate) operator_comes: bool,
    pub(crate) healed: bool,
    pub(crate) counters: BTreeMap<&'static str, u64>,
    /// When the core is woken next, or was last.
    woken_at_ms: Option<u64>,
    tracing: bool,
}

impl World {
    pub(crate) fn new(seed: u64, tracing: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let plan = Plan::new(&mut random);
        let mut generator = Generator::new(random.u64(..));
        generator.flawed_percent = plan.flawed_percent;
        let mut world = Self {
            servers: (0..plan.settings.instances).map(Server::new).collect(),
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            plan,
            random,
            generator,
            now_ms: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            core: None,
            generation: 0,
            log: Log::default(),
            records_told: 0,
            calls: BTreeMap::new(),
            jobs: BTreeMap::new(),
            endings: BTreeMap::new(),
            tasks: Tasks::new(),
            waiting: BTreeMap::new(),
            reads: BTreeMap::new(),
            holds: Holds::default(),
            history: History::default(),
            decided: Decided::default(),
            looks: BTreeMap::new(),
            answers: kept::none(),
            reference: Reference::new(),
            finished: BTreeSet::new(),
            settled: BTreeMap::new(),
            sent: BTreeMap::new(),
            written: BTreeMap::new(),
            fixed_by_refusal: BTreeSet::new(),
            suspected: BTreeSet::new(),
            known_suspects: BTreeSet::new(),
            struck: BTreeSet::new(),
            spoilt: BTreeSet::new(),
            operator_comes: false,
            healed: false,
            counters: BTreeMap::new(),
            woken_at_ms: None,
            tracing,
        };
        world.trace(|world| format!("{:?}", world.plan));
        world.start_isochrome();
        (0..world.clients.len()).for_each(|client| world.after(1, Happening::Client(client)));
        for (at_ms, fault) in world.plan.faults.clone() {
            world.after(at_ms, Happening::Fault(fault));
        }
        world
    }

    /// Runs to the end of the story; fails at the first violation.
    pub(crate) fn run(&mut self) {
        const LONGEST_MS: u64 = 120_000;
        let mut heal_by_ms = LONGEST_MS;
        while let Some(((at_ms, _), happening)) = self.queue.pop_first() {
            self.now_ms = at_ms;
            self.happen(happening);
            if !self.healed && (self.clients_done() || self.now_ms > heal_by_ms) {
                self.heal();
                heal_by_ms = self.now_ms;
            }
            if self.healed {
                self.call_operator();
            }
            if self.healed && self.is_quiet() {
                break;
            }
            assert!(self.now_ms < heal_by_ms + LONGEST_MS, "it does not come to rest: {}", self.unrest());
        }
        self.assert_all_same();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Client(client) => self.client_acts(client),
            Happening::Fault(fault) => self.strike(fault),
            Happening::Cancel(lsn) => self.cancel(lsn),
            Happening::Mend(server) => self.mend(server),
            Happening::Operator => self.operator_acts(),
            Happening::Return(server) => self.returns(server),
            Happening::Heal => self.start_isochrome(),
            Happening::Arrive(call) => self.arrive(call),
            Happening::Show(call) => self.show(call),
            Happening::Ended(call, end) => self.call_ended(call, end),
            Happening::Settle(server) => self.servers[server].settle(u64::MAX),
            Happening::Own(generation, own) if generation == self.generation && self.core.is_some() => {
                self.own(own);
            }
            Happening::Own(..) => {}
        }
    }

    fn own(&mut self, own: Own) {
        match own {
            Own::CommitBegins => self.commit_begins(),
            Own::Committed => self.committed(),
            Own::Told => self.told(),
            Own::Tick => {
                self.feed(Event::Tick);
                self.sometimes_full();
                self.sometimes_hold();
                self.release_records();
                self.soon(40, Own::Tick);
            }
            Own::Wake => self.feed(Event::Wake),
            Own::Release(hold) => self.release(hold),
            Own::Noticed(server) => self.noticed(server),
            Own::Probe(server) => self.probe(server),
            Own::Ends(delivery) => self.ends(delivery),
            Own::Prepare(server) => self.prepare(server),
            Own::Probed { server, epoch, given_up, proof } => self.probed(server, epoch, given_up, proof),
        }
    }

    /// Something happens in `delay_ms`.
    pub(crate) fn after(&mut self, delay_ms: u64, happening: Happening) {
        self.scheduled += 1;
        self.queue.insert((self.now_ms + delay_ms, self.scheduled), happening);
    }

    /// Something happens inside this run of Isochrome within `longest_ms`.
    pub(crate) fn soon(&mut self, longest_ms: u64, own: Own) {
        let delay_ms = self.random.u64(..=longest_ms);
        self.after(delay_ms, Happening::Own(self.generation, own));
    }

    /// Gives the core an event and does what it wants.
    pub(crate) fn feed(&mut self, event: Event) {
        self.trace(|_| format!("  -> {event:?}"));
        let Some(core) = &mut self.core else { return };
        let actions = core.handle(self.now_ms, event);
        if let Some(at_ms) = core.next_wake_ms().filter(|at_ms| self.woken_at_ms != Some(*at_ms)) {
            self.woken_at_ms = Some(at_ms);
            self.after(at_ms.saturating_sub(self.now_ms), Happening::Own(self.generation, Own::Wake));
        }
        self.perform_all(actions);
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counters.entry(what).or_default() += 1;
    }

    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(..100) < percent
    }

    /// Prints a line when a single seed is looked at.
    pub(crate) fn trace(&self, line: impl FnOnce(&Self) -> String) {
        if self.tracing {
            println!("{:>6} {}", self.now_ms, line(self));
        }
    }
}
