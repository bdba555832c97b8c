//! Writes as they go to the log.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::chroma::ids::CollectionId;
use crate::delivery::handle::{Submission, Until};
use crate::gateway::entry::Received;
use crate::gateway::state::AppState;
use crate::gateway::transaction::outcome::Told;
use crate::gateway::transaction::prefer;
use crate::wal::record::{EntryHead, Lane, Op, Transaction};

/// Who sent a write, as the log keeps it.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) id: String,
    pub(super) fingerprint: u128,
    method: String,
    path: String,
    accepted_ms: u64,
    /// How long it waits for what it is told.
    pub(super) until: Until,
}

impl Sender {
    pub(super) fn new(id: String, fingerprint: u128, request: &Received) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id,
            fingerprint,
            method: request.method.as_str().to_owned(),
            path: request.path_and_query().to_owned(),
            accepted_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            until: prefer::until(&request.headers),
        }
    }

    /// The write that the sender is answered for.
    pub(super) fn submission(&self, lane: Lane, op: Op, body: Bytes) -> Submission {
        let transaction = Transaction {
            id: self.id.clone(),
            fingerprint: self.fingerprint,
            method: self.method.clone(),
            path: self.path.clone(),
            accepted_ms: self.accepted_ms,
        };
        submission(lane, op, Some(transaction), body)
    }

    /// Logs a group whose last part is the sender's, and waits for what to tell.
    pub(super) async fn log(&self, app: &AppState, group: Vec<Submission>) -> Told {
        Told::of(app.replication.write(group, self.until).await, &self.id)
    }
}

/// The drop of a collection as a part of something larger.
pub(super) fn drop_collection(id: CollectionId) -> Submission {
    part(Lane::Collection(id), Op::DropCollection)
}

/// A part of something larger, without a sender.
pub(super) fn part(lane: Lane, op: Op) -> Submission {
    submission(lane, op, None, Bytes::new())
}

fn submission(lane: Lane, op: Op, transaction: Option<Transaction>, body: Bytes) -> Submission {
    let body_bytes = body.len() as u64;
    Submission { head: EntryHead { lane, op, transaction, body_bytes }, body }
}
