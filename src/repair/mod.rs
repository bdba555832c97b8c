//! Proof that the instances are the same, and the long work of operators.
//!
//! | room | job |
//! | --- | --- |
//! | `store` | `jobs.db`: what that work must remember over a restart |
//! | `jobs` | long work with an id, progress, a result, and an end |
//! | `verify` | compares every record of every collection on all instances, while writes go on |
//! | `adopt` | a data directory for servers that hold data already |
//! | `upgrade` | another version of Chroma for managed servers, one after the other |
//! | `takeover` | what an operator should know before this log is chosen against another |

pub mod adopt;
pub mod jobs;
mod store;
pub mod takeover;
pub mod upgrade;
pub mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::delivery::handle::Replication;
use crate::instances::managed::Control;
use jobs::{Job, Jobs, NotStarted, Work};
pub use store::{Store, StoreError};
use upgrade::{NotUpgraded, Upgrade, UpgradeWork};
use verify::report::Report;
use verify::{Verify, VerifyWork};

/// The long work of a running process.
pub struct Repair {
    pub jobs: Jobs,
    pub verify: Arc<Verify>,
    pub upgrade: Arc<Upgrade>,
    every: watch::Sender<Duration>,
    schedules: [AbortHandle; 2],
}

impl Repair {
    /// Opens `jobs.db`, begins again what was interrupted, and compares each time when `every` is over; zero: never.
    /// `managed` is for the servers that are ours, where they are.
    ///
    /// # Errors
    /// [`StoreError`] where the file can't be used.
    pub async fn start(
        dir: &Path,
        replication: Replication,
        managed: Option<Control>,
        every: Duration,
    ) -> Result<Arc<Self>, StoreError> {
        let place = dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || Store::open(&place)).await;
        let store = Arc::new(opened.unwrap_or_else(|_| Err(StoreError::stopping()))?);
        let rebuilds = replication.clone();
        let known = Jobs::new(Arc::clone(&store), Vec::new());
        let verify = Arc::new(Verify::new(replication.clone(), last_report(&known).await?));
        let upgrade = Upgrade::new(replication, Arc::clone(&verify), Arc::clone(&store), managed, dir);
        let upgrade = Arc::new(upgrade);
        let kinds: Vec<Arc<dyn Work>> =
            vec![Arc::new(VerifyWork(Arc::clone(&verify))), Arc::new(UpgradeWork(Arc::clone(&upgrade)))];
        let jobs = Jobs::new(store, kinds);
        jobs.resume().await?;
        let (every, changes) = watch::channel(every);
        let by_time = tokio::spawn(verify::run_by_schedule(jobs.clone(), changes));
        let after_rebuilds = tokio::spawn(verify::run_after_rebuilds(jobs.clone(), rebuilds));
        let schedules = [by_time.abort_handle(), after_rebuilds.abort_handle()];
        Ok(Arc::new(Self { jobs, verify, upgrade, every, schedules }))
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

    /// Asks for an upgrade of the managed servers.
    ///
    /// # Errors
    /// [`NotUpgraded`] tells why there will be none.
    pub async fn start_upgrade(&self, request: &upgrade::Request) -> Result<Job, NotUpgraded> {
        self.upgrade.start(&self.jobs, request).await
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
