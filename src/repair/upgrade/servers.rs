//! The ways of one server: to another executable, and back.
//!
//! | way | steps |
//! | --- | --- |
//! | to | drain, maintenance, stop, start by the new executable, follow, compare, serve |
//! | back, where the new one has opened its files | maintenance, stop, set the files aside, start empty by the old one, be filled, compare |
//! | back, where it has not | start by the old one, serve, compare |
//!
//! Each step may be done again after an interruption: what the server's record names has its files.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::request::unfit;
use crate::chroma::ids::InstanceId;
use crate::delivery::handle::Replication;
use crate::instances::client::Instance;
use crate::instances::managed::{Chosen, Control, ServerState};
use crate::repair::jobs::Progress;
use crate::repair::verify::report::Verdict;
use crate::repair::verify::{self, Verify};
use crate::replication::view::InstanceView;
use crate::wal::record::duty::{Duty, DutyChange};

/// How long requests of clients may take to end on an instance that is drained.
const DRAIN: Duration = Duration::from_secs(120);
/// How long an instance may be away, after its server has answered its first heartbeat.
const AWAY: Duration = Duration::from_secs(120);
/// The same for one that was emptied, which nobody has to hurry back.
const AWAY_EMPTY: Duration = Duration::from_secs(1_800);
/// How long it may stand still while it has something to apply or to copy.
const STILL: Duration = Duration::from_secs(600);
/// How long to wait for another instance that has everything, before one is emptied.
const SOURCE: Duration = Duration::from_secs(600);
/// Pauses in seconds before comparisons, of which each is for the one before that could not be finished.
const COMPARISONS_S: [u64; 8] = [0, 1, 2, 4, 8, 16, 32, 64];
const LOOK: Duration = Duration::from_millis(100);

const STOPPING: &str = "Isochrome is stopping";

/// All that the ways need.
pub(super) struct Servers<'a> {
    pub replication: &'a Replication,
    pub verify: &'a Verify,
    pub control: &'a Control,
    pub progress: &'a Progress,
}

impl Servers<'_> {
    /// Has a server run by another executable and serve, in the state that clients expect.
    ///
    /// # Errors
    /// Why it does not, for people. What its record names then tells how far it came.
    pub async fn renew(&self, name: &str, to: &Chosen) -> Result<(), String> {
        let instance = self.instance(name)?.id;
        let has = self.has(name, to)?;
        let is_done = has && self.replication.duties().await.of(instance) == Duty::Serve;
        if !has {
            self.stop(name, instance, true).await?;
        }
        self.tell(name, format!("starting {to}"));
        self.control.run(name, Some(to.clone())).await?;
        if is_done {
            return self.well(name, false).await;
        }
        // It follows, and nobody reads there what was not compared yet, unless there is nobody else.
        self.want(instance, Duty::Drain).await?;
        self.well(name, false).await?;
        self.compare(name).await?;
        self.want(instance, Duty::Serve).await
    }

    /// Has a server that was under way run by what it had before, and serve. True where it was filled for that, and
    /// compared.
    ///
    /// # Errors
    /// What is in the way, and how things are then, for people.
    pub async fn restore(&self, name: &str, to: &Chosen, before: Option<Chosen>) -> Result<bool, String> {
        let instance = self.instance(name)?.id;
        // One that ran it before this upgrade began keeps it, and its files.
        if self.has(name, to)? && before.as_ref() != Some(to) {
            self.empty(name, instance, to).await?;
        }
        self.tell(name, "starting what it had before");
        let started = self.control.run(name, before).await;
        self.want(instance, Duty::Serve).await?;
        started?;
        self.well(name, true).await?;
        let is_filled = self.control.has_aside(name);
        if is_filled {
            self.compare(name).await?;
            self.forget_aside(name).await?;
        }
        Ok(is_filled)
    }

    /// Stops a server and sets its files aside, unless they are the only ones.
    async fn empty(&self, name: &str, instance: InstanceId, to: &Chosen) -> Result<(), String> {
        let mut source = self.has_source(name, instance).await;
        if source.is_ok() {
            self.stop(name, instance, false).await?;
            // It decides nothing any more, so this is true of everything that it ever decided.
            source = self.has_source(name, instance).await;
        }
        if let Err(why) = source {
            let started = self.control.run(name, Some(to.clone())).await;
            self.want(instance, Duty::Serve).await?;
            let started =
                started.map_or_else(|why| format!(", and it does not start ({why})"), |()| String::new());
            return Err(format!("{name} keeps Chroma {to} and its files, because {why}{started}"));
        }
        self.tell(name, "setting its files aside");
        self.blocking(name, Control::set_aside).await
    }

    /// Deletes what an earlier way back of a server left.
    pub async fn forget_aside(&self, name: &str) -> Result<(), String> {
        self.blocking(name, Control::forget_aside).await
    }

    /// Watches a server serve for a while.
    ///
    /// # Errors
    /// What happened to it, for people.
    pub async fn watch(&self, name: &str, time: Duration) -> Result<(), String> {
        let instance = self.instance(name)?;
        let until = Instant::now() + time;
        let trips = instance.turns.view().trips;
        let server = self.control.state(name).ok_or(STOPPING)?;
        let first = server.borrow().clone();
        let mut last_up = Instant::now();
        while Instant::now() < until {
            let left = until.duration_since(Instant::now()).as_secs();
            self.tell(name, format!("serves first, for {left} s more"));
            if *server.borrow() != first {
                return Err(format!("its server did not go on: {}", words(&server.borrow())));
            }
            if instance.turns.view().trips > trips {
                return Err("reads failed there one after the other".to_owned());
            }
            let there = self.view(instance.id).await?;
            if there.state == "up" {
                last_up = Instant::now();
            }
            self.check_following(&there, last_up, AWAY)?;
            sleep(LOOK.min(until.duration_since(Instant::now()))).await;
        }
        self.well(name, false).await
    }

    /// Compares everything on all instances.
    ///
    /// # Errors
    /// That it is not the same, or can't be compared.
    pub async fn compare(&self, name: &str) -> Result<(), String> {
        let mut said = String::new();
        for pause_s in COMPARISONS_S {
            sleep(Duration::from_secs(pause_s)).await;
            self.progress.anew(format!("{name}: comparing"));
            let report = self.verify.compare(&verify::Request::default(), self.progress).await;
            match report.verdict {
                Verdict::Same => return Ok(()),
                Verdict::Different => return Err(format!("the instances differ ({})", report.summary())),
                Verdict::Incomplete => said = report.summary(),
            }
        }
        Err(format!("the instances could not be compared ({said})"))
    }

    /// True where the server's files were opened by this executable, or are about to be.
    pub fn has(&self, name: &str, to: &Chosen) -> Result<bool, String> {
        Ok(self.control.chosen(name).map_err(|error| error.to_string())?.as_ref() == Some(to))
    }

    /// Takes an instance out of use and stops its server.
    async fn stop(&self, name: &str, instance: InstanceId, is_polite: bool) -> Result<(), String> {
        self.other_server(name, instance).await?;
        if self.replication.duties().await.of(instance) != Duty::Maintenance {
            self.tell(name, "draining");
            self.want(instance, Duty::Drain).await?;
            let left = self.replication.drained(instance, DRAIN).await;
            if let Some(left) = left.filter(|_| is_polite) {
                return Err(format!("requests did not end there within {DRAIN:?} ({left:?})"));
            }
            self.want(instance, Duty::Maintenance).await?;
        }
        self.tell(name, "stopping");
        self.control.rest(name).await;
        Ok(())
    }

    /// Waits until another instance serves, which after a restart takes a moment.
    async fn other_server(&self, name: &str, instance: InstanceId) -> Result<(), String> {
        self.tell(name, "waiting until another instance serves");
        let deadline = Instant::now() + AWAY;
        while !self.replication.has_other_server(instance).await {
            if Instant::now() >= deadline {
                return Err("no other instance serves now".to_owned());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until an instance is up, has applied everything that was logged by now, and lacks nothing.
    async fn well(&self, name: &str, is_filled: bool) -> Result<(), String> {
        let instance = self.instance(name)?.id;
        let upto = self.replication.log_stats().durable_lsn;
        let (mut last_up, mut moved, mut before) = (Instant::now(), Instant::now(), None);
        loop {
            let there = self.view(instance).await?;
            let is_up = there.state == "up";
            if is_up {
                last_up = Instant::now();
            }
            if is_filled {
                self.check_away(&there, last_up, AWAY_EMPTY)?;
            } else {
                self.check_following(&there, last_up, AWAY)?;
            }
            let is_whole = there.divergent.is_empty() && there.rebuilds.is_empty();
            if is_up && is_whole && self.replication.has_settled(instance, upto).await {
                return Ok(());
            }
            let copied: u64 = there.rebuilds.iter().map(|one| one.copied).sum();
            let now = (there.pending, there.oldest_pending, copied, there.rebuilds.len(), is_up);
            if before.replace(now) != Some(now) {
                moved = Instant::now();
            } else if moved.elapsed() >= STILL {
                return Err(format!(
                    "it did not move on for {STILL:?}, with {} writes to apply",
                    there.pending
                ));
            }
            let what = if is_whole { "catching up" } else { "is filled" };
            self.tell(name, format!("{what}, {} writes to apply, {copied} records copied", there.pending));
            sleep(LOOK).await;
        }
    }

    /// Fails where an instance is away for long, or can't follow.
    fn check_following(&self, there: &InstanceView, last_up: Instant, away: Duration) -> Result<(), String> {
        // What the log holds no more for it is copied to it, and tells nothing about its version.
        if there.divergent.len() > there.marked {
            let told = there.divergent.iter().map(|(collection, why)| format!("{collection}: {why}"));
            return Err(format!("it can't follow ({})", told.collect::<Vec<_>>().join("; ")));
        }
        self.check_away(there, last_up, away)
    }

    fn check_away(&self, there: &InstanceView, last_up: Instant, away: Duration) -> Result<(), String> {
        if last_up.elapsed() < away {
            return Ok(());
        }
        let detail = self.replication.health(there.instance).detail;
        Err(format!("it is {} for {away:?} ({detail})", there.state))
    }

    /// Waits until another instance has everything that this one could be filled with.
    async fn has_source(&self, name: &str, instance: InstanceId) -> Result<(), String> {
        self.tell(name, "waiting until another instance has everything");
        let deadline = Instant::now() + SOURCE;
        let upto = self.replication.log_stats().durable_lsn;
        loop {
            let view = self.replication.view().await.ok_or(STOPPING)?;
            let others = view.instances.iter().filter(|there| there.instance != instance);
            for there in others.filter(|there| unfit(there).is_none()) {
                if self.replication.has_settled(there.instance, upto).await {
                    return Ok(());
                }
            }
            if Instant::now() >= deadline {
                return Err("no other instance has everything that it holds".to_owned());
            }
            sleep(LOOK).await;
        }
    }

    async fn want(&self, instance: InstanceId, duty: Duty) -> Result<(), String> {
        if self.replication.want(DutyChange::Duty(instance, duty)).await {
            return Ok(());
        }
        Err("the log can't be written".to_owned())
    }

    async fn blocking(
        &self,
        name: &str,
        work: fn(&Control, &str) -> std::io::Result<()>,
    ) -> Result<(), String> {
        let (control, server) = (self.control.clone(), name.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&control, &server)).await;
        done.map_err(|_| STOPPING.to_owned())?.map_err(|error| format!("the files of {name}: {error}"))
    }

    async fn view(&self, instance: InstanceId) -> Result<InstanceView, String> {
        let view = self.replication.view().await;
        let mut all = view.into_iter().flat_map(|view| view.instances);
        all.find(|there| there.instance == instance).ok_or_else(|| STOPPING.to_owned())
    }

    fn instance(&self, name: &str) -> Result<&Instance, String> {
        self.replication
            .instance_named(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| format!("there is no instance {name}"))
    }

    fn tell(&self, name: &str, what: impl std::fmt::Display) {
        self.progress.anew(format!("{name}: {what}"));
    }
}

/// What a server does, for people.
fn words(state: &ServerState) -> String {
    match state {
        ServerState::Restarting { reason, .. } => reason.clone(),
        ServerState::Starting => "it is started again".to_owned(),
        ServerState::Running { pid, .. } => format!("it was started again (pid {pid})"),
        ServerState::Resting | ServerState::Stopped => "it was stopped".to_owned(),
    }
}
