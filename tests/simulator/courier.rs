//! What turns the core's deliveries into requests to a server, and their answers into outcomes.

use isochrome::chroma::rewrite::deleted_body;
use isochrome::replication::event::{Delivery, DeliveryId, DeliveryOutcome, Event, What};
use isochrome::wal::record::{Answer, Encoding, Lsn, Op, RecordKind, RecordWrite};

use crate::errands::{Progress, fix_dimension};
use crate::kept::hashes;
use crate::model::{BROKEN_INDEX, Kind, Part, RealId, Request, Response, Value};
use crate::rehearsal::Rehearsal;
use crate::server::{End, Purpose};
use crate::world::{Happening, Own, World};

/// A delivery under way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) delivery: Delivery,
    stage: Stage,
    /// Proofs of the server when it was sent.
    pub(crate) proofs: u32,
}

#[derive(Debug)]
pub(crate) enum Stage {
    Rehearsal(Rehearsal),
    First,
    /// The collection was renamed away and is to be deleted by this name.
    Delete,
    /// A create met a collection that may be its own.
    LookUp,
    /// Refused; the dimension is being read.
    Dimension(Answer),
    Errand(Progress),
}

impl World {
    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        let proofs = self.servers[delivery.instance.index()].proofs;
        if let What::Rebuild { .. } = delivery.what {
            return match self.begin_errand(&delivery) {
                Ok((progress, request)) => {
                    self.send(Job { delivery, stage: Stage::Errand(progress), proofs }, request);
                }
                Err(outcome) => self.ends_without_request(delivery, outcome),
            };
        }
        let (stage, request) = if delivery.rehearse {
            Rehearsal::begins()
        } else {
            (Stage::First, self.first_request(&delivery))
        };
        self.send(Job { delivery, stage, proofs }, request);
    }

    /// Its end is told as that of any other: as an event of its own.
    fn ends_without_request(&mut self, delivery: Delivery, outcome: DeliveryOutcome) {
        let id = delivery.id;
        let proofs = self.servers[delivery.instance.index()].proofs;
        self.jobs.insert(id, Job { delivery, stage: Stage::First, proofs });
        self.after(0, Happening::Own(self.generation, Own::Ends(id)));
        self.endings.insert(id, outcome);
    }

    pub(crate) fn ends(&mut self, id: DeliveryId) {
        if let (Some(_), Some(outcome)) = (self.jobs.remove(&id), self.endings.remove(&id)) {
            self.feed(Event::Delivered { delivery: id, outcome });
        }
    }

    fn send(&mut self, job: Job, request: Request) {
        let Job { delivery, stage, .. } = &job;
        if let Stage::First = stage {
            let last = delivery.entries[delivery.entries.len() - 1];
            let sent = self.sent.entry((delivery.lane.clone(), delivery.instance)).or_default();
            *sent = last.max(*sent);
            if !delivery.what.is_reading() {
                let written = self.written.entry((delivery.lane.clone(), delivery.instance)).or_default();
                *written = last.max(*written);
            }
        }
        let (id, server) = (delivery.id, delivery.instance.index());
        self.jobs.insert(id, job);
        self.call(server, request, Purpose::Courier(id));
    }

    fn body(&self, lsn: Lsn) -> Request {
        let (_, request) = &self.log.facts.entries[&lsn];
        request.clone()
    }

    pub(crate) fn first_request(&self, delivery: &Delivery) -> Request {
        let first = delivery.entries[0];
        match &delivery.what {
            What::Records { kind, real_id } => self.joined(&delivery.entries, *kind, *real_id),
            What::DeleteIds { ids, real_id } => delete_ids(*real_id, ids.to_vec()),
            What::FixDimension { dimension, real_id } => fix_dimension(*real_id, *dimension as usize),
            What::Resolve { real_id } => match self.body(first) {
                Request::Delete { ids, filter, limit, .. } => {
                    Request::Get { collection: *real_id, ids, filter, limit, offset: 0, embeddings: false }
                }
                other => panic!("{other:?} is not to be resolved"),
            },
            What::Describe { real_id, .. } => describe(*real_id),
            What::CreateCollection { database, name, .. } => {
                let Request::CreateCollection { metadata, .. } = self.body(first) else {
                    panic!("{first} is not a create")
                };
                let (database, name) = (database.clone(), name.clone());
                Request::CreateCollection { database, name, metadata, get_or_create: false }
            }
            What::ModifyCollection { real_id } => match self.body(first) {
                Request::ModifyCollection { new_name, new_metadata, .. } => {
                    Request::ModifyCollection { collection: *real_id, new_name, new_metadata }
                }
                other => panic!("{other:?} is not a modify"),
            },
            What::DropCollection { real_id, .. } => Request::ModifyCollection {
                collection: *real_id,
                new_name: Some(grave(first)),
                new_metadata: None,
            },
            What::CreateDatabase { database, .. } => Request::CreateDatabase { database: database.clone() },
            What::DropDatabase { database, .. } => Request::DropDatabase { database: database.clone() },
            What::CreateTenant { .. } => panic!("nobody creates tenants here"),
            What::Rebuild { .. } => panic!("an errand is no write"),
        }
    }

    /// One request for a run.
    fn joined(&self, entries: &[Lsn], run: RecordKind, real_id: RealId) -> Request {
        let (mut all_parts, mut all_ids) = (Vec::new(), Vec::new());
        for lsn in entries {
            match self.body(*lsn) {
                Request::Write { kind, parts, .. } => {
                    assert_eq!(record_kind(kind), run, "{lsn} in a run of another kind");
                    all_parts.extend(parts);
                }
                Request::Delete { ids: Some(ids), filter: None, .. } if run == RecordKind::Delete => {
                    all_ids.extend(ids);
                }
                other => panic!("{other:?} in a run of {run:?}"),
            }
        }
        let kind = match run {
            RecordKind::Add => Kind::Add,
            RecordKind::Upsert => Kind::Upsert,
            RecordKind::Update => Kind::Update,
            RecordKind::Delete => return delete_ids(real_id, all_ids),
        };
        Request::Write { collection: real_id, kind, parts: all_parts }
    }

    /// A request of a delivery ended: send the next one, or tell the core.
    pub(crate) fn courier_goes_on(&mut self, id: DeliveryId, end: End) {
        if matches!(end, End::Lost) {
            self.trial_unanswered(id);
        }
        let Some(Job { delivery, stage, proofs }) = self.jobs.remove(&id) else {
            return;
        };
        let doubt = || Err(DeliveryOutcome::Doubt { detail: "lost".to_owned(), answer: None });
        let next = match (end, stage) {
            (end, Stage::Rehearsal(rehearsal)) => self.rehearsal_goes_on(&delivery, rehearsal, end),
            (End::Refused, Stage::First | Stage::Errand(Progress::Begun | Progress::Reading(..))) => {
                Err(DeliveryOutcome::NotExecuted { detail: "refused".to_owned(), refused: true })
            }
            (End::Refused | End::Lost, _) => doubt(),
            (End::Answered(response), Stage::Errand(progress)) => {
                let next = self.errand_goes_on(&delivery, progress, response);
                next.map(|(progress, request)| (Stage::Errand(progress), request))
            }
            (End::Answered(response), Stage::First) => {
                // One that lost its state gets what the catalog holds before it has applied the writes that made it.
                let made_before = self.counters.contains_key("prepared");
                judge(&delivery, response, made_before)
            }
            (End::Answered(response), Stage::LookUp) => match response {
                Response::Collection(found) => success(&delivery, &Response::Collection(found)),
                _ => doubt(),
            },
            (End::Answered(response), Stage::Dimension(answer)) => match response {
                Response::Collection(found) => {
                    let dimension = found.dimension.and_then(|dimension| u32::try_from(dimension).ok());
                    Err(DeliveryOutcome::Rejected { answer, dimension })
                }
                _ => Err(DeliveryOutcome::StateLost { detail: "the collection is gone".to_owned() }),
            },
            (End::Answered(response), Stage::Delete) => match response {
                Response::Done | Response::Refused { status: 404, .. } => success(&delivery, &Response::Done),
                other => panic!("a delete of a renamed collection got {other:?}"),
            },
        };
        match next {
            Ok((stage, request)) => self.send(Job { delivery, stage, proofs }, request),
            Err(outcome) => {
                self.delivery_ends(&delivery, &outcome);
                self.feed(Event::Delivered { delivery: id, outcome });
            }
        }
    }
}

/// What follows from the answer to a delivery's first request: another request, or the outcome.
fn judge(
    delivery: &Delivery,
    response: Response,
    made_before: bool,
) -> Result<(Stage, Request), DeliveryOutcome> {
    let Response::Refused { status, reason } = response else {
        return match (&delivery.what, response) {
            (What::DropCollection { database, .. }, _) => {
                let (database, name) = (database.clone(), grave(delivery.entries[0]));
                Ok((Stage::Delete, Request::DropCollection { database, name }))
            }
            (What::Resolve { .. }, Response::Records(records)) => {
                Err(DeliveryOutcome::Ids(records.into_iter().map(|record| record.id).collect()))
            }
            (_, response) => success(delivery, &response),
        };
    };
    let answer = Answer { status, body: reason.clone().into_bytes() };
    Err(match (&delivery.what, status) {
        (What::CreateCollection { database, name, .. }, 409) if delivery.doubt => {
            let (database, name) = (database.clone(), name.clone());
            return Ok((Stage::LookUp, Request::Describe { database, name }));
        }
        (What::CreateCollection { name, .. }, 409) => panic!("I9: a ghost called {name} is in the way"),
        (What::DropCollection { database, .. }, 404) if delivery.doubt => {
            let (database, name) = (database.clone(), grave(delivery.entries[0]));
            return Ok((Stage::Delete, Request::DropCollection { database, name }));
        }
        (What::CreateDatabase { .. }, 409) | (What::DropDatabase { .. }, 404)
            if delivery.doubt || made_before =>
        {
            return success(delivery, &Response::Done);
        }
        (What::CreateCollection { .. }, 400) | (_, 404) => DeliveryOutcome::StateLost { detail: reason },
        (_, 500) if reason == BROKEN_INDEX => DeliveryOutcome::BrokenCopy { detail: reason },
        (What::ModifyCollection { .. }, 500) => DeliveryOutcome::Rejected { answer, dimension: None },
        (_, 500) if reason.contains("sending message to compactor") => DeliveryOutcome::DeadWriter { answer },
        (_, 500) => DeliveryOutcome::Doubt { detail: reason, answer: Some(answer) },
        (What::Records { real_id, .. }, _) if delivery.probe_dimension => {
            return Ok((Stage::Dimension(answer), describe(*real_id)));
        }
        _ => DeliveryOutcome::Rejected { answer, dimension: None },
    })
}

fn success(delivery: &Delivery, response: &Response) -> Result<(Stage, Request), DeliveryOutcome> {
    let real_id = match (&delivery.what, response) {
        (What::CreateCollection { .. }, Response::Collection(found)) => Some(found.id),
        _ => None,
    };
    let body = match (&delivery.what, response) {
        (What::CreateCollection { id, .. } | What::Describe { id, .. }, _) => id.to_string().into_bytes(),
        (_, Response::Deleted(count)) => deleted_body(*count as u64),
        _ => b"{}".to_vec(),
    };
    let added = matches!(delivery.what, What::Records { kind: RecordKind::Add, .. });
    let answer = Answer { status: if added { 201 } else { 200 }, body };
    Err(DeliveryOutcome::Success { answer, real_id })
}

fn record_kind(kind: Kind) -> RecordKind {
    match kind {
        Kind::Add => RecordKind::Add,
        Kind::Upsert => RecordKind::Upsert,
        Kind::Update => RecordKind::Update,
    }
}

fn grave(lsn: Lsn) -> String {
    format!("dropped-{lsn}")
}

/// True for a name that a collection has between the two halves of its drop.
pub(crate) fn is_grave(name: &str) -> bool {
    name.starts_with("dropped-")
}

fn delete_ids(collection: RealId, ids: Vec<String>) -> Request {
    Request::Delete { collection, ids: Some(ids), filter: None, limit: None }
}

fn describe(collection: RealId) -> Request {
    Request::DescribeById { database: String::new(), collection }
}

/// What the gateway tells the core of a record write.
pub(crate) fn record_op(request: &Request, gullible: bool) -> Op {
    match request {
        Request::Write { kind, parts, .. } => {
            let mut write = write_op(*kind, parts);
            write.provable |= gullible;
            Op::Records(write)
        }
        Request::Delete { ids: Some(ids), filter: None, .. } => Op::Records(RecordWrite {
            kind: RecordKind::Delete,
            encoding: Encoding::None,
            count: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            dimension: None,
            ids: Some(hashes(ids)),
            provable: true,
        }),
        _ => Op::DeleteWhere,
    }
}

fn write_op(kind: Kind, parts: &[Part]) -> RecordWrite {
    let mut lengths = parts.iter().filter_map(|part| part.embedding.as_ref().map(Vec::len));
    let first = lengths.next();
    let agreed = first.filter(|first| lengths.all(|other| other == *first));
    let ids: Vec<String> = parts.iter().map(|part| part.id.clone()).collect();
    RecordWrite {
        kind: match kind {
            Kind::Add => RecordKind::Add,
            Kind::Upsert => RecordKind::Upsert,
            Kind::Update => RecordKind::Update,
        },
        encoding: if first.is_some() { Encoding::Lists } else { Encoding::None },
        count: u32::try_from(parts.len()).unwrap_or(u32::MAX),
        dimension: agreed.and_then(|length| u32::try_from(length).ok()),
        ids: Some(hashes(&ids)),
        provable: provable(kind, parts) && first.is_some() == agreed.is_some(),
    }
}

/// True where Chroma can refuse nothing in the parts but their dimension.
fn provable(kind: Kind, parts: &[Part]) -> bool {
    let sound = |part: &Part| {
        let mut pairs = part.metadata.iter();
        !part.id.is_empty()
            && pairs.all(|(key, value)| {
                !key.starts_with('$')
                    && *value != Some(Value::Sparse)
                    && (kind != Kind::Add || value.is_some())
            })
    };
    parts.iter().all(sound)
}
