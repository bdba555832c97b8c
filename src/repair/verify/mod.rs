//! Proof that the instances are the same: every record of every collection on all of them, while writes go on.
//!
//! ```text
//! places ──▶ databases, and collections that nobody made through us
//! collection ──▶ description ──▶ ids, once, in their order ──▶ chunks of records
//!                    each question: still ──▶ the answers of all instances at one position
//!                                   page, description ──▶ digests; where they differ, what differs
//! ```
//!
//! A difference counts only when it was seen while the copies were held at one position. Records that came after the
//! list of ids are for the next run; those that went are gone on all. What could not be compared is told, and then the
//! whole is never called the same.

mod collection;
pub(in crate::repair) mod description;
mod mend;
pub(in crate::repair) mod page;
pub(in crate::repair) mod places;
mod rebuild;
mod repair;
pub mod report;
mod schedule;
mod still;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::jobs::{Outcome, Progress, Work, WorkFuture, now_ms};
use crate::catalog::{Catalog, Collection, DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::{CollectionId, parse_uuid};
use crate::chroma::path;
use crate::delivery::handle::Replication;
use crate::instances::client::Instance;
use report::{NotCompared, Report, Verdict};
pub(super) use schedule::{run as run_by_schedule, run_after_rebuilds};

/// The name of these jobs.
pub const KIND: &str = "verify";

/// How long a count may take.
const COUNT: Duration = Duration::from_secs(5);
/// How long an instance may take to make its copy of a new collection.
const COPIES: Duration = Duration::from_secs(30);

/// What is to be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The name or the public id of a collection; null for everything.
    pub collection: Option<String>,
    /// Public ids of collections, where neither one nor all are meant.
    pub collections: Vec<String>,
    /// Make the other instances what the reference is, where records differ.
    pub repair: bool,
    /// The instance that is the reference; null for the preferred one of those that are up.
    pub from: Option<String>,
}

impl Request {
    /// True where all collections are meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.collection.is_none() && self.collections.is_empty()
    }

    /// What is meant, in a word; `None` for everything.
    fn of(&self) -> Option<String> {
        match &self.collections[..] {
            [] => self.collection.clone(),
            [one] => Some(one.clone()),
            several => Some(format!("{} collections", several.len())),
        }
    }
}

/// The comparison, and what the last one of everything said.
pub struct Verify {
    replication: Replication,
    last: Mutex<Option<Report>>,
    /// Held by the one that runs: two would wait for each other's readings.
    turn: tokio::sync::Mutex<()>,
}

impl Verify {
    /// A comparison of these instances; `last` is what the last one of everything said.
    #[must_use]
    pub fn new(replication: Replication, last: Option<Report>) -> Self {
        let last = Mutex::new(last.map(Report::without_details));
        Self { replication, last, turn: tokio::sync::Mutex::default() }
    }

    /// What the last comparison of everything said, without collections and differences.
    #[must_use]
    pub fn last(&self) -> Option<Report> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True where a request means something that exists.
    #[must_use]
    pub fn knows(&self, request: &Request) -> bool {
        request.is_everything() || !self.collections(request).is_empty()
    }

    fn collections(&self, request: &Request) -> Vec<Collection> {
        self.replication.with_catalog(|catalog| chosen(catalog, request))
    }

    /// Compares what is meant; the last comparison of everything is remembered.
    pub(super) async fn compare(&self, request: &Request, progress: &Progress) -> Report {
        let _turn = self.turn.lock().await;
        let report = self.compare_now(request, progress).await;
        let summary = report.summary();
        match report.verdict {
            Verdict::Same => tracing::info!(summary, "the instances were compared"),
            Verdict::Incomplete => tracing::warn!(summary, "the instances could not all be compared"),
            Verdict::Different => tracing::error!(summary, "the instances differed; see `isochrome jobs`"),
        }
        if report.of.is_none() {
            let last = Some(report.clone().without_details());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        }
        report
    }

    async fn compare_now(&self, request: &Request, progress: &Progress) -> Report {
        let (mut up, absent) = self.instances().await;
        if let Some(from) = &request.from {
            // Without it nobody is mended; the others are compared all the same.
            up.sort_by_key(|instance| instance.name != *from);
        }
        let has_reference =
            request.from.is_none() || up.first().map(|first| &first.name) == request.from.as_ref();
        let mut report = Report {
            of: request.of(),
            began_ms: now_ms(),
            instances: self.replication.instances().iter().map(|instance| instance.name.clone()).collect(),
            not_compared: absent,
            repair: request.repair && has_reference,
            ..Report::default()
        };
        report.log_positions = [self.replication.log_stats().durable_lsn; 2];
        if request.is_everything() {
            progress.phase("databases");
            places::compare(&self.replication, &up, &mut report).await;
        }
        let collections = self.collections(request);
        if collections.is_empty() && !request.is_everything() {
            let why = "the collection was dropped".to_owned();
            report.not_compared.push(NotCompared { instance: String::new(), why });
        }
        progress.expect(0);
        for collection in &collections {
            progress.expect(count(collection, &up).await);
        }
        for collection in &collections {
            progress.phase(&collection.name);
            let Some(collection) = self.with_copies(collection.id, &up).await else { continue };
            let instances = up.iter().map(|instance| instance.id);
            let instances = instances.filter(|instance| collection.real_ids.contains_key(instance)).collect();
            collection::compare(&self.replication, &collection, instances, &mut report, progress).await;
        }
        report.log_positions[1] = self.replication.log_stats().durable_lsn;
        report.ended_ms = now_ms();
        report.conclude();
        report
    }

    /// The collection as soon as every instance that can be asked has its copy, or after a while; `None` once it is
    /// dropped.
    async fn with_copies(&self, id: CollectionId, up: &[&Instance]) -> Option<Collection> {
        let deadline = Instant::now() + COPIES;
        loop {
            let now = self.replication.with_catalog(|catalog| catalog.living(id).cloned())?;
            let has_all = up.iter().all(|instance| now.real_ids.contains_key(&instance.id));
            if has_all || Instant::now() >= deadline {
                return Some(now);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The instances that can be asked, and why the others can't.
    async fn instances(&self) -> (Vec<&Instance>, Vec<NotCompared>) {
        let view = self.replication.view().await;
        let state = |instance: &Instance| {
            let views = view.iter().flat_map(|view| &view.instances);
            views
                .into_iter()
                .find(|there| there.instance == instance.id)
                .map_or("stopping", |there| there.state)
        };
        let all = self.replication.instances().iter().map(AsRef::as_ref);
        let (up, down): (Vec<&Instance>, Vec<&Instance>) = all.partition(|instance| state(instance) == "up");
        let told = |instance: &&Instance| NotCompared {
            instance: instance.name.clone(),
            why: format!("it is {}", state(instance)),
        };
        let mut absent: Vec<NotCompared> = down.iter().map(told).collect();
        if self.replication.instances().len() < 2 {
            let why = "there is no other instance to compare it with".to_owned();
            absent.extend(up.iter().map(|one| NotCompared { instance: one.name.clone(), why: why.clone() }));
        }
        (up, absent)
    }

    async fn run_to_end(self: Arc<Self>, request: Value, progress: Arc<Progress>) -> Result<Outcome, String> {
        let request: Request = serde_json::from_value(request).map_err(|error| error.to_string())?;
        let report = self.compare(&request, &progress).await;
        let summary = report.summary();
        let result = serde_json::to_value(&report).map_err(|error| error.to_string())?;
        Ok(Outcome { summary, result })
    }
}

/// Jobs that compare.
pub(super) struct VerifyWork(pub Arc<Verify>);

impl Work for VerifyWork {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run(&self, request: Value, progress: Arc<Progress>) -> WorkFuture {
        Box::pin(Arc::clone(&self.0).run_to_end(request, progress))
    }
}

/// The living collections that are meant: by public id, or by name in any database.
fn chosen(catalog: &Catalog, request: &Request) -> Vec<Collection> {
    let wanted: Vec<&String> = request.collections.iter().chain(&request.collection).collect();
    let id = |which: &&String| parse_uuid(which).map(|id| CollectionId(id.as_u128()));
    let ids: HashSet<CollectionId> = wanted.iter().filter_map(id).collect();
    let is_meant = |collection: &Collection| {
        wanted.is_empty()
            || ids.contains(&collection.id)
            || request.collection.as_ref() == Some(&collection.name)
    };
    let all = catalog.all_living();
    let mut chosen: Vec<Collection> = all.into_iter().filter(|one| is_meant(one)).cloned().collect();
    let place = |one: &Collection| (one.tenant.clone(), one.database.clone(), one.name.clone());
    chosen.sort_by_cached_key(place);
    chosen
}

/// About how many records a collection has, for the progress alone.
async fn count(collection: &Collection, up: &[&Instance]) -> u64 {
    let there = up.iter().find_map(|one| Some((one, *collection.real_ids.get(&one.id)?)));
    let Some((instance, real_id)) = there else { return 0 };
    let path = path::collection(DEFAULT_TENANT, DEFAULT_DATABASE, Uuid::from_u128(real_id));
    let reply = timeout(COUNT, instance.call(Method::GET, &format!("{path}/count"), Bytes::new())).await;
    let counted = reply.ok().and_then(Result::ok).filter(crate::instances::client::Reply::is_success);
    counted.and_then(|reply| serde_json::from_slice(&reply.body).ok()).unwrap_or(0)
}
