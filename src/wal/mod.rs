//! The durable log: every write in the order it was accepted, what became of it, and the way back after a
//! crash.
//!
//! ```text
//! append ──▶ (large bodies: own files, synced) ──▶ queue ──▶ writer thread ──▶ segment files
//! record ────────────────────────────────────────▶   ▲            │ told in commit order
//!                                                     ╵            ▼
//!                     checkpointer thread ◀── segments         on_commit
//!                      │ state.db: the records' sum; covered segments whose entries are finished are dropped
//! ```
//!
//! Three kinds of file, and no commit spans two of them: segments (`wal/segment-N.db`) are the truth;
//! `state.db` follows them and says how far; body files are durable before the entry that names them.

mod adopt;
mod bodies;
mod cache;
mod checkpointer;
mod codec;
pub mod disk;
mod engine;
mod error;
mod fresh;
mod handle;
mod ledger;
mod lock;
mod open;
mod options;
mod placement;
mod places;
mod queue;
mod readers;
pub mod record;
pub mod roster;
mod scan;
mod segment;
mod shared;
mod spare;
mod stamp;
mod state;
mod stats;
mod threads;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use adopt::adopt;
pub use engine::{Engine, Settled, StampedRecord};
pub use error::{AppendError, LogError, OpenError};
pub use handle::Wal;
pub use open::{Recovered, Setup};
pub use options::WalOptions;
pub use queue::{Committed, NewEntry};
pub use state::{Adoption, Instance, StoredTransaction, TransactionState};
pub use stats::{CommitTimes, WalStats};
pub use writer::OnCommit;

/// Locks; what a panic elsewhere left behind is still the best there is.
fn lock_unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
