//! Lanes, runs, leaders, positions: the core. Pure: events in, actions out.
//!
//! One owner feeds [`core::Core`] one [`event::Event`] at a time and performs the
//! [`event::Action`]s it gets back; time comes in as an argument. Nothing here does I/O, so the same
//! code runs in the process and in the simulator.
//!
//! | room | job |
//! | --- | --- |
//! | `event` | the words between the core and its shell |
//! | `core` | dispatch, and upkeep after every event |
//! | `availability` | instances come and go |
//! | `lane` | one lane: its entries, and where each instance stands in it |
//! | `pending` | one entry, small |
//! | `queue` | many of them |
//! | `step` | what a lane's instance does next |
//! | `run` | which neighbouring writes share a request |
//! | `follow` | how much an instance that follows takes at a time |
//! | `gather` | a leader's pause for the senders that it has just answered |
//! | `pace` | how long a request of so many records takes |
//! | `outcome` | what the end of a delivery means |
//! | `doubt` | deliveries without a definite answer |
//! | `poison` | writes that an instance does not survive: suspects, their trials, and those that are withdrawn |
//! | `consequence` | what a schema entry changes in the catalog |
//! | `durable` | what happens once a record is on disk: verdicts, answers |
//! | `finish` | entries that nobody needs any more |
//! | `leadership` | who decides a lane |
//! | `schema` | which schema entries wait for which |
//! | `read` | which instances may serve a read |
//! | `lag` | how far an instance is behind, in time |
//! | `hold` | lanes that stand still for a moment |
//! | `rebuild` | one collection on one instance is copied while it is in use |
//! | `room` | the log holds no more for who is down for long |
//! | `slowing` | one that falls behind further and further slows acknowledgements |
//! | `cancel` | writes that their senders take back |
//! | `board` | what a reader may know without asking the core |
//! | `publish` | the core writes the board |
//! | `results` | answers that may be given again |
//! | `waiting` | clients that wait for an answer |
//! | `recover` | the core after a restart |
//! | `check` | the invariants, asserted after every event |

mod availability;
pub mod board;
mod cancel;
mod check;
mod consequence;
pub mod core;
mod doubt;
mod durable;
mod duty;
pub mod event;
mod finish;
mod follow;
pub mod gather;
pub mod hold;
mod lag;
pub mod lane;
mod leadership;
mod outcome;
mod pace;
pub mod pending;
mod poison;
mod publish;
mod queue;
mod read;
pub mod rebuild;
pub mod recover;
pub mod results;
mod room;
mod run;
mod schema;
mod slowing;
mod step;
#[cfg(test)]
mod tests;
pub mod view;
mod waiting;
