//! The comparer: are several Chroma servers the same, record by record?
//!
//! It reads every collection of every database of the given tenants from each server directly and
//! names each difference. A server that cannot be read is an error, never "equal".

mod difference;
pub mod snapshot;

use std::fmt;
use std::time::{Duration, Instant};

pub use difference::Difference;
use snapshot::Snapshot;

use super::chroma::Chroma;
use super::http::Http;

/// Isochrome's own tenant and database on each instance: never the same, never shown.
pub const SYSTEM: &str = "isochrome_system";

/// What a comparison saw.
#[derive(Debug)]
pub struct Comparison {
    /// Collections and records of the first instance.
    pub collections: usize,
    pub records: usize,
    pub differences: Vec<Difference>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.differences.len();
        write!(f, "{count} differences in {} collections, {} records", self.collections, self.records)?;
        for difference in self.differences.iter().take(30) {
            write!(f, "\n  {difference}")?;
        }
        if count > 30 { write!(f, "\n  and {} more", count - 30) } else { Ok(()) }
    }
}

/// Compares servers. The first is the reference; every other is held against it.
#[derive(Clone)]
pub struct Comparer {
    instances: Vec<(String, String)>,
    tenants: Vec<String>,
}

impl Comparer {
    /// Over `(name, base URL)` of each server, in the default tenant.
    pub fn new(instances: &[(&str, String)]) -> Self {
        let instances = instances.iter().map(|(name, url)| ((*name).to_owned(), url.clone())).collect();
        Self { instances, tenants: vec!["default_tenant".to_owned()] }
    }

    /// Over servers, named by their ports.
    pub fn of(servers: &[Chroma]) -> Self {
        let instances = servers.iter().map(|server| (server.port().to_string(), server.url())).collect();
        Self { instances, tenants: vec!["default_tenant".to_owned()] }
    }

    /// In these tenants; [`SYSTEM`] is skipped.
    #[must_use]
    pub fn tenants(mut self, tenants: &[&str]) -> Self {
        self.tenants =
            tenants.iter().filter(|name| **name != SYSTEM).map(|name| (*name).to_owned()).collect();
        self
    }

    /// Reads all servers and compares them. `Err` when one cannot be read.
    pub async fn compare(&self) -> Result<Comparison, String> {
        let http = Http::new(Duration::from_secs(60));
        let mut snapshots = Vec::new();
        for (name, url) in &self.instances {
            let snapshot = Snapshot::read(&http, name, url, &self.tenants).await;
            snapshots.push(snapshot.map_err(|error| format!("cannot read {name} ({url}): {error}"))?);
        }
        let (reference, others) = snapshots.split_first().ok_or("nothing to compare")?;
        Ok(Comparison {
            collections: reference.collections.len(),
            records: reference.collections.values().map(|collection| collection.records.len()).sum(),
            differences: others.iter().flat_map(|other| difference::between(reference, other)).collect(),
        })
    }

    /// Panics with the list of differences when there are any, or when a server cannot be read.
    pub async fn assert_identical(&self) -> Comparison {
        let comparison = self.compare().await.unwrap_or_else(|error| panic!("{error}"));
        assert!(comparison.differences.is_empty(), "the instances differ: {comparison}");
        comparison
    }

    /// Compares again and again until the servers are the same; panics with the last differences
    /// when they still differ after `within`.
    pub async fn await_identical(&self, within: Duration) -> Comparison {
        let deadline = Instant::now() + within;
        loop {
            let last = match self.compare().await {
                Ok(comparison) if comparison.differences.is_empty() => return comparison,
                Ok(comparison) => comparison.to_string(),
                Err(error) => error,
            };
            assert!(Instant::now() < deadline, "not the same after {within:?}: {last}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
