//! What is kept on disk about one managed server, so that the next process finds the port again
//! and knows the server that outlived the last one, and which executable may open its files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ManagedError;
use super::chosen::Chosen;
use super::process::Launched;

/// The newest version of the file.
const VERSION: u32 = 2;
/// The version of a file without a chosen executable. One with it must not be read by who does not know of that, for it
/// would start another one.
const WITHOUT_CHOSEN: u32 = 1;

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
    /// Chosen by an upgrade, and written before its first start; `None`: the one of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chosen: Option<Chosen>,
}

impl Record {
    pub(super) fn new(directory: &Path, port: u16) -> Self {
        let directory = directory.to_path_buf();
        Self { version: WITHOUT_CHOSEN, directory, port, launched: None, chosen: None }
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
        if record.version > VERSION {
            let reason = format!("its version is {}, this program knows {VERSION}", record.version);
            return Err(ManagedError::BadRecord { path, reason });
        }
        if record.directory == directory {
            return Ok(Some(record));
        }
        Ok(Some(Self { directory: directory.to_path_buf(), launched: None, ..record }))
    }

    /// The same for another executable.
    pub(super) fn choose(&mut self, chosen: Option<Chosen>) {
        self.version = if chosen.is_some() { VERSION } else { WITHOUT_CHOSEN };
        self.chosen = chosen;
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

        let newer = Record { version: 3, ..Record::new(dir.path(), 18_000) };
        newer.write().unwrap();
        assert!(Record::read(dir.path()).unwrap_err().to_string().contains("version is 3"));
    }

    #[test]
    fn a_chosen_executable_is_kept_by_copies_and_hidden_from_nobody_who_would_start_another() {
        let (original, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut record = Record::new(original.path(), 18_000);
        let chosen =
            Chosen { command: PathBuf::from("/opt/new/bin/chroma"), version: Some("9.9".to_owned()) };
        record.choose(Some(chosen.clone()));
        record.write().unwrap();
        fs::copy(file(original.path()), file(copy.path())).unwrap();
        assert_eq!(Record::read(copy.path()).unwrap().unwrap().chosen, Some(chosen));
        let text = fs::read_to_string(file(original.path())).unwrap();
        assert!(text.contains("\"version\": 2,"), "an Isochrome without upgrades refuses it: {text}");

        record.choose(None);
        record.write().unwrap();
        let text = fs::read_to_string(file(original.path())).unwrap();
        assert!(text.contains("\"version\": 1,") && !text.contains("chosen"), "{text}");
    }
}
