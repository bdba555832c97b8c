//! Another version of Chroma for managed servers, one after the other, while clients read and write.
//!
//! ```text
//! install ──▶ are all well and the same? ──▶ note ──▶ the first: to, serve for a while ──▶ the others: to
//!                                              │ what goes wrong, or is cancelled
//!                                              └──▶ back, from the others' records
//! ```
//!
//! `docs/decisions/0014-upgrade.md` tells why in this order, and why a server never goes back on its files.

mod guide;
mod install;
mod note;
mod request;
mod servers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::jobs::{End, EndFuture, Job, JobState, Jobs, NotStarted, Outcome, Progress, Work, WorkFuture};
use super::store::Store;
use super::verify::Verify;
use crate::delivery::handle::Replication;
use crate::instances::managed::{Chosen, Control};
pub(super) use note::SCHEMA;
use note::{Back, Note};
pub use request::{CANARY_S, Request};
use servers::Servers;

/// The name of these jobs.
pub const KIND: &str = "upgrade";

/// How long the instances may take until each of them serves, where that was so when the upgrade was asked for.
const READY: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Why no upgrade is begun.
#[derive(Debug, thiserror::Error)]
pub enum NotUpgraded {
    /// The request makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// It can't be done, or not now.
    #[error("{0}")]
    NotNow(String),
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
}

/// Upgrades of the managed servers.
pub struct Upgrade {
    replication: Replication,
    verify: Arc<Verify>,
    store: Arc<Store>,
    /// `None` where the instances are configured, and not ours.
    control: Option<Control>,
    data_dir: PathBuf,
    /// Held from the look for others under way to the start of the job.
    asking: tokio::sync::Mutex<()>,
}

impl Upgrade {
    pub(super) fn new(
        replication: Replication,
        verify: Arc<Verify>,
        store: Arc<Store>,
        control: Option<Control>,
        data_dir: &Path,
    ) -> Self {
        let data_dir = data_dir.to_owned();
        Self { replication, verify, store, control, data_dir, asking: tokio::sync::Mutex::default() }
    }

    /// The executable that an instance's server runs with, where it is ours.
    #[must_use]
    pub fn executable(&self, name: &str) -> Option<Chosen> {
        self.control.as_ref()?.executable(name)
    }

    /// Begins an upgrade as a job.
    ///
    /// # Errors
    /// [`NotUpgraded`] tells why there will be none.
    pub async fn start(&self, jobs: &Jobs, request: &Request) -> Result<Job, NotUpgraded> {
        request.check().map_err(NotUpgraded::Wrong)?;
        let _asking = self.asking.lock().await;
        if let Some(other) = jobs.list().await.map_err(NotStarted::from)?.iter().find(|job| is_open(job)) {
            return Err(NotUpgraded::NotNow(format!(
                "An upgrade is under way: isochrome jobs {}",
                other.id.0
            )));
        }
        let Some(control) = &self.control else { return Err(NotUpgraded::NotNow(self.guide().await)) };
        self.check_now(control).await.map_err(NotUpgraded::NotNow)?;
        // It is kept until here, for an end that could not be noted; the next upgrade begins anew.
        note::forget(&self.store).await.map_err(NotStarted::from)?;
        let request = serde_json::to_value(request).unwrap_or_default();
        Ok(jobs.start(KIND, request).await?)
    }

    /// What an operator can do where the servers are not ours.
    async fn guide(&self) -> String {
        let first = self.replication.outlook().await.map(|outlook| outlook.preferred);
        let all = self.replication.instances();
        let last = all.iter().find(|there| Some(there.id) == first).map_or("", |there| &there.name);
        let names: Vec<&str> = all.iter().map(|there| there.name.as_str()).collect();
        let ordered = note::order(&names, last).into_iter();
        let there = ordered.filter_map(|name| self.replication.instance_named(name));
        let servers: Vec<(&str, &str)> =
            there.map(|there| (there.name.as_str(), there.authority.as_str())).collect();
        guide::text(&servers)
    }

    async fn check_now(&self, control: &Control) -> Result<(), String> {
        let (view, outlook) = (self.replication.view().await, self.replication.outlook().await);
        let (Some(view), Some(outlook)) = (view, outlook) else {
            return Err("Isochrome is stopping".to_owned());
        };
        let log_works = self.replication.log_stats().available;
        request::why_not_now(&view, &control.names(), outlook, log_works).map_or(Ok(()), Err)
    }

    async fn run_to_end(self: Arc<Self>, request: Value, progress: Arc<Progress>) -> Result<Outcome, String> {
        let request: Request = serde_json::from_value(request).map_err(|error| error.to_string())?;
        let control =
            self.control.as_ref().ok_or("the instances are configured, and not managed any more")?;
        let servers = self.servers(control, &progress);
        let found = note::find(&self.store, &request).await.map_err(|error| error.to_string())?;
        let note = match found {
            Some(note) => note,
            None => self.begin(&request, &servers).await?,
        };
        match &note.back {
            Some(back) => Err(self.take_back(&servers, &note, back).await),
            None => self.forward(&servers, note).await,
        }
    }

    /// All that is done before the first server is touched.
    async fn begin(&self, request: &Request, servers: &Servers<'_>) -> Result<Note, String> {
        let control = servers.control;
        let (asked, files) = (request.clone(), control.files());
        let free = self.replication.log_stats().free_bytes;
        let checked = tokio::task::spawn_blocking(move || install::check_disk(&asked, free, &files)).await;
        checked.map_err(|error| error.to_string())??;
        // What is said to be its version is looked at before it is installed.
        let said =
            request.version.clone().map(|version| Chosen { command: PathBuf::new(), version: Some(version) });
        said.map_or(Ok(()), |to| check_direction(control, &to))?;
        let to = install::provide(request, &self.data_dir, servers.progress).await?;
        check_direction(control, &to)?;
        self.await_readiness(servers).await?;
        servers.compare("all instances").await.map_err(|why| {
            format!("Nothing was touched, for before an upgrade {why}; see isochrome verify --repair")
        })?;
        let outlook = self.replication.outlook().await.ok_or("Isochrome is stopping")?;
        let preferred = self.replication.instances().get(outlook.preferred.index());
        let order = note::order(&control.names(), preferred.map_or("", |first| &first.name));
        let mut from = BTreeMap::new();
        for name in control.names() {
            servers.forget_aside(name).await?;
            from.insert(name.to_owned(), control.chosen(name).map_err(|error| error.to_string())?);
        }
        let order = order.into_iter().map(str::to_owned).collect();
        let note = Note { request: request.clone(), to, order, from, back: None };
        note::keep(&self.store, &note).await.map_err(|error| error.to_string())?;
        Ok(note)
    }

    /// Waits until every instance serves, which after a restart takes a moment.
    async fn await_readiness(&self, servers: &Servers<'_>) -> Result<(), String> {
        let deadline = Instant::now() + READY;
        servers.progress.phase("waiting until every instance serves");
        loop {
            match self.check_now(servers.control).await {
                Err(why) if Instant::now() >= deadline => return Err(why),
                Err(_) => sleep(LOOK).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Every server in its order, or back with the one that does not come back well.
    async fn forward(&self, servers: &Servers<'_>, mut note: Note) -> Result<Outcome, String> {
        let Err((name, why)) = self.renew_all(servers, &note).await else {
            let summary = format!("{} run Chroma {}", note.order.join(" and "), note.to);
            tracing::info!(summary, "the managed servers were upgraded");
            let result = json!({ "to": note.to, "order": note.order, "from": note.from });
            return Ok(Outcome { summary, result });
        };
        tracing::error!(instance = name, why, "the upgrade of a managed server failed; it is taken back");
        let why = format!("{name} did not come to serve with Chroma {}: {why}", note.to);
        let back = Back { instances: vec![name], why };
        self.note_back(&mut note, &back).await;
        Err(self.take_back(servers, &note, &back).await)
    }

    /// Notes that something is taken back. Where that can't be noted it is done all the same: a restart before its end
    /// would try the new executable once more.
    async fn note_back(&self, note: &mut Note, back: &Back) {
        note.back = Some(back.clone());
        if let Err(error) = note::keep(&self.store, note).await {
            tracing::error!(%error, "it can't be noted that an upgrade is taken back");
        }
    }

    async fn renew_all(&self, servers: &Servers<'_>, note: &Note) -> Result<(), (String, String)> {
        let canary = Duration::from_secs(note.request.canary_s.unwrap_or(CANARY_S));
        for (place, name) in note.order.iter().enumerate() {
            let failed = |why: String| (name.clone(), why);
            tracing::info!(instance = name, to = %note.to, "a managed server is upgraded");
            servers.renew(name, &note.to).await.map_err(failed)?;
            let Some(next) = note.order.get(place + 1) else { break };
            // Before a restart the next one may have followed already.
            if place == 0 && !servers.has(next, &note.to).map_err(failed)? {
                servers.watch(name, canary).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Brings servers back to what they had, and tells what became of it.
    async fn take_back(&self, servers: &Servers<'_>, note: &Note, back: &Back) -> String {
        let mut told = vec![back.why.clone()];
        for name in back.instances.iter().rev() {
            told.push(match servers.restore(name, &note.to, note.before(name)).await {
                Ok(true) => format!("{name} runs what it had before, and is the same as the others"),
                Ok(false) => format!("{name} runs what it had before"),
                Err(why) => format!("{name} is NOT well yet: {why}; see isochrome status"),
            });
        }
        let newer = note.order.iter().filter(|name| servers.has(name, &note.to).unwrap_or(false));
        let newer: Vec<&str> = newer.map(String::as_str).collect();
        if !newer.is_empty() {
            told.push(format!("{} runs Chroma {}; upgrade again to go on", newer.join(" and "), note.to));
        }
        told.join(". ")
    }

    /// Takes back everything that has an instance left to be filled from; else goes on to the end.
    async fn wind_down(self: Arc<Self>, request: Value, progress: Arc<Progress>) -> End {
        let nothing = End { state: JobState::Cancelled, summary: None, result: Value::Null };
        let (Ok(request), Some(control)) = (serde_json::from_value::<Request>(request), &self.control) else {
            return nothing;
        };
        let servers = self.servers(control, &progress);
        let Ok(Some(mut note)) = note::find(&self.store, &request).await else { return nothing };
        if let Some(back) = note.back.clone() {
            return Err(self.take_back(&servers, &note, &back).await).into();
        }
        let Some(instances) = note.to_take_back(|name| servers.has(name, &note.to).unwrap_or(true)) else {
            return self.forward(&servers, note).await.into();
        };
        let back = Back { instances, why: "It was cancelled".to_owned() };
        self.note_back(&mut note, &back).await;
        let summary = Some(self.take_back(&servers, &note, &back).await);
        End { summary, ..nothing }
    }

    fn servers<'a>(&'a self, control: &'a Control, progress: &'a Progress) -> Servers<'a> {
        Servers { replication: &self.replication, verify: &self.verify, control, progress }
    }
}

fn check_direction(control: &Control, to: &Chosen) -> Result<(), String> {
    let mut names = control.names().into_iter();
    names.try_for_each(|name| request::check_direction(control.executable(name).as_ref(), to))
}

fn is_open(job: &Job) -> bool {
    job.kind == KIND && !job.state.is_over()
}

/// Jobs that upgrade.
pub(super) struct UpgradeWork(pub Arc<Upgrade>);

impl Work for UpgradeWork {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run(&self, request: Value, progress: Arc<Progress>) -> WorkFuture {
        Box::pin(Arc::clone(&self.0).run_to_end(request, progress))
    }

    fn cancelled(&self, request: Value, progress: Arc<Progress>) -> EndFuture {
        Box::pin(Arc::clone(&self.0).wind_down(request, progress))
    }
}
