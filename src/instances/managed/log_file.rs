//! Where a server's output goes: one file that is kept small, and the one before it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const MAX_BYTES: u64 = 8 << 20;
const TAIL_BYTES: u64 = 4 << 10;

/// The log of one server, `server.log` in its directory.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    path: PathBuf,
}

impl LogFile {
    pub(super) fn new(directory: &Path) -> Self {
        Self { path: directory.join("server.log") }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it for a server to append to.
    pub(super) fn open(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(&self.path)
    }

    /// Moves a log that has grown too long to `server.log.1`. The server may go on writing: what it
    /// appends while this copies is lost, which a log may.
    pub(super) fn bound(&self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > MAX_BYTES => {
                fs::copy(&self.path, self.path.with_extension("log.1"))?;
                File::options().write(true).open(&self.path)?.set_len(0)
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The last line that says something, for a message about a server that ended.
    pub(super) fn last_line(&self) -> Option<String> {
        let mut file = File::open(&self.path).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
        let tail = String::from_utf8_lossy(&tail);
        tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_long_log_is_moved_away_under_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogFile::new(dir.path());
        log.bound().unwrap();
        let mut writer = log.open().unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..8 {
            writer.write_all(&line).unwrap();
        }
        log.bound().unwrap();
        assert_eq!(fs::metadata(log.path()).unwrap().len(), 8 << 20, "at the limit it stays");

        writer.write_all(b"\nthe last straw\n\n").unwrap();
        assert_eq!(log.last_line().unwrap(), "the last straw");
        log.bound().unwrap();
        writer.write_all(b"goes on\n").unwrap();
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "goes on\n");
        assert!(fs::metadata(dir.path().join("server.log.1")).unwrap().len() > MAX_BYTES);
    }
}
