//! Withdrawn writes that are kept, and what an operator does with them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::handle::{Message, Replication, Submission, Until, Written};
use crate::chroma::ids::InstanceId;
use crate::replication::event::Event;
use crate::wal::record::{EntryHead, Lsn, Transaction};

/// Looks for whether a write is discarded.
const LOOKS: u32 = 1_000;
/// Pause between them.
const PAUSE: Duration = Duration::from_millis(5);

/// A withdrawn write that is kept.
#[derive(Clone, Debug)]
pub struct Poisoned {
    pub lsn: Lsn,
    pub head: EntryHead,
    /// The last instance that died, or stopped writing, under the write itself.
    pub instance: InstanceId,
    /// That instance is the last one that has the collection, which is out of use.
    pub blocks: bool,
}

/// A write that was sent again.
#[derive(Clone, Debug)]
pub struct Forced {
    /// Its new transaction id.
    pub id: String,
}

impl Replication {
    /// The withdrawn writes that are kept, in the order of the log.
    pub async fn poisoned(&self) -> Vec<Poisoned> {
        let views = self.view().await.map(|view| view.poisoned).unwrap_or_default();
        let wal = Arc::clone(&self.shared.wal);
        let read = move || {
            let heads = views.into_iter().filter_map(|view| Some((wal.head(view.lsn).ok()?, view)));
            heads
                .map(|(head, view)| Poisoned {
                    lsn: view.lsn,
                    head,
                    instance: view.instance,
                    blocks: view.blocks,
                })
                .collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    /// Gives a withdrawn write up; false where that is not durable in time.
    pub async fn discard(&self, lsn: Lsn) -> bool {
        self.send(Message::event(Event::Discard { lsn }));
        for _ in 0..LOOKS {
            let view = self.view().await;
            if view.is_some_and(|view| view.poisoned.iter().all(|one| one.lsn != lsn)) {
                return true;
            }
            sleep(PAUSE).await;
        }
        false
    }

    /// Logs a withdrawn write again, under a transaction id of its own, and gives the old one up. A repetition logs it
    /// no second time.
    ///
    /// # Errors
    /// Why it was not logged, for people.
    pub async fn force(&self, poisoned: Poisoned) -> Result<Forced, String> {
        let Poisoned { lsn, mut head, .. } = poisoned;
        let known = head.transaction.take();
        let id = known.as_ref().map_or_else(|| lsn.to_string(), |sender| sender.id.clone());
        let id = format!("{id}-forced");
        let logged = self.transaction(&id).await.map_err(|error| error.to_string())?;
        if logged.is_none() {
            let wal = Arc::clone(&self.shared.wal);
            let body = tokio::task::spawn_blocking(move || wal.body(lsn)).await;
            let body = body.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            head.transaction = known.map(|sender| Transaction { id: id.clone(), ..sender });
            match self.write(vec![Submission { head, body }], Until::Logged).await {
                Written::Logged { .. } | Written::Accepted { .. } => {}
                Written::NotLogged { reason } => return Err(reason),
                Written::Overloaded => return Err("too many writes wait; try again".to_owned()),
                Written::Stopping => return Err("Isochrome is stopping".to_owned()),
            }
        }
        self.discard(lsn).await;
        Ok(Forced { id })
    }
}
