//! One delivery: bodies out of the log, requests to the instance, and what their answers mean.
//!
//! A courier never gives up a request. It waits until the instance answers or the connection ends; how long that may
//! keep a lane waiting is for the core to judge.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::rebuild::Rebuilds;
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::answers::{Asked, Meaning, classify};
use crate::chroma::ids::CollectionId;
use crate::chroma::{path, requests, rewrite, splice};
use crate::instances::client::{Instance, Reply, SendError};
use crate::instances::fence::Fence;
use crate::replication::event::{Delivery, DeliveryOutcome, What};
use crate::wal::Wal;
use crate::wal::record::{Answer, Lane, Lsn, RecordKind};

/// Runs smaller than this are joined where they are; larger ones on the pool for computation.
const JOIN_INLINE_BYTES: usize = 64 << 10;

/// Carries deliveries. Cheap to clone.
#[derive(Clone)]
pub(super) struct Courier {
    pub wal: Arc<Wal>,
    pub instances: Arc<[Arc<Instance>]>,
    pub rebuilds: Arc<Rebuilds>,
    pub fence: Arc<Fence>,
}

/// What stops a delivery on its way.
pub(super) type Halt = DeliveryOutcome;

impl Courier {
    /// Carries one delivery to its end.
    pub(super) async fn deliver(&self, delivery: Delivery) -> DeliveryOutcome {
        match self.carry(&delivery).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn carry(&self, delivery: &Delivery) -> Result<DeliveryOutcome, Halt> {
        match &delivery.what {
            What::Records { kind, real_id } => self.records(delivery, *kind, real(*real_id)).await,
            What::DeleteIds { ids, real_id } => self.delete_ids(delivery, ids, real(*real_id)).await,
            What::FixDimension { dimension, real_id } => {
                let body = requests::fix_dimension_body(*dimension).into();
                let to = records_path(real(*real_id), RecordKind::Update);
                self.ask(delivery, Asked::Records, Method::POST, &to, body).await.map(success)
            }
            What::Resolve { real_id } => self.resolve(delivery, real(*real_id)).await,
            What::Describe { id, real_id } => {
                let reply = self.describe(delivery, real(*real_id)).await?;
                Ok(success(with_public_id(reply, *id)?))
            }
            What::CreateCollection { id, tenant, database, name } => {
                self.create_collection(delivery, *id, (tenant, database, name)).await
            }
            What::ModifyCollection { real_id } => {
                let body = self.body(first(delivery)?).await?;
                let to = collection_path(real(*real_id));
                self.ask(delivery, Asked::ModifyCollection, Method::PUT, &to, body).await.map(success)
            }
            What::DropCollection { real_id, tenant, database } => {
                self.drop_collection(delivery, real(*real_id), (tenant, database)).await
            }
            What::CreateDatabase { tenant, .. } => {
                self.converge(delivery, Asked::CreateDatabase, Method::POST, &path::databases(tenant), 409)
                    .await
            }
            What::DropDatabase { tenant, database } => {
                let to = path::database(tenant, database);
                self.converge(delivery, Asked::DropDatabase, Method::DELETE, &to, 404).await
            }
            What::Rebuild { .. } => self.errand(delivery).await,
            What::CreateTenant { .. } => {
                self.converge(delivery, Asked::CreateTenant, Method::POST, "/api/v2/tenants", 409).await
            }
        }
    }

    pub(super) fn instance(&self, delivery: &Delivery) -> &Instance {
        &self.instances[delivery.instance.index()]
    }

    /// A run of record writes, or a single one as its sender wrote it.
    async fn records(
        &self,
        delivery: &Delivery,
        kind: RecordKind,
        id: Uuid,
    ) -> Result<DeliveryOutcome, Halt> {
        let mut bodies = Vec::with_capacity(delivery.entries.len());
        for lsn in &delivery.entries {
            bodies.push(self.body(*lsn).await?);
        }
        let body = join(kind, bodies).await?;
        self.rehearse(delivery, kind, &body).await?;
        let reply = self.ask(delivery, Asked::Records, Method::POST, &records_path(id, kind), body).await;
        match reply {
            Ok(reply) => Ok(success(reply)),
            Err(DeliveryOutcome::Rejected { answer, .. }) if delivery.probe_dimension => {
                let described = self.describe(delivery, id).await?;
                let dimension = rewrite::collection_name_and_dimension(&described.body);
                Ok(DeliveryOutcome::Rejected { answer, dimension: dimension.and_then(|(_, d)| d) })
            }
            Err(halt) => Err(halt),
        }
    }

    /// The description of a collection as the instance gives it.
    pub(super) async fn describe(&self, delivery: &Delivery, id: Uuid) -> Result<Reply, Halt> {
        let (tenant, database) = match &delivery.home {
            Some((tenant, database)) => (tenant.as_str(), database.as_str()),
            None => (DEFAULT_TENANT, DEFAULT_DATABASE),
        };
        let to = format!("{}/by-id/{id}", path::collections(tenant, database));
        self.ask(delivery, Asked::Read, Method::GET, &to, Bytes::new()).await
    }

    /// Sends one request; anything but a success is how the delivery ends.
    pub(super) async fn ask(
        &self,
        delivery: &Delivery,
        asked: Asked,
        method: Method,
        to: &str,
        body: Bytes,
    ) -> Result<Reply, Halt> {
        self.may_send(delivery)?;
        let reply = self.instance(delivery).call(method, to, body).await.map_err(|error| lost(&error))?;
        let detail = || {
            let body: String = String::from_utf8_lossy(&reply.body).chars().take(300).collect();
            format!("it answered {} {body}", reply.status)
        };
        Err(match classify(asked, reply.status, &reply.body) {
            Meaning::Success => return Ok(reply),
            Meaning::Rejected => {
                DeliveryOutcome::Rejected { answer: answer(delivery, &reply), dimension: None }
            }
            Meaning::StateLost => DeliveryOutcome::StateLost { detail: detail() },
            Meaning::NotExecuted => DeliveryOutcome::NotExecuted { detail: detail(), refused: false },
            Meaning::DeadWriter => DeliveryOutcome::DeadWriter { answer: answer(delivery, &reply) },
            Meaning::BrokenIndex => DeliveryOutcome::BrokenCopy { detail: detail() },
            Meaning::Doubt => {
                DeliveryOutcome::Doubt { detail: detail(), answer: Some(answer(delivery, &reply)) }
            }
        })
    }

    /// Nothing is sent while another Isochrome may be writing; the instance is looked at again.
    pub(super) fn may_send(&self, delivery: &Delivery) -> Result<(), Halt> {
        let refused = |detail| DeliveryOutcome::NotExecuted { detail, refused: true };
        self.fence.lets_write(self.instance(delivery)).map_err(refused)
    }

    /// The body of an entry. While the log can't be read the delivery counts as not sent, and is tried again.
    pub(super) async fn body(&self, lsn: Lsn) -> Result<Bytes, Halt> {
        if let Some(body) = self.wal.cached_body(lsn) {
            return Ok(body);
        }
        let wal = Arc::clone(&self.wal);
        let read = tokio::task::spawn_blocking(move || wal.body(lsn)).await;
        let error = match read {
            Ok(Ok(body)) => return Ok(body),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(%lsn, error, "the body of a logged write can't be read");
        Err(DeliveryOutcome::NotExecuted { detail: error, refused: false })
    }
}

/// Joins the bodies of a run.
async fn join(kind: RecordKind, mut bodies: Vec<Bytes>) -> Result<Bytes, Halt> {
    if bodies.len() == 1
        && let Some(body) = bodies.pop()
    {
        return Ok(body);
    }
    let all: usize = bodies.iter().map(Bytes::len).sum();
    let work = move || splice::splice(kind, &bodies.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>());
    let joined = if all < JOIN_INLINE_BYTES {
        work().map_err(|error| error.to_string())
    } else {
        let (sender, joined) = oneshot::channel();
        rayon::spawn(move || _ = sender.send(work()));
        match joined.await {
            Ok(joined) => joined.map_err(|error| error.to_string()),
            Err(_) => Err("joining a run failed".to_owned()),
        }
    };
    joined.map(Bytes::from).map_err(|detail| {
        tracing::error!(detail, "a run can't be joined; its writes go one by one");
        // A rejected run is split; nothing of this one was sent.
        DeliveryOutcome::Rejected {
            answer: Answer { status: 400, body: detail.into_bytes() },
            dimension: None,
        }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "fits `map`, and the answer ends here")]
pub(super) fn success(reply: Reply) -> DeliveryOutcome {
    let answer = Answer { status: reply.status, body: reply.body.to_vec() };
    DeliveryOutcome::Success { answer, real_id: None }
}

pub(super) fn lost(error: &SendError) -> Halt {
    if error.not_sent {
        DeliveryOutcome::NotExecuted { detail: error.to_string(), refused: true }
    } else {
        DeliveryOutcome::Doubt { detail: error.to_string(), answer: None }
    }
}

/// An instance's answer in public words: the real id becomes the public one.
pub(super) fn answer(delivery: &Delivery, reply: &Reply) -> Answer {
    let body = match (&delivery.lane, real_of(&delivery.what)) {
        (Lane::Collection(public), Some(real)) => rewrite::mend_message(&reply.body, real, *public),
        _ => reply.body.to_vec(),
    };
    Answer { status: reply.status, body }
}

fn real_of(what: &What) -> Option<Uuid> {
    match what {
        What::Records { real_id, .. }
        | What::DeleteIds { real_id, .. }
        | What::FixDimension { real_id, .. }
        | What::Resolve { real_id }
        | What::Describe { real_id, .. }
        | What::ModifyCollection { real_id }
        | What::DropCollection { real_id, .. } => Some(real(*real_id)),
        What::Rebuild { real_id, .. } => real_id.map(real),
        _ => None,
    }
}

pub(super) fn with_public_id(mut reply: Reply, id: CollectionId) -> Result<Reply, Halt> {
    let Some(body) = rewrite::collection_with_id(&reply.body, id) else {
        let body = String::from_utf8_lossy(&reply.body).chars().take(300).collect::<String>();
        return Err(DeliveryOutcome::Doubt { detail: format!("no collection in {body}"), answer: None });
    };
    reply.body = body.into();
    Ok(reply)
}

pub(super) fn first(delivery: &Delivery) -> Result<Lsn, Halt> {
    let none = || DeliveryOutcome::NotExecuted { detail: "an empty delivery".to_owned(), refused: false };
    delivery.entries.first().copied().ok_or_else(none)
}

fn real(id: u128) -> Uuid {
    Uuid::from_u128(id)
}

/// Chroma does not check the tenant and the database of a path with an id in it.
pub(super) fn collection_path(id: Uuid) -> String {
    path::collection(DEFAULT_TENANT, DEFAULT_DATABASE, id)
}

pub(super) fn records_path(id: Uuid, kind: RecordKind) -> String {
    records_under(&collection_path(id), kind)
}

/// The same under a collection's path.
pub(super) fn records_under(collection: &str, kind: RecordKind) -> String {
    let operation = match kind {
        RecordKind::Add => "add",
        RecordKind::Upsert => "upsert",
        RecordKind::Update => "update",
        RecordKind::Delete => "delete",
    };
    format!("{collection}/{operation}")
}
