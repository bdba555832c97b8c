//! What a job is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::progress::{Progress, ProgressView};

/// Names a job in its data directory. From 1, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for others of its kind.
    Queued,
    Running,
    /// The process ended under it; it is begun again.
    Interrupted,
    /// It came to its end, which its result tells.
    Done,
    Failed,
    Cancelled,
}

impl JobState {
    /// All of them, with the words that people and the store use.
    pub(super) const WORDS: [(Self, &'static str); 6] = [
        (Self::Queued, "queued"),
        (Self::Running, "running"),
        (Self::Interrupted, "interrupted"),
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    /// True where nothing more will happen.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A job as it is shown. Times are Unix times in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    /// What it does, such as `verify`.
    pub kind: String,
    /// What exactly was asked for.
    pub request: Value,
    pub state: JobState,
    /// How often the process ended under it.
    pub interruptions: u64,
    pub created_ms: u64,
    pub started_ms: Option<u64>,
    pub ended_ms: Option<u64>,
    /// While it runs, and as it stood at the end.
    pub progress: Option<ProgressView>,
    /// What came out, in a line.
    pub summary: Option<String>,
    /// What came out; null until it is done, and in lists.
    pub result: Value,
}

/// What came out of a job that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub summary: String,
    pub result: Value,
}

/// The way of a job to its end. The error tells people why it failed. Dropped where the job is cancelled.
pub type WorkFuture = Pin<Box<dyn Future<Output = Result<Outcome, String>> + Send>>;

/// How a job ended, and what is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub state: JobState,
    pub summary: Option<String>,
    pub result: Value,
}

impl From<Result<Outcome, String>> for End {
    fn from(ended: Result<Outcome, String>) -> Self {
        match ended {
            Ok(Outcome { summary, result }) => Self { state: JobState::Done, summary: Some(summary), result },
            Err(why) => Self { state: JobState::Failed, summary: Some(why), result: Value::Null },
        }
    }
}

/// The way of a cancelled job to its end.
pub type EndFuture = Pin<Box<dyn Future<Output = End> + Send>>;

/// A kind of job.
pub trait Work: Send + Sync + 'static {
    /// The name of the kind.
    fn kind(&self) -> &'static str;

    /// Does what was asked for, telling how far it is. May be begun again after any interruption.
    fn run(&self, request: Value, progress: Arc<Progress>) -> WorkFuture;

    /// Brings what was cancelled, after it was dropped wherever it was, to a state that is worth something. It may end in
    /// another way than cancelled.
    fn cancelled(&self, request: Value, progress: Arc<Progress>) -> EndFuture {
        _ = (request, progress);
        let end = End { state: JobState::Cancelled, summary: None, result: Value::Null };
        Box::pin(std::future::ready(end))
    }
}
