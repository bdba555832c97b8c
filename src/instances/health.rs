//! Watches one instance: proves that it is ours and can write, then keeps an eye on it.
//!
//! An instance is up after a *proof*: a heartbeat, its marker read and matching, and an answered canary write. It goes
//! down when it refuses, when heartbeats stay unanswered, when a canary write gets a definite error, or when its
//! marker shows that it is not ours or has lost state. After any lost connection the core asks for a new proof.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::client::Instance;
use super::fence::{Fence, Fenced};
use super::heartbeat::heartbeat;
use super::kept::{self, KeptCatalog};
use super::marker::{self, Found, MarkerError};
use super::proof::{Identity, Unfit, belongs_to_us, prove};
use super::reason::DownReason;
use super::restore::{Tenant, restore};

/// The longest pause between heartbeats of an instance that is up, whatever is configured.
const HEARTBEAT_PAUSE: Duration = Duration::from_secs(2);
/// A proof that takes longer counts as down for the time being.
const PROOF_PATIENCE: Duration = Duration::from_secs(1);
/// A canary write is given up after this long, though heartbeats are answered.
const PROOF_LIMIT: Duration = Duration::from_secs(30);
/// Emptying an instance is given up, and begun again, after this long.
const RESTORE_LIMIT: Duration = Duration::from_secs(600);
/// How long an instance may take to keep the catalog.
const KEEP_LIMIT: Duration = Duration::from_secs(2);
/// First and longest pause between proofs of an instance that is down.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// Pause between looks at the epochs on an instance that is up, at least; and how long one may take.
const LOOK: (Duration, Duration) = (Duration::from_millis(900), Duration::from_secs(2));
/// Pause between canary writes while nothing else proves that the instance can write.
const CANARY_PAUSE: Duration = Duration::from_secs(5);

/// What a watch reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Proven; the proof began after this many had been asked for.
    Up {
        proof: u64,
    },
    Down(DownReason),
    /// Our marker was written there for the first time.
    Joined,
    /// A canary write with this counter was answered.
    Marked(u64),
    /// It lost its state, and is empty now.
    Prepared,
}

/// What is known of an instance's health, for people.
#[derive(Clone, Debug)]
pub struct Health {
    /// `None` while it is up.
    pub down: Option<DownReason>,
    /// The reason in words; empty while it is up.
    pub detail: String,
    pub since: Instant,
    pub last_answer: Option<Instant>,
    pub consecutive_failures: u64,
}

/// The part of a watch that others hold.
#[derive(Debug)]
pub struct Watched {
    pub instance: Arc<Instance>,
    health: Mutex<Health>,
    /// How many proofs were asked for.
    asked: watch::Sender<u64>,
    lost: watch::Sender<Option<String>>,
    /// It is left alone.
    rests: watch::Sender<bool>,
    /// It is to be emptied, and to have these.
    to_prepare: Mutex<Option<Vec<Tenant>>>,
    /// Between heartbeats.
    pause: Mutex<Duration>,
}

impl Watched {
    /// Asks for a new proof at once; `proof` grows with every call.
    pub fn recheck(&self, proof: u64) {
        self.asked.send_if_modified(|asked| {
            let newer = proof > *asked;
            *asked = proof.max(*asked);
            newer
        });
    }

    /// The instance has lost state: it stays out until the next start.
    pub fn take_out(&self, why: String) {
        self.lost.send_replace(Some(why));
        self.asked.send_modify(|_| {});
    }

    /// The instance lost its state, and is to be made fit to be filled again, with these tenants. That is tried until it
    /// is done; then [`Report::Prepared`] comes before it is reported up.
    pub fn prepare(&self, tenants: Vec<Tenant>) {
        *self.to_prepare.lock().unwrap_or_else(PoisonError::into_inner) = Some(tenants);
        self.lost.send_replace(None);
        self.asked.send_modify(|_| {});
    }

    /// Leaves the instance alone from now on, or watches it again.
    pub fn rest(&self, rests: bool) {
        self.rests.send_replace(rests);
        self.asked.send_modify(|_| {});
    }

    /// Sets the pause between heartbeats, from the next one on.
    pub fn set_pause(&self, pause: Duration) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause.min(HEARTBEAT_PAUSE);
    }

    fn pause(&self) -> Duration {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Watches one instance for the life of the process.
pub struct Watch {
    pub watched: Arc<Watched>,
    identity: Identity,
    report: Box<dyn Fn(Report) + Send + Sync>,
    asked: watch::Receiver<u64>,
    fenced: watch::Receiver<Option<Fenced>>,
    /// The catalog for the instance to keep, unless it has changed as often as it had.
    catalog: KeptSource,
    /// How often the catalog had changed that the instance keeps.
    kept: Option<u64>,
}

/// Gives the catalog with the number of its changes, unless that is the one given.
pub type KeptSource = Box<dyn Fn(Option<u64>) -> Option<(u64, KeptCatalog)> + Send + Sync>;

impl Watch {
    /// Prepares a watch with this pause between heartbeats; `report` is called from its task, and must not block.
    #[must_use]
    pub fn new(
        instance: Arc<Instance>,
        identity: Identity,
        report: Box<dyn Fn(Report) + Send + Sync>,
        catalog: KeptSource,
        pause: Duration,
    ) -> Self {
        let asked = watch::Sender::new(0);
        let asked_of_us = asked.subscribe();
        let health = Health {
            down: Some(DownReason::Refused),
            detail: "not reached yet".to_owned(),
            since: Instant::now(),
            last_answer: None,
            consecutive_failures: 0,
        };
        let watched = Watched {
            instance,
            health: Mutex::new(health),
            asked,
            lost: watch::Sender::new(None),
            rests: watch::Sender::new(false),
            to_prepare: Mutex::new(None),
            pause: Mutex::new(pause.min(HEARTBEAT_PAUSE)),
        };
        let fenced = identity.fence.changes();
        Self { watched: Arc::new(watched), identity, report, asked: asked_of_us, fenced, catalog, kept: None }
    }

    /// Runs until the task is ended.
    pub async fn run(mut self) {
        let (mut pause, mut urgent) = (RETRY.0, true);
        loop {
            self.fenced.borrow_and_update();
            if let Err(unfit) = self.identity.fence.check() {
                self.stay_fenced(&unfit).await;
                continue;
            }
            self.rest().await;
            let proof = *self.asked.borrow_and_update();
            match self.prove_with_patience(urgent).await {
                Ok(()) => {
                    pause = RETRY.0;
                    self.up(proof);
                    urgent = match self.keep_watch().await {
                        Ok(asked) => asked,
                        Err(unfit) => {
                            self.down(&unfit);
                            true
                        }
                    };
                }
                Err(unfit) => {
                    self.down(&unfit);
                    // It may come back without it.
                    self.kept = None;
                    tokio::select! {
                        _ = timeout(pause, self.asked.changed()) => {}
                        _ = self.fenced.changed() => {}
                    }
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }

    /// Out until an operator chooses. Leaves word on the instance of how far our log reached, so that whoever follows sees
    /// what it does not hold.
    async fn stay_fenced(&mut self, unfit: &Unfit) {
        self.down(unfit);
        if let Err(reason) =
            timeout(PROOF_LIMIT, self.leave_word()).await.unwrap_or(Err("no answer".to_owned()))
        {
            let instance = &self.watched.instance.name;
            tracing::warn!(instance, reason, "how far this log reaches could not be left on the instance");
        }
        // Ends with the process.
        _ = self.fenced.changed().await;
    }

    async fn leave_word(&self) -> Result<(), String> {
        let (instance, identity) = (&self.watched.instance, &self.identity);
        let words = |error: MarkerError| error.to_string();
        if !identity.fence.leaves_word() {
            return Ok(());
        }
        let Found::Marker(found, collection) = marker::read(instance).await.map_err(words)? else {
            return Ok(());
        };
        if belongs_to_us(instance, identity, &found).is_err() {
            return Ok(());
        }
        let word = identity.fence.sign(instance, found.counter);
        marker::leave_word(instance, collection, &word).await.map_err(words)
    }

    /// Waits while the instance is to be left alone.
    async fn rest(&self) {
        let mut rests = self.watched.rests.subscribe();
        if *rests.borrow() {
            let unfit = Unfit {
                reason: DownReason::Maintenance,
                detail: "an operator wants it left alone; isochrome resume ends that".to_owned(),
                wrong_server: false,
            };
            self.down(&unfit);
        }
        // An error means that nobody watches any more, which ends the task too.
        _ = rests.wait_for(|rests| !rests).await;
    }

    /// A proof. One that was asked for, because a connection was lost, keeps writes waiting, so the instance counts as
    /// down when it takes long; a routine one may take as long as heartbeats are answered: slow is not dead.
    async fn prove_with_patience(&mut self, urgent: bool) -> Result<(), Unfit> {
        let watched = Arc::clone(&self.watched);
        let report = &self.report;
        let mut identity = self.identity.clone();
        let fence = Arc::clone(&identity.fence);
        let tenants = watched.to_prepare.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = {
            let proof = async {
                match &tenants {
                    Some(tenants) => restore(&watched.instance, &mut identity, report, tenants).await,
                    None => prove(&watched.instance, &mut identity, report).await,
                }
            };
            let proof = timeout(if tenants.is_some() { RESTORE_LIMIT } else { PROOF_LIMIT }, proof);
            tokio::pin!(proof);
            loop {
                if let Ok(ended) = timeout(PROOF_PATIENCE, &mut proof).await {
                    break ended.unwrap_or_else(|_| Err(Unfit::hung("its canary write stays unanswered")));
                }
                if watched.health().down.is_none() {
                    let unfit = if urgent {
                        Some(Unfit::hung("its proof takes long"))
                    } else {
                        beat(&watched.instance, &fence).await.err()
                    };
                    if let Some(unfit) = unfit {
                        mark_down(&watched, report, &unfit);
                    }
                }
            }
        };
        self.identity = identity;
        if result.is_ok() {
            // What was asked for meanwhile is not done.
            let mut to_prepare = watched.to_prepare.lock().unwrap_or_else(PoisonError::into_inner);
            _ = to_prepare.take_if(|asked| Some(&*asked) == tenants.as_ref());
        }
        let lost = watched.lost.borrow().clone();
        lost.map_or(result, |why| Err(Unfit::lost(why)))
    }

    /// Has the instance keep the catalog where it changed. It is tried again at the next heartbeat.
    async fn keep_catalog(&mut self) {
        let Some((changes, catalog)) = (self.catalog)(self.kept) else { return };
        let (instance, fence) = (&self.watched.instance, &self.identity.fence);
        match timeout(KEEP_LIMIT, kept::keep(instance, fence, &catalog)).await {
            Ok(Ok(true)) => self.kept = Some(changes),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::debug!(instance = instance.name, %error, "the catalog could not be kept there");
            }
            Err(_) => {
                tracing::debug!(instance = instance.name, "the catalog could not be kept there in time");
            }
        }
    }

    /// Heartbeats until the next canary write is due (`Ok(false)`), a proof is asked for (`Ok(true)`), or something is
    /// wrong.
    async fn keep_watch(&mut self) -> Result<bool, Unfit> {
        let next_canary = Instant::now() + CANARY_PAUSE;
        let mut looked = Instant::now();
        loop {
            tokio::select! {
                asked = timeout(self.watched.pause(), self.asked.changed()) => if let Ok(Ok(())) = asked {
                    return Ok(true);
                },
                _ = self.fenced.changed() => return Ok(true),
            }
            let instance = &self.watched.instance;
            if looked.elapsed() < LOOK.0 {
                heartbeat(instance).await?;
            } else {
                looked = Instant::now();
                if !beat(instance, &self.identity.fence).await? {
                    return Ok(true);
                }
            }
            self.watched.note(|health| health.last_answer = Some(Instant::now()));
            self.keep_catalog().await;
            if Instant::now() >= next_canary {
                return Ok(false);
            }
        }
    }

    fn up(&self, proof: u64) {
        self.watched.note(|health| {
            if health.down.take().is_some() {
                health.since = Instant::now();
                tracing::info!(instance = self.watched.instance.name, "instance is up");
            }
            health.detail.clear();
            health.last_answer = Some(Instant::now());
            health.consecutive_failures = 0;
        });
        self.watched.instance.set_available(true);
        (self.report)(Report::Up { proof });
    }

    fn down(&self, unfit: &Unfit) {
        mark_down(&self.watched, &self.report, unfit);
    }
}

/// A heartbeat and a look at the epochs; false where somebody else's is there. A look that fails says nothing: without
/// looks the instance gets no writes after a while.
async fn beat(instance: &Instance, fence: &Fence) -> Result<bool, Unfit> {
    let (beat, look) = tokio::join!(heartbeat(instance), timeout(LOOK.1, fence.look(instance)));
    beat?;
    Ok(!matches!(look, Ok(Ok(false))))
}

fn mark_down(watched: &Watched, report: &(dyn Fn(Report) + Send + Sync), unfit: &Unfit) {
    watched.note(|health| {
        if health.down != Some(unfit.reason) || health.consecutive_failures == 0 {
            health.since = Instant::now();
            let (name, reason) = (&watched.instance.name, unfit.reason.word());
            tracing::warn!(instance = name, reason, detail = unfit.detail, "instance is down");
        }
        health.down = Some(unfit.reason);
        health.detail.clone_from(&unfit.detail);
        health.consecutive_failures += 1;
    });
    watched.instance.set_available(false);
    report(Report::Down(unfit.reason));
}
