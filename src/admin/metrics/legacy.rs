//! The predecessor's figures, for scripts that ask for JSON.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::admin::time;
use crate::gateway::AppState;
use crate::resources::{ProcessMemory, ProcessUse};

/// What is answered.
#[derive(Serialize)]
pub(super) struct Figures {
    /// Of this process.
    memory_usage_mb: f64,
    /// Of what it may use.
    memory_percent: f64,
    /// Of one core, since the last time that this was asked for.
    cpu_percent: f64,
    /// ISO 8601.
    timestamp: String,
    /// Of what it may use, in percent.
    peak_memory_usage: f64,
}

/// Remembers how much had been worked when it was last asked.
#[derive(Debug)]
pub(in crate::admin) struct CpuMeter(Mutex<(Instant, Duration)>);

impl CpuMeter {
    pub(in crate::admin) fn new() -> Self {
        Self(Mutex::new((Instant::now(), ProcessUse::now().cpu)))
    }

    /// The share of one core since the last call, in percent.
    fn percent(&self) -> f64 {
        let now = (Instant::now(), ProcessUse::now().cpu);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (passed, worked) = (now.0 - last.0, now.1.saturating_sub(last.1));
        *last = now;
        if passed.is_zero() { 0.0 } else { worked.as_secs_f64() * 100.0 / passed.as_secs_f64() }
    }
}

pub(super) fn figures(app: &AppState, cpu: &CpuMeter) -> Figures {
    let (budget, memory) = (app.limits().budget, ProcessMemory::now());
    Figures {
        memory_usage_mb: memory.resident_bytes as f64 / f64::from(1 << 20),
        memory_percent: budget.percent(memory.resident_bytes),
        cpu_percent: cpu.percent(),
        timestamp: time::iso(SystemTime::now()),
        peak_memory_usage: budget.percent(memory.peak_bytes),
    }
}
