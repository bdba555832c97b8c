//! The rehearsal of a suspect: its request goes to a scratch collection first.
//!
//! What tells of the suspect and of nothing else: a harmless write in a fresh collection is answered, the suspect's
//! request after it is not. Where the answer is an error that leaves open whether the server takes any write, another
//! harmless write in another fresh collection tells.

use bytes::Bytes;
use http::Method;
use serde_json::json;
use uuid::Uuid;

use super::courier::{Courier, Halt, answer, records_under};
use crate::catalog::SYSTEM;
use crate::chroma::answers::{Asked, Meaning, classify};
use crate::chroma::{path, requests, rewrite};
use crate::instances::client::{Reply, SendError};
use crate::replication::event::{Delivery, DeliveryOutcome};
use crate::wal::record::RecordKind;

/// The name of the scratch collection. There is one at a time: nothing else is under way during a trial.
const SCRATCH: &str = "rehearsal";
/// Indefinite answers, each between two harmless writes that are answered, which tell of the request and not of the server.
const TRIES: u8 = 3;

impl Courier {
    /// Rehearses the request of a trial; an error is how the delivery ends, with the collection itself untouched.
    pub(super) async fn rehearse(
        &self,
        delivery: &Delivery,
        kind: RecordKind,
        body: &Bytes,
    ) -> Result<(), Halt> {
        if !delivery.rehearse {
            return Ok(());
        }
        let mut last = None;
        for _ in 0..TRIES {
            let scratch = self.scratch(delivery).await?;
            let reply =
                match self.instance(delivery).call(Method::POST, &to(scratch, kind), body.clone()).await {
                    Ok(reply) => reply,
                    Err(error) if error.not_sent => return Err(unready(error.to_string())),
                    Err(error) => {
                        return Err(DeliveryOutcome::Rehearsal { detail: error.to_string(), answer: None });
                    }
                };
            match classify(Asked::Records, reply.status, &reply.body) {
                Meaning::Success | Meaning::Rejected => {
                    return self.clear_scratch(delivery).await.map_err(|error| unready(error.to_string()));
                }
                Meaning::DeadWriter => {
                    // Works without a writer; where it does not, the next rehearsal clears.
                    _ = self.clear_scratch(delivery).await;
                    return Err(unbearable(delivery, &reply));
                }
                Meaning::Doubt => last = Some(reply),
                Meaning::NotExecuted => {
                    return Err(DeliveryOutcome::NotExecuted { detail: words(&reply), refused: false });
                }
                Meaning::StateLost | Meaning::BrokenIndex => return Err(unready(words(&reply))),
            }
        }
        // Fails where the server takes no write at all, which tells nothing of this one.
        self.scratch(delivery).await?;
        _ = self.clear_scratch(delivery).await;
        last.map_or(Ok(()), |reply| Err(unbearable(delivery, &reply)))
    }

    /// A fresh scratch collection in which a harmless write was answered.
    async fn scratch(&self, delivery: &Delivery) -> Result<Uuid, Halt> {
        let instance = self.instance(delivery);
        let failed = |error: SendError| unready(error.to_string());
        self.clear_scratch(delivery).await.map_err(failed)?;
        let collections = path::collections(SYSTEM, SYSTEM);
        let made = instance.call(Method::POST, &collections, requests::named_body(SCRATCH).into()).await;
        let made = made.map_err(failed)?;
        let Some(scratch) = rewrite::collection_id(&made.body).filter(|_| made.is_success()) else {
            return Err(unready(words(&made)));
        };
        let harmless = json!({"ids": [requests::DIMENSION_ID]}).to_string();
        let written = instance.call(Method::POST, &to(scratch, RecordKind::Update), harmless.into()).await;
        let written = written.map_err(failed)?;
        if written.is_success() { Ok(scratch) } else { Err(unready(words(&written))) }
    }

    /// Drops the scratch collection, where there is one.
    async fn clear_scratch(&self, delivery: &Delivery) -> Result<(), SendError> {
        let by_name = path::collection_by_name(SYSTEM, SYSTEM, SCRATCH);
        self.instance(delivery).call(Method::DELETE, &by_name, Bytes::new()).await.map(|_| ())
    }
}

fn to(scratch: Uuid, kind: RecordKind) -> String {
    records_under(&path::collection(SYSTEM, SYSTEM, scratch), kind)
}

/// The instance writes, and not this.
fn unbearable(delivery: &Delivery, reply: &Reply) -> Halt {
    let detail = format!("in a rehearsal {}", words(reply));
    DeliveryOutcome::Rehearsal { detail, answer: Some(answer(delivery, reply)) }
}

/// No rehearsal came about, and the suspect was sent nowhere; the instance is to be looked at.
fn unready(detail: String) -> Halt {
    DeliveryOutcome::NotExecuted { detail, refused: true }
}

fn words(reply: &Reply) -> String {
    let body: String = String::from_utf8_lossy(&reply.body).chars().take(300).collect();
    format!("it answered {} {body}", reply.status)
}
