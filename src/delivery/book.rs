//! The catalog as others read it, as of the last durable verdict.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::catalog::Catalog;
use crate::catalog::change::CatalogChange;
use crate::chroma::ids::InstanceId;
use crate::instances::kept::KeptCatalog;

/// The catalog, and how often it changed since the start.
#[derive(Debug)]
pub(super) struct Book {
    catalog: RwLock<Catalog>,
    changes: AtomicU64,
}

impl Book {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self { catalog: RwLock::new(catalog), changes: AtomicU64::new(0) }
    }

    /// A look at it. Keep it short: changes wait.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn apply(&self, change: &CatalogChange) {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner).apply(change);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// What an instance is to keep of it, and how often it had changed by then; `None` where that is as often as `since`.
    pub(super) fn kept(&self, instance: InstanceId, since: Option<u64>) -> Option<(u64, KeptCatalog)> {
        let changes = self.changes.load(Ordering::Acquire);
        (since != Some(changes)).then(|| (changes, KeptCatalog::of(&self.read(), instance)))
    }
}
