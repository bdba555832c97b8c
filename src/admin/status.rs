//! `GET /status`, and what `isochrome status` prints.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use super::legacy::{Concurrency, HighVolume, Performance, Stats, UnifiedWal, WriteAheadLog};
use super::reload::ReloadStatus;
use super::{Operators, time};
use crate::gateway::AppState;
use crate::instances::client::Instance;
use crate::instances::fence::Fenced;
use crate::repair::verify::report::Report;
use crate::replication::rebuild::RebuildView;
use crate::replication::view::InstanceView;
use crate::wal::WalStats;
use crate::wal::record::Lsn;
use crate::wal::record::duty::Duty;

/// An instance whose oldest pending write is older than this is catching up.
const BEHIND_MS: u64 = 1_000;

/// Who we are.
pub const SERVICE: &str = "Isochrome (Write-Ahead Log)";
/// How we do it, in a line.
pub const ARCHITECTURE: &str = "One ordered write-ahead log, shipped to every Chroma instance";

/// The whole at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub service: &'static str,
    pub version: &'static str,
    pub architecture: &'static str,
    pub healthy_instances: usize,
    pub total_instances: usize,
    /// ISO 8601.
    pub timestamp: String,
    /// The epoch that this process took; another process that meets it stops.
    pub epoch: u64,
    /// Why nothing is read or written until an operator chooses; `null` while it is.
    pub fenced: Option<FencedStatus>,
    /// Primary first.
    pub instances: Vec<InstanceStatus>,
    /// Writes without a verdict.
    pub undecided_writes: usize,
    /// Writes without a verdict that were under way when an instance died or stopped writing, by LSN.
    pub suspects: Vec<Lsn>,
    /// Writes that were withdrawn because instances did not survive them, and are kept, by LSN.
    pub poisoned: Vec<Lsn>,
    /// Committed writes that the last instance which has their collection goes on refusing, by LSN.
    pub refused: Vec<Lsn>,
    /// Reads that wait for an instance that has caught up.
    pub waiting_reads: usize,
    /// The first write without a verdict.
    pub oldest_undecided: Option<Lsn>,
    /// How often the decision of a lane with something pending moved, by reason.
    pub leader_moves: BTreeMap<&'static str, u64>,
    /// What slows acknowledgements; `null` while nothing does.
    pub slowed: Option<SlowedStatus>,
    /// How the last reload of the configuration ended; `null` before the first.
    pub reload: Option<ReloadStatus>,
    /// What the last comparison of everything said; `null` before the first.
    pub verify: Option<VerifyStatus>,
    /// Figures of the log; `null` while stopping.
    pub log: Option<WalStats>,
    pub unified_wal: UnifiedWal,
    pub write_ahead_log: WriteAheadLog,
    pub high_volume_config: HighVolume,
    pub performance_stats: Performance,
    pub concurrency_details: Concurrency,
    pub stats: Stats,
}

/// Another Isochrome may be writing.
#[derive(Clone, Debug, Serialize)]
pub struct FencedStatus {
    /// `overtaken` or `old log`.
    pub reason: &'static str,
    /// What was seen, and what to do.
    pub detail: String,
    /// ISO 8601.
    pub since: String,
}

impl From<Fenced> for FencedStatus {
    fn from(fenced: Fenced) -> Self {
        Self { reason: fenced.reason, detail: fenced.detail, since: time::iso(fenced.since) }
    }
}

/// An instance lags so much that acknowledgements wait for it.
#[derive(Clone, Debug, Serialize)]
pub struct SlowedStatus {
    pub instance: String,
    /// How long an acknowledgement waits at most.
    pub delay_ms: u64,
}

/// The last comparison of all instances.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyStatus {
    /// `same`, `different`, or `incomplete` where something could not be compared.
    pub verdict: &'static str,
    /// In a line.
    pub summary: String,
    /// ISO 8601.
    pub began_at: String,
    pub ended_at: String,
    /// Unix time in seconds.
    #[serde(skip)]
    pub ended_s: f64,
    pub collections: u64,
    pub records: u64,
    pub differences: u64,
}

impl From<Report> for VerifyStatus {
    fn from(report: Report) -> Self {
        Self {
            verdict: report.verdict.word(),
            summary: report.summary(),
            began_at: time::iso_ms(report.began_ms),
            ended_at: time::iso_ms(report.ended_ms),
            ended_s: report.ended_ms as f64 / 1_000.0,
            collections: report.collection_count,
            records: report.records,
            differences: report.difference_count,
        }
    }
}

/// One instance.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceStatus {
    pub name: String,
    pub address: String,
    /// What its server runs, where it is managed: the version of Chroma, or the executable where that is not known.
    pub chroma: Option<String>,
    pub healthy: bool,
    /// `up`, `checking`, or why it is down: `refused`, `hung`, `cannot write`, `lost state`,
    /// `not ours`, `fenced`, `handing over`.
    pub state: &'static str,
    /// What an operator wants of it: `serve`, `drain` or `maintenance`.
    pub duty: Duty,
    /// What it does, in a word: `serving`, `catching up`, `rebuilding`, `quarantined in part`, `draining`, `drained`,
    /// `maintenance`, `hung`, `down`, `checking` or `not ours`.
    pub condition: &'static str,
    /// The reason in words; empty while it is up.
    pub detail: String,
    /// Reads that it answered, of those that it was asked for, as in `"99.5%"`.
    pub success_rate: String,
    pub total_requests: u64,
    pub failed_requests: u64,
    /// Of heartbeats and proofs, while it is down.
    pub consecutive_failures: u64,
    /// ISO 8601; `null` before the first answer.
    pub last_health_check: Option<String>,
    /// Since when it is in this state; ISO 8601.
    pub since: String,
    /// Writes that are logged and neither applied nor void there.
    pub pending_writes: usize,
    pub oldest_pending_lsn: Option<Lsn>,
    /// Age of the oldest of them; 0 where nothing is pending.
    pub lag_ms: u64,
    /// Requests that carry writes and are under way there.
    pub in_flight: usize,
    /// What keeps reads away while they fail there: `closed` lets them through, `open` keeps them away, `half open`
    /// lets one try.
    pub breaker: &'static str,
    /// How often it opened since the start.
    pub breaker_trips: u64,
    /// Reads under way there.
    pub reads_in_flight: u32,
    /// Running mean of the time to answer a read.
    pub mean_read_ms: f64,
    /// Share of its reads that it takes: less than 1 shortly after it came back.
    pub read_share: f64,
    /// Lanes with pending writes that it decides.
    pub leads: usize,
    /// Lanes that can't be brought to the verdicts there, with the reason.
    pub divergent: Vec<(String, String)>,
    /// Collections that are copied to it again from another instance, with progress.
    pub rebuilds: Vec<RebuildView>,
    /// How many of them are because it was down for longer than the log could hold what it missed.
    pub marked_collections: usize,
}

impl Status {
    /// The status now.
    pub async fn of(operators: &Operators) -> Self {
        let app = &operators.app;
        let replication = app.replication.clone();
        let log = tokio::task::spawn_blocking(move || replication.log_stats()).await.ok();
        // Nothing is known while the core stops.
        let view = app.replication.view().await.unwrap_or_default();
        let chroma = executables(operators).await;
        let oldest = view.instances.iter().filter_map(|view| view.oldest_pending).collect();
        let accepted_ms = app.replication.accepted_ms(oldest).await;
        let instances: Vec<_> = app
            .replication
            .instances()
            .iter()
            .filter_map(|instance| {
                let view = view.instances.iter().find(|view| view.instance == instance.id)?;
                let oldest_ms = view.oldest_pending.and_then(|lsn| accepted_ms.get(&lsn));
                let lag_ms = oldest_ms.map_or(0, |accepted_ms| time::age_ms(*accepted_ms));
                let chroma = chroma.get(&instance.name).cloned();
                Some(InstanceStatus { chroma, ..InstanceStatus::of(app, instance, view, lag_ms) })
            })
            .collect();
        Self {
            service: SERVICE,
            version: env!("CARGO_PKG_VERSION"),
            architecture: ARCHITECTURE,
            healthy_instances: instances.iter().filter(|instance| instance.healthy).count(),
            total_instances: app.replication.instances().len(),
            timestamp: time::iso(SystemTime::now()),
            epoch: app.replication.fence().epoch(),
            fenced: app.replication.fenced().map(FencedStatus::from),
            undecided_writes: view.undecided,
            suspects: view.suspects.clone(),
            poisoned: view.poisoned.iter().map(|one| one.lsn).collect(),
            refused: view.refused.iter().map(|one| one.lsn).collect(),
            waiting_reads: view.waiting_reads,
            oldest_undecided: view.oldest_undecided,
            leader_moves: view.moves.iter().copied().collect(),
            slowed: view.slowed_by.map(|(by, delay_ms)| SlowedStatus {
                instance: app.replication.instances()[by.index()].name.clone(),
                delay_ms,
            }),
            reload: app.last_reload().map(ReloadStatus::from),
            verify: operators.repair.verify.last().map(VerifyStatus::from),
            unified_wal: UnifiedWal::of(&view, log.as_ref()),
            write_ahead_log: WriteAheadLog::of(&view, log.as_ref()),
            high_volume_config: HighVolume::of(app),
            performance_stats: Performance::of(app),
            concurrency_details: Concurrency::of(app),
            stats: Stats::of(app, &view, log.as_ref()),
            instances,
            log,
        }
    }
}

impl InstanceStatus {
    fn of(app: &AppState, instance: &Instance, view: &InstanceView, lag_ms: u64) -> Self {
        let health = app.replication.health(instance.id);
        let counts = app.counters.instance(instance.id);
        let load = instance.turns.view();
        Self {
            name: instance.name.clone(),
            address: instance.authority.clone(),
            chroma: None,
            healthy: view.state == "up",
            state: view.state,
            duty: view.duty,
            condition: condition(view, lag_ms, load.in_flight),
            // The watch may not have heard yet what the core knows from the start.
            detail: if view.state == "up" { String::new() } else { health.detail },
            success_rate: rate(counts.total - counts.failed.min(counts.total), counts.total),
            total_requests: counts.total,
            failed_requests: counts.failed,
            consecutive_failures: health.consecutive_failures,
            last_health_check: health.last_answer.map(|moment| time::iso(time::wall(moment))),
            since: time::iso(time::wall(health.since)),
            pending_writes: view.pending,
            oldest_pending_lsn: view.oldest_pending,
            lag_ms,
            in_flight: view.in_flight,
            breaker: load.phase.word(),
            breaker_trips: load.trips,
            reads_in_flight: load.in_flight,
            mean_read_ms: load.mean_us / 1_000.0,
            read_share: load.share,
            leads: view.leads,
            divergent: view.divergent.clone(),
            rebuilds: view.rebuilds.clone(),
            marked_collections: view.marked,
        }
    }
}

/// What the managed servers run, by their names.
async fn executables(operators: &Operators) -> BTreeMap<String, String> {
    let operators = operators.clone();
    let look = move || {
        let instances = operators.app.replication.instances().iter();
        let run =
            |name: &String| Some((name.clone(), operators.repair.upgrade.executable(name)?.to_string()));
        instances.filter_map(|instance| run(&instance.name)).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// What an instance does, in a word.
fn condition(view: &InstanceView, lag_ms: u64, reads: u32) -> &'static str {
    match (view.state, view.duty) {
        ("refused" | "cannot write" | "lost state", _) => "down",
        ("up", Duty::Drain) if view.leads > 0 || reads > 0 => "draining",
        ("up", Duty::Drain) => "drained",
        ("up", _) if !view.rebuilds.is_empty() => "rebuilding",
        ("up", _) if !view.divergent.is_empty() => "quarantined in part",
        ("up", _) if lag_ms >= BEHIND_MS => "catching up",
        ("up", _) => "serving",
        (state, _) => state,
    }
}

/// A share as in `"99.5%"`; all of nothing is everything.
fn rate(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "100.0%".to_owned();
    }
    format!("{:.1}%", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_in_percent() {
        assert_eq!((rate(0, 0), rate(1, 3), rate(0, 5)), ("100.0%".into(), "33.3%".into(), "0.0%".into()));
    }
}
