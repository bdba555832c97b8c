//! Proof that the instances are the same, and the long work of operators.
//!
//! | room | job |
//! | --- | --- |
//! | `store` | `jobs.db`: what that work must remember over a restart |
//! | `jobs` | long work with an id, progress, a result, and an end |
//! | `verify` | compares every record of every collection on all instances, while writes go on |
//! | `adopt` | a data directory for servers that hold data already |
//! | `takeover` | what an operator should know before this log is chosen against another |

pub mod adopt;
pub mod jobs;
mod store;
pub mod takeover;
pub mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::delivery::handle::Replication;
use jobs::{Job, Jobs, NotStarted};
pub use store::{Store, StoreError};
use verify::report::Report;
use verify::{Verify, VerifyWork};

/// The long work of a running process.
pub struct Repair {
    pub jobs: Jobs,
    pub verify: Arc<Verify>,
    every: watch::Sender<Duration>,
    schedules: [AbortHandle; 2],
}

impl Repair {
    /// Opens `jobs.db`, begins again what was interrupted, and compares each time when `every` is over; zero: never.
    ///
    /// # Errors
    /// [`StoreError`] where the file can't be used.
    pub async fn start(
        dir: &Path,
        replication: Replication,
        every: Duration,
    ) -> Result<Arc<Self>, StoreError> {
        let dir = dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || Store::open(&dir)).await;
        let store = Arc::new(opened.unwrap_or_else(|_| Err(StoreError::stopping()))?);
        let rebuilds = replication.clone();
        let known = Jobs::new(Arc::clone(&store), Vec::new());
        let verify = Arc::new(Verify::new(replication, last_report(&known).await?));
        let jobs = Jobs::new(store, vec![Arc::new(VerifyWork(Arc::clone(&verify)))]);
        jobs.resume().await?;
        let (every, changes) = watch::channel(every);
        let by_time = tokio::spawn(verify::run_by_schedule(jobs.clone(), changes));
        let after_rebuilds = tokio::spawn(verify::run_after_rebuilds(jobs.clone(), rebuilds));
        let schedules = [by_time.abort_handle(), after_rebuilds.abort_handle()];
        Ok(Arc::new(Self { jobs, verify, every, schedules }))
    }

    /// Takes another pause between comparisons.
    pub fn configure(&self, every: Duration) {
        self.every.send_if_modified(|pause| std::mem::replace(pause, every) != every);
    }

    /// Asks for a comparison.
    ///
    /// # Errors
    /// [`NotStarted`] tells why there will be none.
    pub async fn start_verify(&self, request: &verify::Request) -> Result<Job, NotStarted> {
        self.jobs.start(verify::KIND, serde_json::to_value(request).unwrap_or_default()).await
    }

    /// Gives up what runs, for the next start to begin again.
    pub fn stop(&self) {
        self.schedules.iter().for_each(AbortHandle::abort);
        self.jobs.stop();
    }
}

/// What the last comparison of everything said.
async fn last_report(jobs: &Jobs) -> Result<Option<Report>, StoreError> {
    for job in jobs.list().await? {
        if job.kind == verify::KIND
            && serde_json::from_value(job.request)
                .is_ok_and(|request: verify::Request| request.is_everything())
            && let Some(job) = jobs.get(job.id).await?
            && let Ok(report) = serde_json::from_value(job.result)
        {
            return Ok(Some(report));
        }
    }
    Ok(None)
}
