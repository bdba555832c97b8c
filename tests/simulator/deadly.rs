//! Writes that no server survives, what they leave behind, and the operator who clears up.

use std::collections::{BTreeMap, BTreeSet};

use isochrome::replication::event::{Delivery, DeliveryId, Event, What};
use isochrome::replication::view::PoisonedView;
use isochrome::wal::record::{Lane, Lsn, Verdict};

use crate::model::{Part, RealId, Request, Response};
use crate::reference::public_id;
use crate::trouble::instance;
use crate::world::{Happening, World};

/// What a write does to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadly {
    /// The writer of the process dies, and dies again whenever the collection is touched.
    Writer,
    /// The collection takes no write any more.
    Collection,
    /// The process ends.
    Process,
}

const MARKS: [(Deadly, &str); 3] = [
    (Deadly::Writer, "deadly to the writer"),
    (Deadly::Collection, "deadly to the collection"),
    (Deadly::Process, "deadly to the process"),
];

/// What a server suffers from deadly writes.
#[derive(Debug, Default)]
pub(crate) struct Wounds {
    /// Collections whose log holds one that can't be applied.
    stuck: BTreeMap<RealId, Deadly>,
    /// Trials since the last proof that got no answer.
    unanswered: Vec<Lsn>,
}

/// Makes a write deadly.
pub(crate) fn poison(parts: &mut [Part], random: &mut fastrand::Rng) {
    if let Some(part) = parts.first_mut() {
        part.document = Some(MARKS[random.usize(..MARKS.len())].1.to_owned());
    }
}

/// What a request does to a server that executes it.
pub(crate) fn deadly(request: &Request) -> Option<Deadly> {
    let Request::Write { parts, .. } = request else { return None };
    let marks = |part: &Part| {
        let mark = MARKS.iter().find(|(_, mark)| part.document.as_deref() == Some(mark));
        mark.map(|(deadly, _)| *deadly)
    };
    parts.iter().find_map(marks)
}

impl World {
    /// A server is about to execute a request that Chroma would take. Gives the answer where it does not survive that, or
    /// what it has suffered before; `None` for the end of the process.
    pub(crate) fn wound(&mut self, server: usize, request: &Request) -> Result<(), Option<Response>> {
        let (touched, writes) = match request {
            Request::Write { collection, .. } | Request::Delete { collection, .. } => (*collection, true),
            Request::Get { collection, .. } | Request::Count { collection } => (*collection, false),
            _ => return Ok(()),
        };
        let there = &mut self.servers[server];
        let taken = || !there.model.clone().log(request).is_refused();
        let fresh = deadly(request).filter(|_| taken());
        match fresh {
            Some(_) if there.writer_dead => return Err(Some(dead_writer())),
            Some(Deadly::Process) => {
                self.count("deaths");
                self.crash(server, 700);
                return Err(None);
            }
            Some(deadly) => _ = there.wounds.stuck.insert(touched, deadly),
            None => {}
        }
        match there.wounds.stuck.get(&touched) {
            Some(Deadly::Writer) => {
                if !there.writer_dead {
                    self.count("deaths");
                    self.writer_dies(server);
                    let for_ms = self.random.u64(100..3_000);
                    self.after(for_ms, Happening::Mend(server));
                }
                if fresh.is_some() { Err(Some(dead_writer())) } else { Ok(()) }
            }
            Some(_) if writes => Err(Some(Response::refused(500, "Error in compaction"))),
            _ => Ok(()),
        }
    }

    /// The writer of a server dies, for whatever reason.
    pub(crate) fn writer_dies(&mut self, server: usize) {
        self.servers[server].writer_dead = true;
        self.struck(server);
    }

    /// Somebody starts a server again whose writer is dead.
    pub(crate) fn mend(&mut self, server: usize) {
        if self.servers[server].writer_dead {
            self.crash(server, 50);
        }
    }

    /// A server died or stopped writing: what is tried there may be withdrawn for it.
    pub(crate) fn struck(&mut self, server: usize) {
        let tried = self.jobs.values().map(|job| &job.delivery);
        let tried = tried.filter(|tried| tried.rehearse && tried.instance == instance(server));
        let tried: Vec<Lsn> = tried.flat_map(|delivery| delivery.entries.clone()).collect();
        self.struck.extend(tried);
        let unanswered = self.servers[server].wounds.unanswered.clone();
        self.struck.extend(unanswered);
    }

    /// A trial got no answer; until the next proof nobody knows why.
    pub(crate) fn trial_unanswered(&mut self, id: DeliveryId) {
        if let Some(job) = self.jobs.get(&id)
            && job.delivery.rehearse
        {
            let entries = job.delivery.entries.clone();
            self.servers[job.delivery.instance.index()].wounds.unanswered.extend(entries);
        }
    }

    pub(crate) fn proven(&mut self, server: usize) {
        self.servers[server].wounds.unanswered.clear();
    }

    /// I12: a suspect goes to a server only after a rehearsal there, and while nothing else is under way there.
    pub(crate) fn check_trial(&self, delivery: &Delivery) {
        let Delivery { instance, entries, what, rehearse, .. } = delivery;
        let carries = matches!(what, What::Records { .. } | What::DeleteIds { .. });
        let open = |lsn: &&Lsn| !self.log.facts.decisions.contains_key(lsn);
        let suspect = entries.iter().filter(open).any(|lsn| self.known_suspects.contains(lsn));
        assert_eq!(*rehearse, carries && suspect, "I12: {entries:?} at {instance:?}");
        let proofs = self.servers[instance.index()].proofs;
        let mut company =
            self.jobs.values().filter(|job| job.delivery.instance == *instance && job.proofs == proofs);
        let lonely =
            if *rehearse { company.next().is_none() } else { company.all(|job| !job.delivery.rehearse) };
        assert!(lonely, "I12: {entries:?} are not alone at {instance:?} with a trial");
    }

    /// I12: nothing is withdrawn but what was suspected before, and under whose trial a server died or stopped writing.
    pub(crate) fn check_withdrawn(&mut self, lsn: Lsn) {
        let (head, request) = &self.log.facts.entries[&lsn];
        let (lane, deadly) = (head.lane.clone(), deadly(request).is_some());
        assert!(self.suspected.contains(&lsn), "I12: {lsn} is withdrawn, and was never suspected");
        assert!(deadly || self.struck.contains(&lsn), "I12: {lsn} is withdrawn, and harmless");
        let sent = |server: usize| {
            let key = (lane.clone(), instance(server));
            let written = self.written.get(&key).is_some_and(|sent| *sent >= lsn);
            written && !self.log.facts.is_divergent(&lane, key.1)
        };
        let visible = !deadly && (0..self.servers.len()).any(sent);
        self.count(if deadly { "poisoned" } else { "poisoned by chance" });
        if visible {
            // A restart forgot to whom it had been sent, and only one source is left.
            self.count("spoilt lanes");
            self.spoilt.insert(lane);
        }
        self.reference.withdraw(lsn);
    }

    /// Once everything is well, an operator looks at what was withdrawn.
    pub(crate) fn operator_acts(&mut self) {
        self.operator_comes = false;
        let Some(core) = &self.core else { return };
        let view = core.view();
        let refused = view.refused.iter().map(|refused| &refused.lsn);
        let stays = view.suspects.iter().chain(refused);
        let lanes: BTreeSet<Lane> = stays.map(|lsn| self.log.facts.entries[lsn].0.lane.clone()).collect();
        for collection in lanes.iter().filter_map(public_id) {
            self.count("dropped for a suspect that stayed");
            self.drop_collection(None, collection);
        }
        let poisoned = view.poisoned;
        for PoisonedView { lsn, blocks, .. } in poisoned {
            let (head, request) = self.log.facts.entries[&lsn].clone();
            let Some(collection) = public_id(&head.lane) else { continue };
            if blocks {
                self.drop_collection(None, collection);
            } else {
                if !self.counters.contains_key("forced") && self.random.bool() {
                    self.count("forced");
                    _ = self.accept(None, head, request);
                }
                self.count("discarded");
                self.feed(Event::Discard { lsn });
            }
        }
    }

    /// Calls the operator where there is something to be done.
    pub(crate) fn call_operator(&mut self) {
        let Some(core) = &self.core else { return };
        let view = core.view();
        let stays = !view.suspects.is_empty() || !view.refused.is_empty();
        if self.operator_comes || view.poisoned.is_empty() && !stays {
            return;
        }
        self.operator_comes = true;
        // A suspect is given time to be decided.
        let delay_ms = if stays { 15_000 } else { self.random.u64(100..4_000) };
        self.after(delay_ms, Happening::Operator);
    }
}

pub(crate) fn dead_writer() -> Response {
    Response::refused(500, "Error sending message to compactor")
}

/// True where a verdict is that the write is poison.
pub(crate) fn is_poisoned(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Poisoned(_))
}
