//! Large bodies in files of their own, durable before the entry that names them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::disk::disk;
use super::error::LogError;
use super::record::Body;
use super::segment::sync_dir;

/// The directory of body files.
#[derive(Debug)]
pub struct BodyFiles {
    dir: PathBuf,
    /// Names begin with the first record number of this run, which no earlier run has used for a file
    /// that is still there.
    prefix: u64,
    next: AtomicU64,
}

impl BodyFiles {
    /// Opens the directory and removes every file that no entry in `named` claims.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(wal_dir: &Path, next_seq: u64, named: &HashSet<String>) -> Result<Self, LogError> {
        let dir = wal_dir.join("bodies");
        disk().make_dir(&dir)?;
        sync_dir(wal_dir)?;
        for name in disk().names(&dir)? {
            if name.to_str().is_none_or(|name| !named.contains(name)) {
                disk().remove(&dir.join(name))?;
            }
        }
        Ok(Self { dir, prefix: next_seq, next: AtomicU64::new(0) })
    }

    /// Writes a body, durable when this returns.
    ///
    /// # Errors
    /// The file could not be written; nothing of it stays.
    pub fn write(&self, body: &Bytes) -> Result<Body, LogError> {
        let name = format!("{:016x}-{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        if let Err(error) = self.write_file(&name, body) {
            self.remove(&name);
            return Err(error);
        }
        Ok(Body::File { name, body_bytes: body.len() as u64, crc32: crc32fast::hash(body) })
    }

    fn write_file(&self, name: &str, body: &[u8]) -> Result<(), LogError> {
        let path = self.dir.join(name);
        let mut file = disk().create(&path)?;
        disk().write(&path, &mut file, body)?;
        disk().sync(&path, &file)?;
        sync_dir(&self.dir)
    }

    /// Reads a body back and compares it with what its entry says.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when length or checksum differ, or the file is gone.
    pub fn read(&self, name: &str, body_bytes: u64, crc32: u32) -> Result<Bytes, LogError> {
        let damaged = |what: &str| LogError::Damaged(format!("the body in bodies/{name} {what}"));
        let body = match disk().read(&self.dir.join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(damaged("is gone")),
            other => other?,
        };
        if body.len() as u64 != body_bytes {
            return Err(damaged(&format!("has {} bytes instead of {body_bytes}", body.len())));
        }
        if crc32fast::hash(&body) != crc32 {
            return Err(damaged("is not what was written"));
        }
        Ok(body.into())
    }

    /// Removes a body that no entry needs any more. What cannot be removed now goes at the next start.
    pub fn remove(&self, name: &str) {
        if let Err(error) = disk().remove(&self.dir.join(name)) {
            tracing::warn!(name, %error, "a body file could not be removed");
        }
    }

    /// Bytes of all body files.
    pub fn disk_bytes(&self) -> Result<u64, LogError> {
        super::stats::dir_bytes(&self.dir)
    }
}
