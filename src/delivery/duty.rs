//! Operators ask for duties, and wait until an instance is drained.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::handle::{Message, Replication};
use crate::chroma::ids::InstanceId;
use crate::replication::core::Core;
use crate::replication::event::Event;
use crate::wal::record::duty::{Duties, Duty, DutyChange};

/// Pause between looks at what is still under way.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// How long the log may take to make a wish durable.
const LOG_PATIENCE: Duration = Duration::from_secs(10);

/// What keeps an instance from being drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Lanes with something pending that it decides.
    pub leads: usize,
    /// Requests that carry writes.
    pub writes: usize,
    /// Reads of clients.
    pub reads: u32,
}

/// What work on one instance after the other must know beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Who decides first now.
    pub preferred: InstanceId,
    /// An instance that lost its state is filled again.
    pub rebuilds: bool,
    /// Three quarters of what the log may hold for instances are held.
    pub log_fills: bool,
}

impl Replication {
    /// What is to be known before one instance after the other is worked on; `None` while this process stops.
    pub async fn outlook(&self) -> Option<Outlook> {
        let log_fills = self.log_fills();
        self.ask(move |core: &Core| {
            let (preferred, rebuilds) = core.outlook();
            Outlook { preferred, rebuilds, log_fills }
        })
        .await
    }

    /// What an operator wants of the instances now.
    pub async fn duties(&self) -> Duties {
        self.ask(|core: &Core| core.duties().clone()).await.unwrap_or_default()
    }

    /// True where another instance is up and serves.
    pub async fn has_other_server(&self, instance: InstanceId) -> bool {
        let duties = self.duties().await;
        let Some(view) = self.view().await else { return false };
        let others = view.instances.iter().filter(|other| other.instance != instance && other.state == "up");
        others.into_iter().any(|other| duties.of(other.instance) == Duty::Serve)
    }

    /// Wants something else of the instances; true when that is durable and holds, false where it takes too long: the log
    /// can't be written.
    pub async fn want(&self, change: DutyChange) -> bool {
        self.send(Message::event(Event::Duty { change }));
        let deadline = Instant::now() + LOG_PATIENCE;
        while self.ask(Core::duties_hold).await != Some(true) {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK_PAUSE).await;
        }
        true
    }

    /// Waits until an instance that is to be drained decides nothing, and nothing is under way there that clients wait for;
    /// gives what is left after `patience`.
    pub async fn drained(&self, instance: InstanceId, patience: Duration) -> Option<Left> {
        let deadline = Instant::now() + patience;
        loop {
            let view = self.view().await?;
            let there = view.instances.iter().find(|there| there.instance == instance)?;
            let reads = self.instances().get(instance.index())?.turns.view().in_flight;
            let left = Left { leads: there.leads, writes: 0, reads };
            if left == Left::default() {
                return None;
            }
            if Instant::now() >= deadline {
                return Some(Left { writes: there.in_flight, ..left });
            }
            sleep(LOOK_PAUSE).await;
        }
    }
}
