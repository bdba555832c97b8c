//! `epochs.json`: the epochs that a data directory took, and where it was.
//!
//! A file of its own, for it must be durable before the log's threads run, and an operator may look into it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::epoch::Claims;

const VERSION: u32 = 1;

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    #[error("{} can't be read or written: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} can't be understood ({reason}). Where it is put aside, the next start does not know which epochs were its \
         own, and waits for `isochrome take-over`",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    /// Tells a data directory from its copy.
    home: String,
    #[serde(flatten)]
    claims: Claims,
}

/// The claims of a data directory, on disk.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    home: String,
    pub(super) claims: Claims,
}

impl Store {
    /// Reads the file for the holder of the directory's lock. Also tells whether the directory was copied or moved to
    /// another disk since its last start.
    ///
    /// # Errors
    /// [`ClaimsError`].
    pub(super) fn open(dir: &Path) -> Result<(Self, bool), ClaimsError> {
        let path = file(dir);
        let home = home(dir).map_err(|source| ClaimsError::Io { path: path.clone(), source })?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { dir: dir.to_owned(), home, claims: Claims::default() }, false));
            }
            Err(source) => return Err(ClaimsError::Io { path, source }),
        };
        let damaged = |reason: String| ClaimsError::Damaged { path: path.clone(), reason };
        let content: Content = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if content.version != VERSION {
            let reason = format!("its version is {}, this program knows {VERSION}", content.version);
            return Err(damaged(reason));
        }
        let is_moved = content.home != home;
        Ok((Self { dir: dir.to_owned(), home, claims: content.claims }, is_moved))
    }

    /// Replaces the file as a whole; durable when this returns.
    ///
    /// # Errors
    /// [`ClaimsError::Io`].
    pub(super) fn save(&self, claims: &Claims) -> Result<(), ClaimsError> {
        let path = file(&self.dir);
        let content = Content { version: VERSION, home: self.home.clone(), claims: claims.clone() };
        let write = || -> io::Result<()> {
            let new = path.with_extension("json.new");
            let mut out = File::create(&new)?;
            out.write_all(&serde_json::to_vec_pretty(&content)?)?;
            out.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|source| ClaimsError::Io { path: path.clone(), source })
    }
}

/// Begins the file of a new data directory for servers on which others took epochs up to this one. Its first start gives
/// them the time to notice.
///
/// # Errors
/// [`ClaimsError::Io`].
pub fn begin_after(dir: &Path, accepted: u64) -> Result<(), ClaimsError> {
    let claims = Claims::after(accepted);
    let store = Store { dir: dir.to_owned(), home: String::new(), claims: claims.clone() };
    store.save(&claims)
}

fn file(dir: &Path) -> PathBuf {
    dir.join("epochs.json")
}

/// What a copy of the directory does not have: the file of the lock is made once, and never replaced.
fn home(dir: &Path) -> io::Result<String> {
    let lock = fs::metadata(dir.join("lock"))?;
    let born = lock.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Ok(format!("{}-{}", lock.ino(), born.as_nanos()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lock"), "1").unwrap();
        dir
    }

    #[test]
    fn what_was_taken_is_known_at_the_next_start() {
        let dir = directory();
        let (store, is_moved) = Store::open(dir.path()).unwrap();
        assert!(!is_moved && store.claims == Claims::default());
        let mut claims = Claims::default();
        claims.take(0, 0, Uuid::from_u128(7), 12);
        store.save(&claims).unwrap();
        let (store, is_moved) = Store::open(dir.path()).unwrap();
        assert_eq!((store.claims, is_moved), (claims, false));
    }

    #[test]
    fn a_copy_of_a_directory_is_known_as_one() {
        let (original, copy) = (directory(), directory());
        Store::open(original.path()).unwrap().0.save(&Claims::default()).unwrap();
        fs::copy(file(original.path()), file(copy.path())).unwrap();
        assert!(Store::open(copy.path()).unwrap().1);
        assert!(!Store::open(original.path()).unwrap().1);
    }

    #[test]
    fn what_cannot_be_read_is_not_guessed_at() {
        let dir = directory();
        for content in ["{", r#"{"version":2,"home":"","taken":[],"accepted":0}"#] {
            fs::write(file(dir.path()), content).unwrap();
            assert!(Store::open(dir.path()).unwrap_err().to_string().contains("take-over"));
        }
    }
}
