//! The errands of a rebuild at the model servers, and what is stored of it beside the log.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::replication::event::{Chunk, Delivery, DeliveryOutcome, Errand, What};
use isochrome::wal::record::{Answer, Lsn};

use crate::model::{
    BROKEN_INDEX, Description, Kind, Metadata, Part, RealId, Record, Request, Response, Value,
};
use crate::world::World;

/// What is stored of a rebuild.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    from: Lsn,
    name: String,
    metadata: Option<Metadata>,
    dimension: Option<usize>,
    ids: Vec<String>,
    /// Ids that are copied.
    copied: usize,
    /// In memory only: the records of so many ids from a place on.
    fetched: BTreeMap<usize, (usize, Vec<Record>)>,
}

impl Task {
    /// Isochrome ends.
    pub(crate) fn forget_memory(&mut self) {
        self.fetched.clear();
    }
}

/// The stored lists of ids.
pub(crate) type Tasks = BTreeMap<(CollectionId, InstanceId), Task>;

/// What an errand has come to, beside its next request.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    Begun,
    Described(Description),
    /// The copy is created; its dimension is being fixed.
    Created(RealId),
    /// These names are still to be deleted.
    Deleting(Vec<String>),
    /// The records of ids from a place on, up to another one.
    Reading(usize, usize),
    Naming,
    /// Something else has the name.
    InTheWay,
}

/// Another request, or the end.
pub(crate) type Next = Result<(Progress, Request), DeliveryOutcome>;

/// An errand as the courier has it.
#[derive(Clone, Copy)]
struct Order {
    errand: Errand,
    id: CollectionId,
    target: InstanceId,
    from: Lsn,
    real_id: Option<RealId>,
}

fn order(delivery: &Delivery) -> Order {
    match delivery.what {
        What::Rebuild { errand, id, target, from, real_id } => Order { errand, id, target, from, real_id },
        ref other => panic!("{other:?} is no errand"),
    }
}

impl World {
    /// The first request of an errand, or its end where none is needed.
    pub(crate) fn begin_errand(&mut self, delivery: &Delivery) -> Next {
        let order = order(delivery);
        let begun = |request| Ok((Progress::Begun, request));
        let described = |collection| Request::DescribeById { database: String::new(), collection };
        match (order.errand, order.real_id) {
            (Errand::PutAway, Some(id)) => {
                self.spoil(delivery.instance.index(), id);
                begun(rename(id, replaced(order.id)))
            }
            (Errand::PutAway, None) => Err(done(None)),
            (Errand::List | Errand::Compare, Some(id)) => begun(described(id)),
            (Errand::Create, _) => begun(drop_named(delivery, copy(order.id))),
            (Errand::Fetch { after }, Some(id)) => {
                let task = self.task(order)?;
                if after.is_none() {
                    task.fetched.clear();
                }
                let before = after.and_then(|after| task.fetched.get_key_value(&(after as usize)));
                let begin = before.map_or(task.copied, |(begin, (count, _))| begin + count);
                self.fetch(order, id, begin, begin)
            }
            (Errand::Put { place, .. }, Some(id)) => match self.task(order)?.fetched.get(&(place as usize)) {
                Some((_, records)) => {
                    let records = records.clone();
                    begun(Request::Write { collection: id, kind: Kind::Add, parts: parts(records) })
                }
                None => {
                    Err(DeliveryOutcome::NotExecuted { detail: "nothing is read".to_owned(), refused: false })
                }
            },
            (Errand::Name, Some(id)) => {
                let task = self.task(order)?;
                let (new_name, new_metadata) = (Some(task.name.clone()), task.metadata.clone());
                Ok((Progress::Naming, Request::ModifyCollection { collection: id, new_name, new_metadata }))
            }
            (Errand::Bury, _) => self.delete_all(delivery, vec![replaced(order.id)]),
            (Errand::Clear, Some(id)) => begun(rename(id, void(id))),
            (Errand::Clear, None) => self.delete_all(delivery, vec![replaced(order.id), copy(order.id)]),
            (errand, None) => panic!("{errand:?} without a collection"),
        }
    }

    /// What follows from an answer.
    pub(crate) fn errand_goes_on(
        &mut self,
        delivery: &Delivery,
        progress: Progress,
        response: Response,
    ) -> Next {
        let order = order(delivery);
        match (order.errand, progress, response) {
            (Errand::PutAway | Errand::Clear | Errand::Bury, progress, response) => {
                self.removal_goes_on(delivery, progress, &response)
            }
            (Errand::Create, Progress::Begun, Response::Done | Response::Refused { status: 404, .. }) => {
                let (database, name) = (home(delivery), copy(order.id));
                let create =
                    Request::CreateCollection { database, name, metadata: None, get_or_create: false };
                Ok((Progress::Naming, create))
            }
            (Errand::Create, Progress::Naming, Response::Collection(made)) => {
                match self.task(order)?.dimension {
                    Some(dimension) => Ok((Progress::Created(made.id), fix_dimension(made.id, dimension))),
                    None => Err(done(Some(made.id))),
                }
            }
            (Errand::Create, Progress::Created(id), Response::Done) => Err(done(Some(id))),
            (Errand::Name, Progress::Naming, Response::Refused { status: 500, .. }) => {
                let name = self.task(order)?.name.clone();
                Ok((Progress::InTheWay, Request::Describe { database: home(delivery), name }))
            }
            (Errand::Name, Progress::InTheWay, found) => {
                panic!("a copy can't get its name, because of {found:?}")
            }
            (_, _, Response::Refused { status, reason }) => Err(refused(status, reason)),
            (Errand::List | Errand::Compare, _, Response::Collection(found)) => {
                let collection = found.id;
                Ok((Progress::Described(found), get(collection, None, false)))
            }
            (Errand::List, Progress::Described(found), Response::Records(records)) => {
                Err(self.listed(order, found, records))
            }
            (Errand::Compare, Progress::Described(found), Response::Records(records)) => {
                Err(DeliveryOutcome::Digest(digest(&found, &records)))
            }
            (Errand::Fetch { .. }, Progress::Reading(begin, end), Response::Records(records)) => {
                self.fetched(order, begin, end, records)
            }
            (Errand::Put { place, .. }, _, Response::Done) => {
                let task = self.task(order)?;
                let (count, _) = task.fetched.remove(&(place as usize)).expect("it was put");
                assert_eq!(task.copied, place as usize, "chunks are put in their order");
                task.copied += count;
                Err(done(None))
            }
            (_, _, Response::Done) => Err(done(None)),
            (errand, progress, response) => panic!("{errand:?} at {progress:?} got {response:?}"),
        }
    }

    /// An errand that removes something; what is gone is removed.
    fn removal_goes_on(&mut self, delivery: &Delivery, progress: Progress, response: &Response) -> Next {
        let order = order(delivery);
        let (gone, taken) = match response {
            Response::Refused { status: 404, .. } => (true, false),
            Response::Refused { status: 500, reason } if reason.contains("UNIQUE") => (false, true),
            Response::Refused { status, reason } => return Err(refused(*status, reason.clone())),
            _ => (false, false),
        };
        match (order.errand, progress, order.real_id) {
            (_, Progress::Deleting(names), _) => self.delete_all(delivery, names),
            (Errand::PutAway, Progress::Begun, Some(id)) if taken => {
                Ok((Progress::Naming, rename(id, void(id))))
            }
            (Errand::PutAway, Progress::Naming, Some(id)) if !gone => {
                self.delete_all(delivery, vec![void(id)])
            }
            (Errand::Clear, Progress::Begun, Some(id)) => {
                self.delete_all(delivery, vec![replaced(order.id), copy(order.id), void(id)])
            }
            _ => Err(done(None)),
        }
    }

    fn task(&mut self, order: Order) -> Result<&mut Task, DeliveryOutcome> {
        let task = self.tasks.get_mut(&(order.id, order.target)).filter(|task| task.from == order.from);
        task.ok_or_else(|| DeliveryOutcome::TaskGone { detail: "the list is gone".to_owned() })
    }

    fn listed(&mut self, order: Order, found: Description, records: Vec<Record>) -> DeliveryOutcome {
        let ids: Vec<String> = records.into_iter().map(|record| record.id).collect();
        let (name, count) = (found.name.clone(), ids.len() as u64);
        let task = Task {
            from: order.from,
            name: found.name,
            metadata: found.metadata,
            dimension: found.dimension,
            ids,
            copied: 0,
            fetched: BTreeMap::new(),
        };
        self.tasks.insert((order.id, order.target), task);
        DeliveryOutcome::Listed { name, ids: count }
    }

    /// Reads the next ids from a place on, which belong to the chunk that begins there or before.
    fn fetch(&mut self, order: Order, collection: RealId, begin: usize, from: usize) -> Next {
        let size = self.random.usize(1..5);
        let task = self.task(order)?;
        let ids: Vec<String> = task.ids[from..].iter().take(size).cloned().collect();
        if ids.is_empty() {
            return Err(DeliveryOutcome::Chunk(Chunk::default()));
        }
        Ok((Progress::Reading(begin, from + ids.len()), get(collection, Some(ids), true)))
    }

    fn fetched(&mut self, order: Order, begin: usize, end: usize, records: Vec<Record>) -> Next {
        self.count("chunks");
        if records.is_empty() {
            return self.fetch(order, order.real_id.expect("it was read"), begin, end);
        }
        let task = self.task(order)?;
        let (place, read, left) = (begin as u64, records.len() as u64, (task.ids.len() - begin) as u64);
        task.fetched.insert(begin, (end - begin, records));
        Err(DeliveryOutcome::Chunk(Chunk { place, records: read, left }))
    }

    fn delete_all(&mut self, delivery: &Delivery, mut names: Vec<String>) -> Next {
        let Some(name) = names.pop() else {
            let order = order(delivery);
            if order.errand != Errand::PutAway {
                self.tasks.remove(&(order.id, order.target));
            }
            return Err(done(None));
        };
        Ok((Progress::Deleting(names), drop_named(delivery, name)))
    }
}

fn refused(status: u16, reason: String) -> DeliveryOutcome {
    let answer = Answer { status, body: reason.clone().into_bytes() };
    match status {
        400 if reason.contains("Database") => DeliveryOutcome::Rejected { answer, dimension: None },
        404 => DeliveryOutcome::StateLost { detail: reason },
        500 if reason.contains("sending message to compactor") => DeliveryOutcome::DeadWriter { answer },
        500 if reason == BROKEN_INDEX => DeliveryOutcome::BrokenCopy { detail: reason },
        500 => DeliveryOutcome::Doubt { detail: reason, answer: Some(answer) },
        _ => DeliveryOutcome::Rejected { answer, dimension: None },
    }
}

fn done(real_id: Option<RealId>) -> DeliveryOutcome {
    DeliveryOutcome::Success { answer: Answer { status: 200, body: b"{}".to_vec() }, real_id }
}

fn digest(found: &Description, records: &[Record]) -> u128 {
    let mut hasher = DefaultHasher::new();
    (&found.name, format!("{:?}", found.metadata), found.dimension).hash(&mut hasher);
    for record in records {
        record.id.hash(&mut hasher);
    }
    u128::from(hasher.finish())
}

fn replaced(id: CollectionId) -> String {
    format!("replaced-{id}")
}

fn copy(id: CollectionId) -> String {
    format!("copy-{id}")
}

/// True for the name of a collection that is replaced, or replaces one.
pub(crate) fn is_put_aside(name: &str) -> bool {
    name.starts_with("replaced-") || name.starts_with("copy-")
}

fn void(id: RealId) -> String {
    format!("void-{id}")
}

fn home(delivery: &Delivery) -> String {
    delivery.home.as_ref().expect("an errand has a home").1.clone()
}

fn drop_named(delivery: &Delivery, name: String) -> Request {
    Request::DropCollection { database: home(delivery), name }
}

fn rename(collection: RealId, name: String) -> Request {
    Request::ModifyCollection { collection, new_name: Some(name), new_metadata: None }
}

fn get(collection: RealId, ids: Option<Vec<String>>, embeddings: bool) -> Request {
    Request::Get { collection, ids, filter: None, limit: None, offset: 0, embeddings }
}

/// Fixes a dimension without a record: the id is no client's.
pub(crate) fn fix_dimension(collection: RealId, dimension: usize) -> Request {
    let part = Part {
        id: "isochrome-nobody".to_owned(),
        embedding: Some(vec![0.0; dimension]),
        document: None,
        metadata: BTreeMap::new(),
    };
    Request::Write { collection, kind: Kind::Update, parts: vec![part] }
}

/// The records as an add has them.
fn parts(records: Vec<Record>) -> Vec<Part> {
    let pairs = |metadata: Metadata| metadata.into_iter().map(|(key, value)| (key, Some(value)));
    let part = |record: Record| Part {
        id: record.id,
        embedding: Some(record.embedding),
        document: record.document,
        metadata: pairs(record.metadata).collect::<BTreeMap<String, Option<Value>>>(),
    };
    records.into_iter().map(part).collect()
}
