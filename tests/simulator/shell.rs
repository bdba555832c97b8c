//! Isochrome around the core: it performs the core's actions and runs the log.

use isochrome::chroma::ids::InstanceId;
use isochrome::replication::event::{Action, Event, LoggedEntry, Reply};
use isochrome::wal::record::rebuild::RebuildStep;
use isochrome::wal::record::{Decision, EntryHead, Lsn, Record, Verdict};

use crate::deadly::is_poisoned;
use crate::log::Item;
use crate::model::Request;
use crate::reference::public_id;
use crate::world::{Happening, Own, World};

impl World {
    pub(crate) fn perform_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.trace(|_| format!("  <- {action:?}"));
            self.perform(action);
        }
    }

    fn marked(&mut self, instance: InstanceId) {
        assert!(!self.servers[instance.index()].told_up, "{instance:?} is marked, and up");
        self.count("marked");
    }

    fn slowed(&mut self, by: Option<InstanceId>) {
        let up = by.is_none_or(|by| self.servers[by.index()].told_up);
        assert!(up, "{by:?} slows acknowledgements, and is not up");
        self.count("slowed");
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Deliver(delivery) => {
                self.check_delivery(&delivery);
                self.deliver(delivery);
            }
            Action::Record(record) => {
                self.note_record(&record);
                let may_wait = record.may_wait();
                self.log.record(record);
                if !may_wait {
                    self.release_records();
                }
            }
            Action::Hurry => self.release_records(),
            Action::Answer { lsn, reply } => self.answer(lsn, &reply),
            Action::Cancelled { lsn } => {
                let decided = self.log.facts.decisions.get(&lsn);
                assert!(
                    matches!(decided, Some(Verdict::Cancelled(_))),
                    "{lsn} is cancelled, and not on disk"
                );
                self.count("cancelled");
            }
            Action::Withdrawn { lsn } => {
                let decided = self.log.facts.decisions.get(&lsn);
                assert!(decided.is_some_and(is_poisoned), "{lsn} is withdrawn, and not on disk");
            }
            Action::NotCancelled { .. } => self.count("not cancelled"),
            Action::Marked { instance, .. } => self.marked(instance),
            Action::Slowed { by, .. } => self.slowed(by),
            Action::Held { hold, position } => self.held(hold, position),
            Action::HoldEnded { hold, why } => self.hold_ended(hold, why),
            Action::Catalog(_) => {}
            Action::ReadFrom { read, quiet, busy } => self.read_from(read, &quiet, &busy),
            Action::ReadRefused { read, .. } => self.read_refused(read),
            Action::Recheck { instance, proof, .. } => {
                let there = &mut self.servers[instance.index()];
                (there.told_up, there.proof_asked) = (false, proof);
                self.recheck(instance.index());
            }
            Action::Rest { instance, rests } => {
                let there = &mut self.servers[instance.index()];
                (there.rests, there.told_up) = (rests, there.told_up && !rests);
            }
            Action::Prepare { instance } => self.soon(50, Own::Prepare(instance.index())),
            Action::TakeOut { instance, why } => {
                let there = &mut self.servers[instance.index()];
                there.told_up = false;
                assert!(there.lost_state, "I4: {instance:?} is taken out, and has everything: {why}");
            }
            Action::Finished { lsns } => {
                self.check_finished(&lsns);
                self.finished.extend(lsns);
                if self.chance(60) {
                    self.log.facts.forget(&mut self.finished, &mut self.random);
                }
            }
        }
    }

    fn note_record(&mut self, record: &Record) {
        match record {
            Record::Suspect { lsn, .. } => {
                self.suspected.insert(*lsn);
                self.known_suspects.insert(*lsn);
                self.count("suspects");
            }
            Record::Rebuild { lane, instance, step: RebuildStep::Ended { applied } } => {
                // The copy got nothing else.
                self.written.insert((lane.clone(), *instance), *applied);
            }
            Record::Outcome(outcome) if outcome.decisions.iter().any(fixes_dimension) => {
                self.fixed_by_refusal.insert(outcome.lane.clone());
            }
            _ => {}
        }
    }

    /// Records that were held back go to the log.
    pub(crate) fn release_records(&mut self) {
        self.log.release();
        self.soon(1, Own::CommitBegins);
    }

    /// Takes a write in: it is appended, and becomes durable later.
    pub(crate) fn accept(&mut self, client: Option<usize>, head: EntryHead, request: Request) -> Lsn {
        self.trace(|world| format!("ACCEPT {} {request:?}", world.log.next()));
        let lsn = self.log.append(head, request, client.is_some());
        if let Some(client) = client {
            self.clients[client].outstanding += 1;
            self.waiting.insert(lsn, (client, self.now_ms));
        }
        self.soon(2, Own::CommitBegins);
        lsn
    }

    pub(crate) fn commit_begins(&mut self) {
        if self.log.begin_commit() {
            let longest_ms = if self.healed { 5 } else { self.plan.commit_ms };
            let longest_ms = if self.chance(3) { longest_ms * 20 } else { longest_ms };
            self.soon(longest_ms, Own::Committed);
        }
    }

    pub(crate) fn committed(&mut self) {
        self.commit_reaches_disk();
        self.soon(2, Own::Told);
    }

    /// What the commit holds is durable, whether or not anybody learns of it.
    pub(crate) fn commit_reaches_disk(&mut self) {
        for item in self.log.commit() {
            match item {
                Item::Entry { lsn, head, request, .. } => self.reference.fold(lsn, &head, &request),
                Item::Record(Record::Outcome(outcome)) => self.check_outcome(&outcome),
                Item::Record(Record::Resolved { lsn, ids }) => {
                    let expected = self.reference.expected(lsn).resolved.clone();
                    assert_eq!(Some(ids), expected, "I7: {lsn} is resolved to what its predicate matches");
                }
                Item::Record(_) => {}
            }
        }
    }

    /// The core learns what became durable.
    pub(crate) fn told(&mut self) {
        let mut entries = Vec::new();
        let mut records = 0;
        let mut decided = Vec::new();
        for item in self.log.tell() {
            match item {
                Item::Entry { lsn, head, waited_for, .. } => {
                    entries.push(LoggedEntry { lsn: *lsn, head: head.clone(), waited_for: *waited_for });
                }
                Item::Record(record) => {
                    records += 1;
                    if let Record::Outcome(outcome) = record
                        && let Some(collection) = public_id(&outcome.lane)
                    {
                        // A cancelled one tells nothing of those before it.
                        let in_turn =
                            |decision: &&Decision| !matches!(decision.verdict, Verdict::Cancelled(_));
                        let decisions = outcome.decisions.iter().filter(in_turn);
                        decided.extend(decisions.map(|decision| (collection, decision.lsn)));
                    }
                }
            }
        }
        for (collection, lsn) in decided {
            self.decided.note(collection, lsn, self.now_ms);
        }
        self.records_told += records;
        let mut events = Vec::new();
        if !entries.is_empty() {
            events.push(Event::Logged { entries });
        }
        if records > 0 {
            events.push(Event::Recorded { upto: self.records_told });
        }
        if self.random.bool() {
            events.reverse();
        }
        for event in events {
            self.feed(event);
        }
        self.soon(1, Own::CommitBegins);
    }

    fn answer(&mut self, lsn: Lsn, reply: &Reply) {
        let Some((client, since_ms)) = self.waiting.remove(&lsn) else {
            panic!("{lsn} is answered, and nobody waits: {reply:?}")
        };
        let decided = self.log.facts.decisions.get(&lsn);
        let waited_ms = self.now_ms - since_ms;
        match reply {
            Reply::Verdict(answer) => {
                let decided = decided.map(Verdict::answer);
                assert_eq!(Some(answer), decided, "I5: {lsn} is answered before its verdict is durable");
                if let Some(collection) = public_id(&self.log.facts.entries[&lsn].0.lane) {
                    self.history.acknowledged(collection, lsn);
                }
                self.check_acknowledged_by_all(lsn, waited_ms);
                self.count("verdicts");
            }
            Reply::Cancelled(answer) => {
                let cancelled = Verdict::Cancelled(answer.clone());
                assert_eq!(Some(&cancelled), decided, "{lsn} is not cancelled");
            }
            Reply::Unknown => {
                let settings = &self.plan.settings;
                let shortest_ms = settings.write_wait_ms.min(settings.write_timeout_ms);
                assert!(decided.is_none(), "{lsn} is decided, and its sender is told that it is not");
                assert!(waited_ms >= shortest_ms, "{lsn} is given up after {waited_ms} ms");
                self.count("unknown");
            }
            Reply::Poisoned(answer) => {
                assert_eq!(decided, Some(&Verdict::Poisoned(answer.clone())), "{lsn} is not poisoned");
            }
        }
        self.clients[client].outstanding -= 1;
        self.client_thinks(client);
    }

    /// The client goes on after a while, unless it still waits for answers.
    pub(crate) fn client_thinks(&mut self, client: usize) {
        if self.clients[client].outstanding == 0 {
            let delay_ms = self.random.u64(..=self.plan.think_ms);
            self.after(delay_ms, Happening::Client(client));
        }
    }
}

fn fixes_dimension(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Rejected { fixes_dimension: Some(_), .. })
}
