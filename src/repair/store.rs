//! `jobs.db`: what long work of operators must remember over a restart. No acknowledged write depends on it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::{jobs, upgrade};

/// The tables, by the version of the file that brought them. A version that was released is never changed: what is new
/// is another step at the end.
const STEPS: &[&str] = &[jobs::SCHEMA, upgrade::SCHEMA];

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} has version {found}, and this version of Isochrome knows {known}; use the newer one again", path.display())]
    Newer { path: PathBuf, found: usize, known: usize },
    #[error("jobs.db failed: {0}")]
    Storage(#[from] rusqlite::Error),
}

impl StoreError {
    /// The runtime ends, and nothing more is read or written.
    pub(super) fn stopping() -> Self {
        Self::Storage(rusqlite::Error::InvalidQuery)
    }
}

/// The open file. Calls block.
#[derive(Debug)]
pub struct Store {
    conn: Mutex<Connection>,
}

impl Store {
    /// Opens the file of a data directory for the holder of its lock, or makes it. A damaged one is put aside.
    ///
    /// # Errors
    /// [`StoreError`] where it belongs to a newer version, or the disk fails.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("jobs.db");
        match connect(&path) {
            Err(StoreError::Storage(error)) if is_damage(&error) => {
                tracing::error!(%error, "jobs.db is damaged; it is put aside, and a new one begins");
                let aside = dir.join("jobs.db.damaged");
                std::fs::rename(&path, aside).map_err(|_| StoreError::Storage(error))?;
                for companion in ["jobs.db-wal", "jobs.db-shm"] {
                    _ = std::fs::remove_file(dir.join(companion));
                }
                connect(&path)
            }
            opened => opened,
        }
    }

    /// Does something with the tables.
    ///
    /// # Errors
    /// [`StoreError::Storage`] where the work failed.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(&mut conn)?)
    }
}

fn connect(path: &Path) -> Result<Store, StoreError> {
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    let found = conn.query_row("PRAGMA user_version", [], |row| row.get::<_, usize>(0))?;
    let Some(missing) = STEPS.get(found..) else {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: STEPS.len() });
    };
    let change = conn.transaction()?;
    for step in missing {
        change.execute_batch(step)?;
    }
    change.pragma_update(None, "user_version", STEPS.len())?;
    change.commit()?;
    Ok(Store { conn: Mutex::new(conn) })
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_put_aside_and_a_newer_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("jobs.db"), "certainly no database, but long enough ".repeat(200))
            .unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(dir.path().join("jobs.db.damaged").exists());
        store.with(|conn| conn.pragma_update(None, "user_version", 1_000)).unwrap();
        drop(store);
        let newer = Store::open(dir.path()).unwrap_err().to_string();
        assert!(newer.contains("has version 1000"), "{newer}");
    }
}
