//! Jobs from their request to their end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::job::{End, Job, JobId, JobState, Work};
use super::progress::Progress;
use super::table;
use crate::repair::store::{Store, StoreError};

/// Jobs that may wait or run at once.
const MAX_OPEN: usize = 32;

/// Why a job was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    #[error(
        "{MAX_OPEN} jobs wait or run already; wait for one, or cancel one with `isochrome jobs ID --cancel`"
    )]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a job was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum NotCancelled {
    #[error("there is no such job")]
    Unknown,
    #[error("it is over")]
    Over,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All jobs of a data directory. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    store: Arc<Store>,
    kinds: Arc<BTreeMap<&'static str, Kind>>,
    open: Arc<Mutex<BTreeMap<JobId, Open>>>,
}

struct Kind {
    work: Arc<dyn Work>,
    /// Held by the one that runs; the others come in the order in which they asked.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A job that has not ended.
struct Open {
    progress: Arc<Progress>,
    cancel: watch::Sender<bool>,
    task: Option<AbortHandle>,
}

impl Jobs {
    /// Jobs of these kinds. Nothing runs before [`Jobs::resume`].
    #[must_use]
    pub fn new(store: Arc<Store>, kinds: Vec<Arc<dyn Work>>) -> Self {
        let kind = |work: Arc<dyn Work>| (work.kind(), Kind { work, turn: Arc::default() });
        Self { store, kinds: Arc::new(kinds.into_iter().map(kind).collect()), open: Arc::default() }
    }

    /// Begins again what the end of the process interrupted, and what waited.
    ///
    /// # Errors
    /// [`StoreError`] where that can't be read.
    pub async fn resume(&self) -> Result<(), StoreError> {
        for mut job in self.stored(table::interrupt).await? {
            if self.kinds.contains_key(job.kind.as_str()) {
                if job.state == JobState::Interrupted {
                    tracing::info!(job = job.id.0, kind = job.kind, "a job was interrupted and begins again");
                }
                self.launch(job);
            } else {
                let why = format!("this version knows no jobs of the kind {}", job.kind);
                job.fail(why);
                self.note_end(job).await;
            }
        }
        Ok(())
    }

    /// Asks for a job; it runs when those of its kind before it are over.
    ///
    /// # Errors
    /// [`NotStarted`] tells why it will not.
    pub async fn start(&self, kind: &'static str, request: Value) -> Result<Job, NotStarted> {
        if self.open().len() >= MAX_OPEN {
            return Err(NotStarted::TooMany);
        }
        let noted = request.clone();
        let id = self.stored(move |conn| table::insert(conn, kind, &noted, now_ms())).await?;
        let job = Job {
            id,
            kind: kind.to_owned(),
            request,
            state: JobState::Queued,
            interruptions: 0,
            created_ms: now_ms(),
            started_ms: None,
            ended_ms: None,
            progress: None,
            summary: None,
            result: Value::Null,
        };
        self.launch(job.clone());
        Ok(job)
    }

    /// All jobs that are remembered, the newest first, without their results.
    ///
    /// # Errors
    /// [`StoreError`] where they can't be read.
    pub async fn list(&self) -> Result<Vec<Job>, StoreError> {
        let mut jobs = self.stored(table::all).await?;
        for job in &mut jobs {
            self.add_progress(job);
        }
        Ok(jobs)
    }

    /// A job with its result.
    ///
    /// # Errors
    /// [`StoreError`] where it can't be read.
    pub async fn get(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let mut job = self.stored(move |conn| table::find(conn, id)).await?;
        if let Some(job) = &mut job {
            self.add_progress(job);
        }
        Ok(job)
    }

    /// The last job of a kind that came to its end, with its result.
    ///
    /// # Errors
    /// [`StoreError`] where it can't be read.
    pub async fn last_done(&self, kind: &'static str) -> Result<Option<Job>, StoreError> {
        self.stored(move |conn| table::last_done(conn, kind)).await
    }

    /// When the last job of a kind was asked for: Unix time in milliseconds.
    ///
    /// # Errors
    /// [`StoreError`] where it can't be read.
    pub async fn last_created_ms(&self, kind: &'static str) -> Result<Option<u64>, StoreError> {
        self.stored(move |conn| table::last_created_ms(conn, kind)).await
    }

    /// Ends a job that is not over, and returns when it has ended.
    ///
    /// # Errors
    /// [`NotCancelled`] tells why it goes on, or went on to its end.
    pub async fn cancel(&self, id: JobId) -> Result<Job, NotCancelled> {
        let told = self.open().get(&id).map(|open| open.cancel.clone());
        if let Some(cancel) = told {
            cancel.send_replace(true);
            // Closed by the job's task at its end.
            cancel.closed().await;
        }
        match self.get(id).await? {
            Some(job) if job.state == JobState::Cancelled => Ok(job),
            Some(_) => Err(NotCancelled::Over),
            None => Err(NotCancelled::Unknown),
        }
    }

    /// Gives up what runs, for the next start to begin again.
    pub fn stop(&self) {
        for (_, open) in std::mem::take(&mut *self.open()) {
            open.task.iter().for_each(AbortHandle::abort);
        }
    }

    fn launch(&self, job: Job) {
        let Some(kind) = self.kinds.get(job.kind.as_str()) else { return };
        let (cancel, cancelled) = watch::channel(false);
        let progress = Arc::new(Progress::new("records"));
        let id = job.id;
        // Noted first: the task takes it away at its end.
        self.open().insert(id, Open { progress: Arc::clone(&progress), cancel, task: None });
        let (work, turn) = (Arc::clone(&kind.work), Arc::clone(&kind.turn));
        let task = tokio::spawn(self.clone().run(job, (work, turn), progress, cancelled));
        if let Some(open) = self.open().get_mut(&id) {
            open.task = Some(task.abort_handle());
        }
    }

    async fn run(
        self,
        mut job: Job,
        (work, turn): (Arc<dyn Work>, Arc<tokio::sync::Mutex<()>>),
        progress: Arc<Progress>,
        mut cancelled: watch::Receiver<bool>,
    ) {
        let doing = async {
            let _turn = turn.lock().await;
            let id = job.id;
            if let Err(error) = self.stored(move |conn| table::begin(conn, id, now_ms())).await {
                return Err(error.to_string());
            }
            work.run(job.request.clone(), Arc::clone(&progress)).await
        };
        let ended = tokio::select! {
            ended = doing => Some(End::from(ended)),
            _ = cancelled.wait_for(|cancelled| *cancelled) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => work.cancelled(job.request.clone(), Arc::clone(&progress)).await,
        };
        job.progress = Some(progress.view());
        (job.state, job.summary, job.result) = (ended.state, ended.summary, ended.result);
        let id = job.id;
        self.note_end(job).await;
        self.open().remove(&id);
    }

    async fn note_end(&self, mut job: Job) {
        job.ended_ms = Some(now_ms());
        let (id, state) = (job.id.0, job.state.word());
        let (kind, summary) = (job.kind.clone(), job.summary.clone().unwrap_or_default());
        tracing::info!(job = id, kind, state, summary, "a job ended");
        if let Err(error) = self.stored(move |conn| table::end(conn, &job)).await {
            tracing::error!(job = id, %error, "the end of a job can't be noted; the next start begins it again");
        }
    }

    fn add_progress(&self, job: &mut Job) {
        if let Some(open) = self.open().get(&job.id) {
            job.progress = Some(open.progress.view());
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<JobId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn stored<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || store.with(work)).await;
        done.unwrap_or_else(|_| Err(StoreError::stopping()))
    }
}

impl Job {
    fn fail(&mut self, why: String) {
        (self.state, self.summary) = (JobState::Failed, Some(why));
    }
}

/// Unix time in milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
