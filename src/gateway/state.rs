//! What every request handler shares.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};

use super::admission::{Admission, AdmissionView, Limits};
use super::counters::Counters;
use super::measure::Measures;
use super::read::budget::RetryBudget;
use super::read::kept::Kept;
use super::transaction::once::UnderWay;
use crate::config::{Change, Config, ConfigErrors};
use crate::delivery::handle::Replication;
use crate::resources::Budget;

/// What a handler gets. Cheap to clone.
pub type AppState = Arc<Gateway>;

/// Transactions with an id of the sender's that may be under way at once.
const MAX_UNDER_WAY: usize = 65_536;

/// The gateway's shared state.
pub struct Gateway {
    pub replication: Replication,
    pub counters: Counters,
    /// What clients asked for and how it was answered.
    pub measures: Measures,
    pub(super) admission: Admission,
    /// Answers that may be given again.
    pub(super) kept: Kept,
    pub(super) retries: RetryBudget,
    pub(super) under_way: Arc<UnderWay>,
    settings: ArcSwap<Settings>,
    reload: Mutex<Option<LastReload>>,
}

/// How the last reload of the configuration ended.
#[derive(Clone, Debug)]
pub struct LastReload {
    /// From 1, since the start.
    pub number: u64,
    pub at: SystemTime,
    /// Keys whose new value holds, and those that wait for a restart; or everything that is wrong.
    pub result: Result<(Vec<Change>, Vec<Change>), ConfigErrors>,
}

/// What the handlers need of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) allow_reset: bool,
    pub(super) max_body_bytes: usize,
    /// How long a write may wait for an instance, and its repetition for the outcome of the first.
    pub(super) write_wait: Duration,
    /// How long a sender waits in any case.
    pub(super) write_timeout: Duration,
    /// How long a read is tried again.
    pub(super) read_wait: Duration,
    /// How late a request's body may be.
    pub(super) body_late: Duration,
    /// Answers from this size on are compressed for who asks for it; 0: none.
    pub(super) compress_min_bytes: u64,
    pub(super) budget: Budget,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            allow_reset: config.allow_reset,
            max_body_bytes: usize::try_from(config.write.max_body_bytes).unwrap_or(usize::MAX),
            write_wait: config.write.wait,
            write_timeout: config.write.timeout,
            read_wait: config.read.wait,
            body_late: config.http.body_late,
            compress_min_bytes: config.http.compress_min_bytes,
            budget: Budget::of(&config.resources),
        }
    }
}

/// Limits, and how close to them we are.
#[derive(Clone, Copy, Debug)]
pub struct LimitsView {
    /// Bytes of answers that are kept to be given again.
    pub kept_bytes: u64,
    /// Requests that may be under way at once.
    pub max_requests: usize,
    /// Requests that wait for their turn.
    pub waiting: u64,
    /// Requests that waited in vain, since the start.
    pub refused: u64,
    /// How often a read was not repeated at once, because too many failed.
    pub retries_exhausted: u64,
    /// How long a sender waits at most, in seconds.
    pub timeout_s: u64,
    /// Transactions with an id of the sender's that are under way.
    pub transactions_under_way: usize,
    /// What is let in.
    pub admission: AdmissionView,
    /// What the process may use of the machine.
    pub budget: Budget,
}

impl Gateway {
    /// The limits at the moment.
    #[must_use]
    pub fn limits(&self) -> LimitsView {
        let (waiting, refused) = self.admission.figures();
        LimitsView {
            kept_bytes: self.kept.bytes(),
            max_requests: self.admission.max_requests(),
            waiting,
            refused,
            retries_exhausted: self.retries.exhausted(),
            timeout_s: self.settings().write_timeout.as_secs(),
            transactions_under_way: self.under_way.len(),
            admission: self.admission.view(),
            budget: self.settings().budget,
        }
    }

    /// The state of a gateway in front of these instances.
    #[must_use]
    pub fn new(replication: Replication, config: &Config) -> AppState {
        let budget = Budget::of(&config.resources);
        let counters = Counters::new(replication.instances().len());
        let limits = Limits::from(config);
        Arc::new(Self {
            counters,
            measures: Measures::default(),
            admission: Admission::new(limits),
            kept: Kept::new(budget.kept_answers_bytes(config.read.cache_max_bytes)),
            retries: RetryBudget::new(limits.requests),
            under_way: UnderWay::new(MAX_UNDER_WAY),
            settings: ArcSwap::from_pointee(Settings::from(config)),
            reload: Mutex::default(),
            replication,
        })
    }

    /// What is configured at the moment.
    pub(super) fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Takes another configuration, for requests that come from now on.
    pub fn configure(&self, config: &Config) {
        self.settings.store(Arc::new(Settings::from(config)));
        self.admission.set_body_bytes(Limits::from(config).body_bytes);
    }

    /// Keeps how a reload ended, for operators.
    pub fn note_reload(&self, reload: LastReload) {
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(reload);
    }

    /// How the last reload ended; `None` before the first.
    #[must_use]
    pub fn last_reload(&self) -> Option<LastReload> {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
