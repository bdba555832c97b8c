//! Faults strike, servers return, and in the end everything heals.

use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::replication::core::Core;
use isochrome::replication::event::{DownReason, Event};
use isochrome::replication::view::CoreView;
use isochrome::wal::record::duty::{Duty, DutyChange};
use isochrome::wal::record::{Record, Verdict};

use crate::errands::Task;
use crate::model::{BROKEN_INDEX, Collection, RealId};
use crate::plan::Fault;
use crate::reference::public_id;
use crate::server::{Belief, Health, Purpose};
use crate::world::{Happening, Own, World};

/// Why a collection is not trusted.
pub(crate) const SPOILT: &str = "something else wrote to it";

impl World {
    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.healed {
            return;
        }
        self.trace(|_| format!("FAULT {fault:?}"));
        match fault {
            Fault::Crash { server, for_ms } => self.crash(server, for_ms),
            Fault::Hang { server, for_ms } if self.servers[server].health == Health::Running => {
                self.servers[server].health = Health::Hung;
                self.notice_later(server);
                if self.chance(50) {
                    self.give_up(server);
                }
                self.after(for_ms, Happening::Return(server));
            }
            Fault::Hang { .. } => {}
            Fault::Slow { server, by_ms, for_ms } => {
                self.servers[server].slow_ms = by_ms;
                self.after(for_ms, Happening::Return(server));
            }
            Fault::DeadWriter { server, for_ms } => {
                self.writer_dies(server);
                let server_again = Fault::Crash { server, for_ms: 50 };
                self.after(for_ms, Happening::Fault(server_again));
            }
            Fault::LoseState { server } => {
                if self.is_whole() {
                    self.count("losses");
                    self.crash(server, 100);
                    self.servers[server].lose_state();
                }
            }
            Fault::Spoil { server } => self.spoil_one(server),
            Fault::BreakIndex { server } => self.break_one(server),
            Fault::Isochrome { for_ms } => self.kill_isochrome(for_ms),
            Fault::Duty { server, duty, for_ms } => {
                self.want(server, duty);
                if duty != Duty::Serve {
                    let again = Fault::Duty { server, duty: Duty::Serve, for_ms: 0 };
                    self.after(for_ms, Happening::Fault(again));
                }
            }
        }
    }

    /// An operator wants something else of a server, and has some one decide first.
    fn want(&mut self, server: usize, duty: Duty) {
        let first = self.random.usize(..=self.servers.len());
        let preferred = (first < self.servers.len()).then(|| instance(first));
        self.count("duties");
        self.feed(Event::Duty { change: DutyChange::Duty(instance(server), duty) });
        self.feed(Event::Duty { change: DutyChange::Preferred(preferred) });
    }

    /// True where every server could be the source of everything that it has.
    fn is_whole(&self) -> bool {
        let facts = &self.log.facts;
        let view = self.core.as_ref().map(Core::view);
        // A loss may be the death under which a suspect is withdrawn, and other copies given up.
        let giving_up = |view: CoreView| {
            !view.suspects.is_empty() || view.instances.iter().any(|at| !at.divergent.is_empty())
        };
        let lost = self.servers.iter().any(|server| server.lost_state) || !facts.lost.is_empty();
        let broken = self.servers.iter().any(|server| server.model.collections().any(Collection::is_broken));
        !lost
            && !broken
            && !view.is_some_and(giving_up)
            && facts.divergent.is_empty()
            && facts.suspects.is_empty()
    }

    /// The log holds much, and asks for room. One who is marked may not be the last with what it has.
    pub(crate) fn sometimes_full(&mut self) {
        let full = self.plan.full_percent;
        if !self.healed && self.chance(full) && self.is_whole() {
            self.feed(Event::LogFilling);
        }
    }

    /// A collection on a server turns out not to be what it should. What is wrong with it shows as soon as nobody reads it.
    fn spoil_one(&mut self, server: usize) {
        if !self.is_whole() {
            return;
        }
        let living = self.core.as_ref().map(|core| core.catalog().all_living());
        let living: Vec<_> = living.into_iter().flatten().map(|known| known.id).collect();
        if let Some(collection) = self.random.choice(living) {
            self.count("spoilt");
            let (instance, reason) = (instance(server), SPOILT.to_owned());
            self.feed(Event::Distrust { instance, collection, copy: None, reason });
        }
    }

    /// The index of a collection on a server does not load any more.
    fn break_one(&mut self, server: usize) {
        if !self.is_whole() {
            return;
        }
        let Some(core) = &self.core else { return };
        let living = core.catalog().all_living();
        let copies = living.into_iter().filter_map(|known| known.real_ids.get(&instance(server)));
        if let Some(copy) = self.random.choice(copies.copied().collect::<Vec<_>>()) {
            self.count("broken");
            self.servers[server].model.break_index(copy);
        }
    }

    /// A comparison finds the copies that nobody read or wrote since.
    fn find_broken(&mut self) {
        let Some(core) = &self.core else { return };
        let mut found = Vec::new();
        for known in core.catalog().all_living() {
            for (at, copy) in &known.real_ids {
                let there = self.servers[at.index()].model.collection(*copy);
                if there.is_some_and(Collection::is_broken) {
                    found.push((at.index(), known.id.0, *copy));
                }
            }
        }
        for (server, collection, copy) in found {
            self.report_broken(server, collection, Some(copy));
        }
    }

    /// Somebody found that a copy on a server is broken; by now it may be another one.
    pub(crate) fn report_broken(&mut self, server: usize, collection: RealId, copy: Option<RealId>) {
        assert!(copy.is_some(), "a copy was read");
        let (collection, reason) = (CollectionId(collection), BROKEN_INDEX.to_owned());
        self.feed(Event::Distrust { instance: instance(server), collection, copy, reason });
    }

    /// A collection that is put away is read by nobody any more.
    pub(crate) fn spoil(&mut self, server: usize, collection: RealId) {
        let mut reads = self.calls.values().filter(|call| matches!(call.purpose, Purpose::Read(_)));
        if reads.all(|call| call.server != server) {
            self.servers[server].model.spoil(collection);
        }
    }

    /// What is left on a server that lost its state is deleted, as soon as it answers.
    pub(crate) fn prepare(&mut self, server: usize) {
        if self.servers[server].health != Health::Running {
            return self.soon(200, Own::Prepare(server));
        }
        let Some(core) = &self.core else { return };
        let databases = core.catalog().databases("default_tenant").map(|(name, _)| name.to_owned()).collect();
        self.count("prepared");
        let first_id = (u128::from(self.counters["prepared"]) << 80) + ((server as u128 + 1) << 64);
        self.servers[server].prepare(first_id, databases);
        let instance = instance(server);
        self.feed(Event::Note { record: Record::Joined { instance } });
        self.feed(Event::Prepared { instance });
        self.servers[server].belief = Belief::Down;
        self.recheck(server);
    }

    pub(crate) fn crash(&mut self, server: usize, for_ms: u64) {
        if self.servers[server].health != Health::Dead {
            self.struck(server);
            self.servers[server].crash();
            self.break_connections(server);
            self.notice_later(server);
            self.after(for_ms, Happening::Return(server));
        }
    }

    fn notice_later(&mut self, server: usize) {
        self.soon(2_000, Own::Noticed(server));
    }

    pub(crate) fn returns(&mut self, server: usize) {
        let there = &mut self.servers[server];
        there.slow_ms = 0;
        match there.health {
            Health::Running => {}
            Health::Dead => there.start(),
            Health::Hung => {
                there.health = Health::Running;
                for (call, shown) in std::mem::take(&mut there.stalled) {
                    let delay_ms = self.random.u64(..5);
                    let next = if shown { Happening::Show(call) } else { Happening::Arrive(call) };
                    self.after(delay_ms, next);
                }
                self.after(5, Happening::Settle(server));
            }
        }
        self.trace(|_| format!("server {server} is back"));
    }

    fn kill_isochrome(&mut self, for_ms: u64) {
        self.holds.asked.clear();
        if self.core.take().is_none() {
            return;
        }
        self.count("kills");
        self.orphan_calls();
        if self.random.bool() {
            self.commit_reaches_disk();
        }
        self.log.crash();
        self.jobs.clear();
        self.endings.clear();
        self.tasks.values_mut().for_each(Task::forget_memory);
        if self.chance(2) {
            self.tasks.clear();
        }
        self.reads.clear();
        self.waiting.clear();
        self.finished.clear();
        self.settled.clear();
        self.known_suspects = self.log.facts.suspects.keys().copied().collect();
        for client in 0..self.clients.len() {
            self.clients[client].outstanding = 0;
            self.after(for_ms + 5, Happening::Client(client));
        }
        self.after(for_ms, Happening::Heal);
    }

    /// Isochrome starts, from what its log holds.
    pub(crate) fn start_isochrome(&mut self) {
        if self.core.is_some() {
            return;
        }
        self.generation += 1;
        self.records_told = 0;
        self.answers = crate::kept::none();
        self.trace(|world| format!("START {}", world.generation));
        self.servers.iter_mut().for_each(|there| there.rests = false);
        let (core, actions) = Core::recover(self.plan.settings.clone(), self.now_ms, self.log.recovery());
        self.core = Some(core);
        let in_turn = |verdict: &Verdict| !matches!(verdict, Verdict::Cancelled(_));
        for (lsn, _) in self.log.facts.decisions.iter().filter(|(_, verdict)| in_turn(verdict)) {
            let lane = &self.log.facts.entries[lsn].0.lane;
            if let Some(collection) = public_id(lane) {
                // How old it is is not known any more, so that it counts as old.
                self.decided.note(collection, *lsn, 0);
            }
        }
        self.perform_all(actions);
        for server in 0..self.servers.len() {
            let there = &mut self.servers[server];
            (there.verified, there.told_up, there.probing) = (None, false, true);
            there.proof_asked = 0;
            if there.belief != Belief::Lost {
                there.belief = Belief::Down;
            }
            self.soon(300, Own::Probe(server));
        }
        self.soon(40, Own::Tick);
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.trace(|_| "HEAL".to_owned());
        self.start_isochrome();
        self.feed(Event::Duty { change: DutyChange::Preferred(None) });
        for server in 0..self.servers.len() {
            self.feed(Event::Duty { change: DutyChange::Duty(instance(server), Duty::Serve) });
        }
        for server in 0..self.servers.len() {
            self.returns(server);
            if self.servers[server].writer_dead {
                self.servers[server].crash();
                self.break_connections(server);
                self.returns(server);
            }
            // Sooner or later a canary finds out what was lost.
            self.recheck(server);
        }
        self.find_broken();
    }

    /// The heartbeats tell that a server does not answer.
    pub(crate) fn noticed(&mut self, server: usize) {
        let there = &self.servers[server];
        if there.health == Health::Running || there.belief != Belief::Up {
            return;
        }
        let hung = there.health == Health::Hung;
        self.report_down(server, if hung { DownReason::Hung } else { DownReason::Refused });
    }

    /// Something asks for a look at the server, unless one is under way.
    pub(crate) fn recheck(&mut self, server: usize) {
        if !self.servers[server].probing {
            self.servers[server].probing = true;
            self.soon(10, Own::Probe(server));
        }
    }

    /// The marker is read and a canary write is sent.
    pub(crate) fn probe(&mut self, server: usize) {
        if std::mem::take(&mut self.servers[server].probing) && self.servers[server].rests {
            return;
        }
        self.servers[server].probing = true;
        let there = &self.servers[server];
        let (epoch, given_up, proof) = (there.epoch, there.given_up, there.proof_asked);
        match there.health {
            Health::Dead => self.report_down(server, DownReason::Refused),
            Health::Hung => self.report_down(server, DownReason::Hung),
            Health::Running => self.soon(20, Own::Probed { server, epoch, given_up, proof }),
        }
    }

    /// The canary's answer is here. It stands for what was lost before it was sent only.
    pub(crate) fn probed(&mut self, server: usize, epoch: u32, given_up: u64, proof: u64) {
        let there = &mut self.servers[server];
        if there.rests {
            there.probing = false;
            return;
        }
        if there.health != Health::Running || there.epoch != epoch {
            return self.soon(10, Own::Probe(server));
        }
        if there.model.marker != Some(there.marker) {
            assert!(there.lost_state, "a marker is only lost with the rest");
            there.probing = false;
            (there.belief, there.told_up) = (Belief::Lost, false);
            let instance = instance(server);
            return self.feed(Event::InstanceDown { instance, reason: DownReason::LostState });
        }
        if there.writer_dead {
            return self.report_down(server, DownReason::CannotWrite);
        }
        there.settle(given_up);
        there.proofs += 1;
        there.marker += 1;
        there.model.marker = Some(there.marker);
        there.backups.push(there.model.clone());
        (there.verified, there.belief, there.probing) = (Some(epoch), Belief::Up, false);
        there.told_up = proof >= there.proof_asked;
        if there.told_up {
            self.proven(server);
        } else {
            self.recheck(server);
        }
        self.feed(Event::InstanceUp { instance: instance(server), proof });
    }

    fn report_down(&mut self, server: usize, reason: DownReason) {
        let there = &mut self.servers[server];
        (there.belief, there.told_up, there.probing) = (Belief::Down, false, true);
        self.soon(500, Own::Probe(server));
        self.feed(Event::InstanceDown { instance: instance(server), reason });
    }
}

pub(crate) fn instance(server: usize) -> InstanceId {
    InstanceId(u8::try_from(server).unwrap_or(u8::MAX))
}
