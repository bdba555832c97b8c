//! The two sides: one Chroma server, and Isochrome in front of two others.

use std::sync::Mutex;
use std::time::Duration;

use crate::support::chroma::Chroma;
use crate::support::compare::Comparer;
use crate::support::http::Http;
use crate::support::isochrome::{Isochrome, Setup};

/// How long anything that must come true may take; nothing is judged by it.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct Pair {
    isochrome: Isochrome,
    servers: Vec<Chroma>,
    reference: Chroma,
    pub http: Http,
    runs: Mutex<Vec<String>>,
}

impl Pair {
    /// With lines of Chroma's configuration, and the arguments of Isochrome that mean the same.
    pub fn start(settings: &[&str], arguments: &[&str]) -> Self {
        let reference = Chroma::start_with(settings);
        let servers = Chroma::start_many(2);
        let isochrome = Setup::over(&servers).arguments(arguments).start();
        Self { isochrome, servers, reference, http: Http::default(), runs: Mutex::default() }
    }

    /// Ours and Chroma's address.
    pub fn bases(&self) -> [String; 2] {
        [self.isochrome.url(), self.reference.url()]
    }

    /// A text that begins with `label` and that no earlier run of a story on this pair had.
    pub fn new_run(&self, label: &str) -> String {
        let mut runs = self.runs.lock().expect("no run panicked");
        let run = format!("{label}-{}", runs.len());
        runs.push(run.clone());
        run
    }

    /// The servers behind Isochrome hold the same records in the tenants of all runs.
    pub async fn assert_instances_identical(&self) {
        let runs = self.runs.lock().expect("no run panicked").clone();
        let tenants: Vec<String> = runs.iter().map(|run| format!("tenant-{run}")).collect();
        let tenants: Vec<&str> = tenants.iter().map(String::as_str).collect();
        Comparer::of(&self.servers).tenants(&tenants).await_identical(PATIENCE).await;
    }
}
