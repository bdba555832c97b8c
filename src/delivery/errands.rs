//! Deliveries that take several requests. Each can be repeated after any interruption.

use bytes::Bytes;
use http::Method;
use uuid::Uuid;

use super::courier::{
    Courier, Halt, answer, collection_path, first, lost, records_path, success, with_public_id,
};
use crate::chroma::answers::{Asked, Meaning, classify};
use crate::chroma::ids::CollectionId;
use crate::chroma::{collections, path, requests, rewrite};
use crate::instances::client::Reply;
use crate::replication::event::{Delivery, DeliveryOutcome};
use crate::wal::record::{Answer, Lsn, RecordKind};

/// Ids in one request of a resolved delete.
const DELETE_PIECE: usize = 5_000;

impl Courier {
    /// Deletes in bounded pieces; a repetition deletes what is gone already, which changes nothing.
    pub(super) async fn delete_ids(
        &self,
        delivery: &Delivery,
        ids: &[String],
        id: Uuid,
    ) -> Result<DeliveryOutcome, Halt> {
        let to = records_path(id, RecordKind::Delete);
        for piece in ids.chunks(DELETE_PIECE).filter(|_| delivery.rehearse) {
            self.rehearse(delivery, RecordKind::Delete, &requests::delete_ids_body(piece).into()).await?;
        }
        for piece in ids.chunks(DELETE_PIECE) {
            let body = requests::delete_ids_body(piece).into();
            self.ask(delivery, Asked::Records, Method::POST, &to, body).await?;
        }
        let answer = Answer { status: 200, body: rewrite::deleted_body(ids.len() as u64) };
        Ok(DeliveryOutcome::Success { answer, real_id: None })
    }

    /// Reads the ids that a predicate matches.
    pub(super) async fn resolve(&self, delivery: &Delivery, id: Uuid) -> Result<DeliveryOutcome, Halt> {
        let body = self.body(first(delivery)?).await?;
        let Some(get) = requests::get_ids_body_for_delete(&body) else {
            // Not readable as such a delete: Chroma words its refusal itself.
            let to = records_path(id, RecordKind::Delete);
            return self.ask(delivery, Asked::Records, Method::POST, &to, body).await.map(success);
        };
        let to = format!("{}/get", collection_path(id));
        let reply = self.ask(delivery, Asked::Read, Method::POST, &to, get.into()).await?;
        match requests::parse_get_ids(&reply.body) {
            Some(ids) => Ok(DeliveryOutcome::Ids(ids)),
            None => Err(unreadable(delivery, &reply)),
        }
    }

    /// A request that ends where it should also when it was done before, which `done` tells.
    pub(super) async fn converge(
        &self,
        delivery: &Delivery,
        asked: Asked,
        method: Method,
        to: &str,
        done: u16,
    ) -> Result<DeliveryOutcome, Halt> {
        let body = if method == Method::DELETE { Bytes::new() } else { self.body(first(delivery)?).await? };
        self.may_send(delivery)?;
        let sent = self.instance(delivery).call(method.clone(), to, body.clone()).await;
        let reply = sent.map_err(|error| lost(&error))?;
        if reply.status == done {
            let answer = Answer { status: 200, body: b"{}".to_vec() };
            return Ok(DeliveryOutcome::Success { answer, real_id: None });
        }
        match classify(asked, reply.status, &reply.body) {
            Meaning::Success => Ok(success(reply)),
            Meaning::Rejected => {
                Ok(DeliveryOutcome::Rejected { answer: answer(delivery, &reply), dimension: None })
            }
            _ => Err(unreadable(delivery, &reply)),
        }
    }

    /// Creates a collection, always as a plain create: whether a name is taken is for the catalog to say.
    pub(super) async fn create_collection(
        &self,
        delivery: &Delivery,
        id: CollectionId,
        (tenant, database, name): (&str, &str, &str),
    ) -> Result<DeliveryOutcome, Halt> {
        let lsn = first(delivery)?;
        let body = self.body(lsn).await?;
        let body: Bytes = collections::plain_create(&body).map_or(body, Bytes::from);
        let to = path::collections(tenant, database);
        let created = match self.create(delivery, &to, body.clone()).await? {
            Ok(created) => created,
            Err(taken) => {
                let by_name = path::collection_by_name(tenant, database, name);
                match self.adopt(delivery, &by_name, lsn).await? {
                    Some(own) => own,
                    None => match self.create(delivery, &to, body).await? {
                        Ok(created) => created,
                        Err(_) => return Err(unreadable(delivery, &taken)),
                    },
                }
            }
        };
        let Some(real_id) = rewrite::collection_id(&created.body) else {
            return Err(unreadable(delivery, &created));
        };
        let public = with_public_id(created, id)?;
        let answer = Answer { status: 200, body: public.body.to_vec() };
        Ok(DeliveryOutcome::Success { answer, real_id: Some(real_id.as_u128()) })
    }

    /// The created collection, or the 409 of a taken name.
    async fn create(&self, delivery: &Delivery, to: &str, body: Bytes) -> Result<Result<Reply, Reply>, Halt> {
        match self.ask(delivery, Asked::CreateCollection, Method::POST, to, body).await {
            Ok(reply) => Ok(Ok(reply)),
            Err(DeliveryOutcome::Rejected { answer, .. }) if answer.status == 409 => {
                Ok(Err(Reply { status: answer.status, body: answer.body.into() }))
            }
            Err(halt) => Err(halt),
        }
    }

    /// What stands under a name that the catalog has free: our own create that was in doubt, which is empty because
    /// nothing follows a create before its outcome is known; else a ghost, which is renamed away (`None`).
    async fn adopt(&self, delivery: &Delivery, by_name: &str, lsn: Lsn) -> Result<Option<Reply>, Halt> {
        let found = self.ask(delivery, Asked::Read, Method::GET, by_name, Bytes::new()).await;
        let found = match found {
            Ok(found) => found,
            // Gone in the meantime: the create is tried again.
            Err(DeliveryOutcome::StateLost { .. }) => return Ok(None),
            Err(halt) => return Err(halt),
        };
        let Some(real_id) = rewrite::collection_id(&found.body) else {
            return Err(unreadable(delivery, &found));
        };
        let to = collection_path(real_id);
        if delivery.doubt {
            let count = format!("{to}/count");
            let count = self.ask(delivery, Asked::Read, Method::GET, &count, Bytes::new()).await?;
            if count.body.as_ref() == b"0" {
                return Ok(Some(found));
            }
        }
        let ghost = format!("isochrome-ghost-{lsn}-{}", real_id.simple());
        tracing::warn!(
            instance = self.instance(delivery).name,
            renamed_to = ghost,
            "a collection that Isochrome did not create has a name that a client wants; it was renamed"
        );
        let body = requests::rename_body(&ghost).into();
        self.ask(delivery, Asked::ModifyCollection, Method::PUT, &to, body).await?;
        Ok(None)
    }

    /// Drops a collection by its id: under a name of its own first, so that a repeated or late request can't meet a
    /// successor of the same name.
    pub(super) async fn drop_collection(
        &self,
        delivery: &Delivery,
        id: Uuid,
        (tenant, database): (&str, &str),
    ) -> Result<DeliveryOutcome, Halt> {
        let grave = requests::grave(first(delivery)?.0);
        let body = requests::rename_body(&grave).into();
        let renamed =
            self.ask(delivery, Asked::ModifyCollection, Method::PUT, &collection_path(id), body).await;
        match renamed {
            Ok(_) => {
                let to = path::collection_by_name(tenant, database, &grave);
                let dropped =
                    self.ask(delivery, Asked::DropCollection, Method::DELETE, &to, Bytes::new()).await;
                if !matches!(dropped, Ok(_) | Err(DeliveryOutcome::StateLost { .. })) {
                    dropped?;
                }
            }
            Err(DeliveryOutcome::StateLost { .. }) if delivery.doubt => {}
            Err(halt) => return Err(halt),
        }
        Ok(DeliveryOutcome::Success { answer: Answer { status: 200, body: b"{}".to_vec() }, real_id: None })
    }
}

/// A definite answer that makes no sense: in doubt.
fn unreadable(delivery: &Delivery, reply: &Reply) -> Halt {
    let body: String = String::from_utf8_lossy(&reply.body).chars().take(300).collect();
    let detail = format!("it answered {} {body}", reply.status);
    DeliveryOutcome::Doubt { detail, answer: Some(answer(delivery, reply)) }
}
