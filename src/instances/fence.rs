//! Whether we may write: no longer, as soon as an instance shows that another start of this log has followed ours, or
//! that this log is an old copy.
//!
//! Each start takes the next epoch by creating a collection on every instance. Who meets an epoch that it did not take
//! sends nothing more to any instance, until an operator chooses. `docs/decisions/0011-epochs.md` has the argument.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::claims::{ClaimsError, Store};
use super::client::{Instance, LEASE};
use super::epoch::Stranger;
use super::marker::{self, Found, Marker, MarkerError};
use super::proof::Unfit;
use super::system::{self, System};
use crate::chroma::ids::InstanceId;

/// Whoever held the epoch before has noticed by then that there is a higher one, or sends nothing: it looks again
/// before each request that comes later than a lease after its last look.
const HAND_OVER: Duration = LEASE.saturating_add(Duration::from_secs(2));
/// How long an instance may take to show what it holds, before the first epoch is taken.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// Another start has followed.
const OVERTAKEN: &str = "overtaken";

/// Why we may not write.
#[derive(Clone, Debug)]
pub struct Fenced {
    /// `overtaken`: another start has followed. `old log`: an instance knows of writes that this log does not hold.
    pub reason: &'static str,
    /// In words, for people.
    pub detail: String,
    pub since: SystemTime,
}

/// What an instance shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The highest epoch.
    pub epoch: u64,
    /// How far the log of any who wrote there reached.
    pub lsn: u64,
}

/// The epochs of a running process.
pub struct Fence {
    cluster: String,
    store: Mutex<Store>,
    /// The end of the log, durable.
    durable: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Somebody else may still write: an instance is used only a while after our epoch was created there.
    is_contended: AtomicBool,
    /// This process took an epoch, and may have written.
    has_begun: AtomicBool,
    /// Since when an instance is known to show our epoch.
    shown_since: Mutex<HashMap<InstanceId, Instant>>,
    is_fenced: AtomicBool,
    state: watch::Sender<Option<Fenced>>,
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl Fence {
    /// Reads what the data directory of a cluster knows, for the holder of its lock; `durable` tells the log's last entry
    /// on disk.
    ///
    /// # Errors
    /// [`ClaimsError`] where it can't be read.
    pub fn open(
        dir: &Path,
        cluster: String,
        durable: Box<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<Self, ClaimsError> {
        let (store, is_moved) = Store::open(dir)?;
        if is_moved {
            tracing::warn!(
                "this data directory was copied or moved since its last start: before anything is written, whoever may \
                 still use the other copy gets {} s to notice",
                HAND_OVER.as_secs()
            );
        }
        Ok(Self {
            cluster,
            store: Mutex::new(store),
            durable,
            is_contended: AtomicBool::new(is_moved),
            has_begun: AtomicBool::new(false),
            shown_since: Mutex::default(),
            is_fenced: AtomicBool::new(false),
            state: watch::Sender::new(None),
        })
    }

    /// Takes the next epoch, durably, unless an instance of ours that can be reached shows that another start has followed
    /// the last one of this log.
    ///
    /// # Errors
    /// [`ClaimsError`] where it can't be stored.
    pub async fn begin(&self, instances: &[Arc<Instance>]) -> Result<(), ClaimsError> {
        let mut looks = JoinSet::new();
        for instance in instances {
            let instance = Arc::clone(instance);
            looks.spawn(async move {
                let looked = timeout(FIRST_LOOK, first_look(&instance)).await.ok().and_then(Result::ok);
                (instance, looked)
            });
        }
        while let Some(look) = looks.join_next().await {
            let Ok((instance, Some((system, found)))) = look else { continue };
            let is_ours = match &found {
                Found::Marker(marker, _) => self.wrote(marker, &instance),
                Found::Unfinished(_) => true,
                Found::Empty | Found::Foreign(_) => false,
            };
            if is_ours
                && self.judge(&instance, &system).is_ok()
                && let Found::Marker(marker, _) = &found
            {
                _ = self.judge_marker(&instance, marker);
            }
        }
        if self.fenced().is_none() { self.take(0, 0) } else { Ok(()) }
    }

    /// The number of the epoch that we took last; 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.store().claims.number()
    }

    /// Why we may not write; `None` while we may.
    #[must_use]
    pub fn fenced(&self) -> Option<Fenced> {
        if self.is_fenced.load(Ordering::Acquire) { self.state.borrow().clone() } else { None }
    }

    /// Whether a request may be sent to an instance now.
    ///
    /// # Errors
    /// Why not.
    pub fn lets_write(&self, instance: &Instance) -> Result<(), String> {
        if let Some(fenced) = self.fenced() {
            return Err(fenced.detail);
        }
        if instance.is_leased() {
            return Ok(());
        }
        Err(format!("it did not show its epoch for {} s", LEASE.as_secs()))
    }

    pub(super) fn changes(&self) -> watch::Receiver<Option<Fenced>> {
        self.state.subscribe()
    }

    /// Looks whether an instance shows only epochs of ours. Where it does not, nothing is sent there from now on; what that
    /// means only a proof can tell, for it may have become another server.
    ///
    /// # Errors
    /// [`Unfit`] where it does not show them.
    pub(super) async fn look(&self, instance: &Instance) -> Result<bool, Unfit> {
        let began = Instant::now();
        let system = system::read(instance).await.map_err(|error| Unfit::from_error(&error))?;
        let is_ours = self.store().claims.judge(&system.epochs).is_ok();
        instance.lease(is_ours.then_some(began));
        Ok(is_ours)
    }

    /// Whether we may write at all.
    ///
    /// # Errors
    /// [`Unfit`], fenced.
    pub(super) fn check(&self) -> Result<(), Unfit> {
        self.fenced().map_or(Ok(()), |fenced| Err(Unfit::fenced(fenced.detail)))
    }

    /// Makes sure that our epoch is on an instance that is ours, and those before it are not. `began` is a moment before
    /// `system` was read.
    ///
    /// # Errors
    /// [`Unfit`] where another epoch is there, or somebody else has to be given time.
    pub(super) async fn hold(
        &self,
        instance: &Instance,
        system: &System,
        began: Instant,
    ) -> Result<(), Unfit> {
        let failed = |error: MarkerError| Unfit::from_error(&error);
        self.judge(instance, system)?;
        self.check()?;
        let Some(ours) = self.store().claims.current() else {
            return Err(Unfit::hung("no epoch was taken"));
        };
        if !system.epochs.contains(&ours) && !system::take(instance, ours).await.map_err(failed)? {
            self.judge(instance, &system::read(instance).await.map_err(failed)?)?;
        }
        // The answer to the one that created it may have been lost.
        let shown_since = *self.shown_since().entry(instance.id).or_insert_with(Instant::now);
        for before in system.epochs.iter().filter(|epoch| epoch.number < ours.number) {
            system::remove(instance, before.number).await.map_err(failed)?;
        }
        if self.is_contended.load(Ordering::Acquire) && shown_since.elapsed() < HAND_OVER {
            return Err(Unfit::handing_over(HAND_OVER));
        }
        instance.lease(Some(began));
        Ok(())
    }

    /// Whether whoever overtook us may lack writes that we took: then we leave word of how far our log reaches.
    pub(super) fn leaves_word(&self) -> bool {
        let was_overtaken = self.fenced().is_some_and(|fenced| fenced.reason == OVERTAKEN);
        was_overtaken && self.has_begun.load(Ordering::Acquire)
    }

    /// Judges the marker of an instance that is ours: whether it tells of writes that our log does not hold.
    ///
    /// # Errors
    /// [`Unfit`], fenced.
    pub(super) fn judge_marker(&self, instance: &Instance, marker: &Marker) -> Result<(), Unfit> {
        let durable = (self.durable)();
        let claims = self.store().claims.clone();
        let mut told = std::iter::once((marker.epoch, marker.lsn)).chain(marker.word);
        let judged = told.try_for_each(|(epoch, lsn)| claims.judge_marker(epoch, lsn, durable));
        judged.map_err(|stranger| self.stop(instance, stranger))
    }

    /// A marker that tells how far our log reaches.
    pub(super) fn sign(&self, instance: &Instance, counter: u64) -> Marker {
        Marker {
            cluster: self.cluster.clone(),
            instance: instance.name.clone(),
            counter,
            epoch: self.epoch(),
            lsn: (self.durable)(),
            word: None,
        }
    }

    /// An operator chose this log: takes an epoch above all that was `seen`, and what they wrote counts as known.
    ///
    /// # Errors
    /// [`ClaimsError`] where it can't be stored; nothing changed then.
    pub fn take_over(&self, seen: u64) -> Result<(), ClaimsError> {
        self.take(seen, seen.max(self.epoch()))?;
        self.is_contended.store(true, Ordering::Release);
        self.shown_since().clear();
        self.is_fenced.store(false, Ordering::Release);
        self.state.send_replace(None);
        tracing::warn!(epoch = self.epoch(), "an operator chose this log: it takes over");
        Ok(())
    }

    /// What an instance of ours shows, for an operator who has to choose.
    ///
    /// # Errors
    /// Why nothing can be said, in words.
    pub async fn survey(&self, instance: &Instance) -> Result<Shown, String> {
        let looked = timeout(FIRST_LOOK, first_look(instance)).await;
        let looked = looked.map_err(|_| format!("no answer within {} s", FIRST_LOOK.as_secs()))?;
        let (system, found) = looked.map_err(|error| error.to_string())?;
        let marker = match found {
            Found::Marker(marker, _) if self.wrote(&marker, instance) => marker,
            Found::Unfinished(_) | Found::Empty => return Err("it is empty".to_owned()),
            _ => return Err("it is not ours".to_owned()),
        };
        let epoch = system.epochs.last().map_or(0, |epoch| epoch.number).max(marker.epoch);
        let lsn = marker.word.map_or(0, |(_, lsn)| lsn).max(marker.lsn);
        Ok(Shown { epoch, lsn })
    }

    fn wrote(&self, marker: &Marker, instance: &Instance) -> bool {
        marker.cluster == self.cluster && marker.instance == instance.name
    }

    fn take(&self, seen: u64, accepted: u64) -> Result<(), ClaimsError> {
        let mut store = self.store();
        let mut claims = store.claims.clone();
        claims.take(seen, accepted, Uuid::new_v4(), (self.durable)());
        store.save(&claims)?;
        store.claims = claims;
        self.has_begun.store(true, Ordering::Release);
        Ok(())
    }

    fn judge(&self, instance: &Instance, system: &System) -> Result<(), Unfit> {
        let judged = self.store().claims.judge(&system.epochs);
        judged.map_err(|stranger| self.stop(instance, stranger))
    }

    fn stop(&self, instance: &Instance, stranger: Stranger) -> Unfit {
        let name = &instance.name;
        let (reason, what) = match stranger {
            Stranger::Took(epoch) => (
                OVERTAKEN,
                format!(
                    "another Isochrome that began with a copy of this data directory took epoch {} on the instance {name}, \
                     ours is {}",
                    epoch.number,
                    self.epoch()
                ),
            ),
            Stranger::Logged { epoch, lsn, ours } => (
                "old log",
                format!(
                    "this log is older than the instance {name}: it ends at write {ours}, and in epoch {epoch} the \
                     instance was told of write {lsn}"
                ),
            ),
        };
        let detail = format!(
            "{what}. Nothing is read or written through this one, so that no two write. Stop this one if the other is \
             right; `isochrome take-over` chooses this one"
        );
        let unfit = Unfit::fenced(detail.clone());
        let is_new = self.state.send_if_modified(|state| {
            let is_new = state.is_none();
            state.get_or_insert_with(|| Fenced { reason, detail, since: SystemTime::now() });
            is_new
        });
        self.is_fenced.store(true, Ordering::Release);
        if is_new {
            tracing::error!(reason, detail = unfit.detail, "FENCED: this Isochrome stops writing");
        }
        unfit
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown_since(&self) -> MutexGuard<'_, HashMap<InstanceId, Instant>> {
        self.shown_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn first_look(instance: &Instance) -> Result<(System, Found), MarkerError> {
    let system = system::read(instance).await?;
    let found = marker::read_in(instance, &system).await?;
    Ok((system, found))
}
