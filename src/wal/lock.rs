//! One process per data directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::Path;

use super::error::OpenError;

/// The held lock; released when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct DirLock {
    file: File,
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child process that is just being started.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the data directory could not be unlocked");
        }
    }
}

/// Takes the lock of a data directory and writes this process's id into it.
///
/// # Errors
/// [`OpenError::Locked`] with the holder's process id when somebody else has it, [`OpenError::Storage`]
/// when the file cannot be opened or written.
pub fn take(dir: &Path) -> Result<DirLock, OpenError> {
    let path = dir.join("lock");
    let storage = |error: std::io::Error| OpenError::Storage { dir: dir.to_owned(), error: error.into() };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(storage)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Locked { dir: dir.to_owned(), holder: holder(&path) });
        }
        Err(TryLockError::Error(error)) => return Err(storage(error)),
    }
    file.set_len(0).map_err(storage)?;
    file.rewind().map_err(storage)?;
    writeln!(file, "{}", std::process::id()).map_err(storage)?;
    Ok(DirLock { file })
}

/// Who the lock file says holds it. The holder may be between taking the lock and writing its id.
fn holder(path: &Path) -> String {
    match fs::read_to_string(path).map(|text| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = take(dir.path()).unwrap();
        let error = take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        take(dir.path()).unwrap();
    }
}
