//! The two sides: one Chroma server, and Isochrome in front of two others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::chroma::Chroma;
use crate::support::compare::Comparer;
use crate::support::http::Http;
use crate::support::isochrome::{Isochrome, Setup};

/// How long anything that must come true may take; nothing is judged by it.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Pair {
    isochrome: Isochrome,
    servers: Vec<Chroma>,
    reference: Chroma,
    pub http: Http,
    runs: AtomicU64,
}

impl Pair {
    /// With lines of Chroma's configuration, and the arguments of Isochrome that mean the same.
    pub fn start(settings: &[&str], arguments: &[&str]) -> Self {
        let reference = Chroma::start_with(settings);
        let servers = Chroma::start_many(2);
        let isochrome = Setup::over(&servers).arguments(arguments).start();
        Self { isochrome, servers, reference, http: Http::default(), runs: AtomicU64::new(0) }
    }

    /// Ours and Chroma's address.
    pub fn bases(&self) -> [String; 2] {
        [self.isochrome.url(), self.reference.url()]
    }

    /// A text that no earlier run of a story on this pair had.
    pub fn new_run(&self) -> String {
        format!("r{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }

    /// The servers behind Isochrome hold the same records in the tenants of all runs.
    pub async fn assert_instances_identical(&self) {
        let runs = self.runs.load(Ordering::Relaxed);
        let tenants: Vec<String> = (0..runs).map(|run| format!("tenant-r{run}")).collect();
        let tenants: Vec<&str> = tenants.iter().map(String::as_str).collect();
        Comparer::of(&self.servers).tenants(&tenants).await_identical(PATIENCE).await;
    }
}
