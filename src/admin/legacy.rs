//! The objects that the predecessor's scripts look for, with true values. What has no meaning here is zero.

use serde::Serialize;

use super::status::Status;
use super::time;
use crate::gateway::AppState;
use crate::replication::view::CoreView;
use crate::resources::ProcessMemory;
use crate::wal::WalStats;

/// `unified_wal`.
#[derive(Clone, Debug, Serialize)]
pub struct UnifiedWal {
    /// Writes that are not applied or void on every instance.
    pub pending_writes: usize,
    pub oldest_pending_age_ms: Option<u64>,
    pub is_syncing: bool,
    /// Writes are shipped at once.
    pub sync_interval_seconds: u64,
    pub database: &'static str,
    pub approach: &'static str,
}

impl UnifiedWal {
    pub(super) fn of(view: &CoreView, log: Option<&WalStats>) -> Self {
        Self {
            pending_writes: view.pending,
            oldest_pending_age_ms: oldest_ms(view, log).map(time::age_ms),
            is_syncing: view.instances.iter().any(|instance| instance.in_flight > 0),
            sync_interval_seconds: 0,
            database: "SQLite",
            approach: super::status::ARCHITECTURE,
        }
    }
}

/// When the oldest pending write was accepted: Unix time in milliseconds.
fn oldest_ms(view: &CoreView, log: Option<&WalStats>) -> Option<u64> {
    log.filter(|_| view.pending > 0)?.oldest_accepted_ms
}

/// `write_ahead_log`, of an earlier generation.
#[derive(Clone, Debug, Serialize)]
pub struct WriteAheadLog {
    pub pending_writes: usize,
    pub is_replaying: bool,
    /// ISO 8601.
    pub oldest_pending: Option<String>,
    pub total_replayed: u64,
    pub failed_replays: u64,
}

impl WriteAheadLog {
    pub(super) fn of(view: &CoreView, log: Option<&WalStats>) -> Self {
        Self {
            pending_writes: view.pending,
            is_replaying: view.instances.iter().any(|instance| instance.in_flight > 0),
            oldest_pending: oldest_ms(view, log).map(time::iso_ms),
            total_replayed: finished(view, log),
            failed_replays: divergent(view),
        }
    }
}

/// Writes of this process's life that are applied or void everywhere.
fn finished(view: &CoreView, log: Option<&WalStats>) -> u64 {
    log.map_or(0, |log| log.durable_entries.saturating_sub(view.pending as u64))
}

/// Lanes on instances that could not be brought to the verdicts.
fn divergent(view: &CoreView) -> u64 {
    view.instances.iter().map(|instance| instance.divergent.len() as u64).sum()
}

/// `high_volume_config`.
#[derive(Clone, Debug, Serialize)]
pub struct HighVolume {
    pub max_memory_mb: u64,
    /// Of this process, as a share of what it may use.
    pub current_memory_percent: f64,
    pub max_workers: usize,
    pub default_batch_size: u64,
    pub max_batch_size: u64,
    pub peak_memory_usage: f64,
    pub max_concurrent_requests: usize,
    pub request_queue_size: u64,
    /// Seconds.
    pub request_timeout: u64,
}

impl HighVolume {
    pub(super) fn of(app: &AppState) -> Self {
        let limits = app.limits();
        let used = ProcessMemory::now();
        Self {
            max_memory_mb: limits.budget.memory_bytes >> 20,
            current_memory_percent: limits.budget.percent(used.resident_bytes),
            max_workers: limits.budget.workers,
            default_batch_size: 0,
            max_batch_size: 0,
            peak_memory_usage: limits.budget.percent(used.peak_bytes),
            max_concurrent_requests: limits.max_requests,
            request_queue_size: limits.waiting,
            request_timeout: limits.timeout_s,
        }
    }
}

/// `performance_stats`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Performance {
    pub memory_pressure_events: u64,
    pub adaptive_batch_reductions: u64,
    pub avg_sync_throughput: f64,
    pub connection_pool_hits: u64,
    pub connection_pool_misses: u64,
    pub lock_contention_avoided: u64,
    pub concurrent_requests_active: u64,
    pub total_requests_processed: u64,
    pub timeout_requests: u64,
    pub queue_full_rejections: u64,
    pub mapping_failures: u64,
    pub critical_mapping_failures: u64,
    pub mapping_exceptions: u64,
}

impl Performance {
    pub(super) fn of(app: &AppState) -> Self {
        let counts = app.counters.counts();
        Self {
            concurrent_requests_active: counts.active,
            total_requests_processed: counts.total - counts.active.min(counts.total),
            queue_full_rejections: app.limits().refused,
            ..Self::default()
        }
    }
}

/// `concurrency_details`.
#[derive(Clone, Debug, Serialize)]
pub struct Concurrency {
    pub concurrent_requests_active: u64,
    pub total_requests_processed: u64,
    pub timeout_requests: u64,
    pub queue_full_rejections: u64,
    pub max_concurrent_requests: usize,
    pub request_queue_size: u64,
    /// Seconds.
    pub request_timeout: u64,
    pub semaphore_acquisitions: u64,
    pub semaphore_releases: u64,
    pub processing_failures: u64,
}

impl Concurrency {
    pub(super) fn of(app: &AppState) -> Self {
        let (counts, limits) = (app.counters.counts(), app.limits());
        let processed = counts.total - counts.active.min(counts.total);
        Self {
            concurrent_requests_active: counts.active,
            total_requests_processed: processed,
            timeout_requests: 0,
            queue_full_rejections: limits.refused,
            max_concurrent_requests: limits.max_requests,
            request_queue_size: limits.waiting,
            request_timeout: limits.timeout_s,
            semaphore_acquisitions: counts.total - limits.refused.min(counts.total),
            semaphore_releases: processed - limits.refused.min(processed),
            processing_failures: counts.failed,
        }
    }
}

/// `stats`.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    pub total_requests: u64,
    pub successful_requests: u64,
    pub failed_requests: u64,
    pub reads: u64,
    pub writes: u64,
    /// Times that a failed read was not repeated at once, because too many had failed.
    pub retries_exhausted: u64,
    /// Reads of records that were answered by what was answered before, and is still exact.
    pub cache_hits: u64,
    /// Those that might have been, and went to an instance.
    pub cache_misses: u64,
    /// Memory that kept answers take.
    pub cache_bytes: u64,
    /// Writes that were answered with the outcome of the same request before.
    pub repeated_writes: u64,
    /// Transactions with an id of the sender's that are under way.
    pub transactions_under_way: usize,
    pub consistency_overrides: u64,
    pub total_wal_writes: u64,
    pub successful_syncs: u64,
    pub failed_syncs: u64,
    pub sync_cycles: u64,
    pub batches_processed: u64,
    pub deletion_conversions: u64,
    pub method_normalizations: u64,
    pub peak_memory_usage: f64,
}

impl Stats {
    pub(super) fn of(app: &AppState, view: &CoreView, log: Option<&WalStats>) -> Self {
        let counts = app.counters.counts();
        Self {
            total_requests: counts.total,
            successful_requests: counts.ok,
            failed_requests: counts.failed,
            reads: counts.reads,
            writes: counts.writes,
            retries_exhausted: app.limits().retries_exhausted,
            cache_hits: counts.cache_hits,
            cache_misses: counts.cache_misses,
            cache_bytes: app.limits().kept_bytes,
            repeated_writes: counts.repeated,
            transactions_under_way: app.limits().transactions_under_way,
            consistency_overrides: 0,
            total_wal_writes: log.map_or(0, |log| log.durable_entries),
            successful_syncs: finished(view, log),
            failed_syncs: divergent(view),
            sync_cycles: log.map_or(0, |log| log.commits.count),
            batches_processed: log.map_or(0, |log| log.commits.count),
            deletion_conversions: 0,
            method_normalizations: 0,
            peak_memory_usage: app.limits().budget.percent(ProcessMemory::now().peak_bytes),
        }
    }
}

/// `GET /wal/status`.
#[derive(Debug, Serialize)]
pub(super) struct WalStatus<'a> {
    wal_system: &'a UnifiedWal,
    performance_stats: &'a Performance,
    high_volume_config: &'a HighVolume,
    pending_writes: usize,
    pending: usize,
    oldest_pending_age_ms: Option<u64>,
    successful_syncs: u64,
    successful: u64,
    failed_syncs: u64,
    log: Option<&'a WalStats>,
}

impl<'a> WalStatus<'a> {
    pub(super) fn of(status: &'a Status) -> Self {
        let pending = status.unified_wal.pending_writes;
        let successful = status.stats.successful_syncs;
        Self {
            wal_system: &status.unified_wal,
            performance_stats: &status.performance_stats,
            high_volume_config: &status.high_volume_config,
            pending_writes: pending,
            pending,
            oldest_pending_age_ms: status.unified_wal.oldest_pending_age_ms,
            successful_syncs: successful,
            successful,
            failed_syncs: status.stats.failed_syncs,
            log: status.log.as_ref(),
        }
    }
}
