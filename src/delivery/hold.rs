//! Holds of lanes as others use them; see [`crate::replication::hold`].

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;

use super::handle::{Message, Replication};
use crate::chroma::ids::InstanceId;
use crate::replication::hold::{HoldId, NotHeld};
use crate::wal::record::{Lane, Lsn};

/// A hold that is asked for.
pub(super) struct Wanted {
    pub lane: Lane,
    pub instances: Vec<InstanceId>,
    pub for_ms: u64,
    pub held: Held,
}

/// Takes where the lane stands still, or why it can't.
type Held = oneshot::Sender<Result<(HoldId, Lsn), NotHeld>>;

/// The holds that the owner of the core keeps for others.
#[derive(Default)]
pub(super) struct Holds {
    /// Who still waits for its hold; `None` for one that is had.
    asked: HashMap<HoldId, Option<Held>>,
    last: u64,
}

impl Holds {
    /// Notes who asks for a hold; gives its name.
    pub fn ask(&mut self, held: Held) -> HoldId {
        self.last += 1;
        self.asked.insert(HoldId(self.last), Some(held));
        HoldId(self.last)
    }

    /// A hold is had.
    pub fn held(&mut self, hold: HoldId, position: Lsn) {
        if let Some(held) = self.asked.get_mut(&hold).and_then(Option::take) {
            // One who has gone leaves it to the hold's time to end it.
            _ = held.send(Ok((hold, position)));
        }
    }

    /// A hold ended by itself.
    pub fn ended(&mut self, hold: HoldId, why: NotHeld) {
        if let Some(Some(held)) = self.asked.remove(&hold) {
            _ = held.send(Err(why));
        }
    }

    /// Ends a hold; true where it had not ended before.
    pub fn released(&mut self, hold: HoldId) -> bool {
        self.asked.remove(&hold).is_some()
    }
}

/// A lane that stands still on some instances. It goes on when this is released or dropped.
#[must_use]
pub struct HeldLane {
    replication: Replication,
    hold: HoldId,
    /// Everything in the lane up to this is applied on each of the instances, and nothing later was sent there.
    pub position: Lsn,
    is_released: bool,
}

impl HeldLane {
    /// Lets the lane go on; true where it had stood still until now, so that what was read meanwhile is the state at the
    /// position.
    pub async fn release(mut self) -> bool {
        self.is_released = true;
        let (intact, answer) = oneshot::channel();
        self.replication.send(Message::Release { hold: self.hold, intact: Some(intact) });
        answer.await.unwrap_or(false)
    }
}

impl Drop for HeldLane {
    fn drop(&mut self) {
        if !self.is_released {
            self.replication.send(Message::Release { hold: self.hold, intact: None });
        }
    }
}

impl Replication {
    /// Stops a lane on these instances at one position, for at most so long, the wait for it included. While its leader
    /// is among them, writes of the lane wait.
    ///
    /// # Errors
    /// [`NotHeld`] where it can't be had in time.
    pub async fn hold(
        &self,
        lane: Lane,
        instances: Vec<InstanceId>,
        at_most: Duration,
    ) -> Result<HeldLane, NotHeld> {
        let (held, answer) = oneshot::channel();
        let for_ms = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
        self.send(Message::Hold(Wanted { lane, instances, for_ms, held }));
        let (hold, position) = answer.await.unwrap_or(Err(NotHeld::Gone))?;
        Ok(HeldLane { replication: self.clone(), hold, position, is_released: false })
    }
}
