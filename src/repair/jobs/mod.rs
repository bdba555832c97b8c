//! Long work of operators: each piece is a *job* with an id, a state, progress, a result and an end.
//!
//! Jobs of one kind run one after the other, in the order in which they were asked for. A job that a stop or a crash
//! interrupted is begun again at the next start, so whatever does the work must bear that.

mod job;
mod progress;
mod runner;
mod table;

pub use job::{End, EndFuture, Job, JobId, JobState, Outcome, Work, WorkFuture};
pub use progress::{Progress, ProgressView};
pub(super) use runner::now_ms;
pub use runner::{Jobs, NotCancelled, NotStarted};
pub(super) use table::SCHEMA;
