//! What is kept on disk about one managed server, so that the next process finds the port again
//! and knows the server that outlived the last one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ManagedError;
use super::process::Launched;

const VERSION: u32 = 1;

/// The file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// The server's directory at the time of writing. Another one tells of a copy, whose original
    /// may be in use and is none of our business.
    directory: PathBuf,
    /// Chosen once.
    pub(super) port: u16,
    /// The last start, unless its end was seen.
    pub(super) launched: Option<Launched>,
}

impl Record {
    pub(super) fn new(directory: &Path, port: u16) -> Self {
        Self { version: VERSION, directory: directory.to_path_buf(), port, launched: None }
    }

    /// Reads the record of the server in this (canonical) directory; `None` when it has none yet.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, ManagedError> {
        let path = file(directory);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ManagedError::Io { path, source }),
        };
        let record: Self = serde_json::from_slice(&bytes)
            .map_err(|error| ManagedError::BadRecord { path: path.clone(), reason: error.to_string() })?;
        if record.version != VERSION {
            let reason = format!("its version is {}, this program knows {VERSION}", record.version);
            return Err(ManagedError::BadRecord { path, reason });
        }
        if record.directory == directory {
            return Ok(Some(record));
        }
        Ok(Some(Self::new(directory, record.port)))
    }

    /// Replaces the file as a whole; durable when this returns.
    pub(super) fn write(&self) -> io::Result<()> {
        let path = file(&self.directory);
        let new = path.with_extension("json.new");
        let mut out = File::create(&new)?;
        out.write_all(&serde_json::to_vec_pretty(self)?)?;
        out.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.directory)?.sync_all()
    }
}

/// Where the record of a server is.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join("server.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(dir.path()).unwrap(), None);
        let mut record = Record::new(dir.path(), 18_000);
        record.launched = Some(Launched::new());
        record.write().unwrap();
        assert_eq!(Record::read(dir.path()).unwrap(), Some(record));
    }

    #[test]
    fn a_copy_keeps_the_port_but_not_the_process() {
        let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut record = Record::new(original.path(), 18_000);
        record.launched = Some(Launched::new());
        record.write().unwrap();
        fs::copy(file(original.path()), file(copy.path())).unwrap();
        assert_eq!(Record::read(copy.path()).unwrap(), Some(Record::new(copy.path(), 18_000)));
    }

    #[test]
    fn a_record_that_we_cannot_read_is_not_guessed_at() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(file(dir.path()), "{").unwrap();
        assert!(Record::read(dir.path()).unwrap_err().to_string().contains("server.json"));

        let newer = Record { version: 2, ..Record::new(dir.path(), 18_000) };
        newer.write().unwrap();
        assert!(Record::read(dir.path()).unwrap_err().to_string().contains("version is 2"));
    }
}
