//! What can go wrong in the log, in words for its operator.

use std::path::PathBuf;

use super::record::Lsn;

/// Why the log could not do what was asked. Cheap to clone: it goes to everybody who waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The file system has no room.
    #[error("no space left for the log: {0}")]
    DiskFull(String),
    /// Any other failure of the disk or of the store on it.
    #[error("the log's storage failed: {0}")]
    Storage(String),
    /// What was read is not what was written.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The entry is not in the log: never logged, or finished and given back.
    #[error("entry {0} is not in the log")]
    Unknown(Lsn),
    /// The log was closed, or its writer died.
    #[error("the log is closed")]
    Closed,
}

impl From<rusqlite::Error> for LogError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        if let rusqlite::Error::FromSqlConversionFailure(..) = error {
            return Self::Damaged(error.to_string());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Storage(error.to_string()),
        }
    }
}

impl From<std::io::Error> for LogError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull(error.to_string()),
            _ => Self::Storage(error.to_string()),
        }
    }
}

/// Why [`append`](super::Wal::append) did not take a group. Nothing of it was logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too many entries or bytes wait to be committed. Room comes within a commit or two.
    #[error("too many writes wait for the log")]
    QueueFull,
    /// The log holds as many bytes for lagging instances as it may.
    #[error("the log has reached its limit of {max_bytes} bytes on disk")]
    LogFull { max_bytes: u64 },
    /// As many writes wait for lagging instances as the memory has room for.
    #[error("the writes that wait for instances have reached their limit of {max_bytes} bytes in memory")]
    MemoryFull { max_bytes: u64 },
    /// The disk is nearly full; what is left is for finishing what was accepted.
    #[error("the disk of the log has {free_bytes} bytes left, and {min_free_bytes} must stay free")]
    DiskLow { free_bytes: u64, min_free_bytes: u64 },
    /// The log cannot commit at the moment; it tries again by itself.
    #[error("the log cannot be written at the moment: {0}")]
    Unavailable(LogError),
    /// The log was closed, or its writer died.
    #[error("the log is closed")]
    Closed,
}

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error("the data directory {} is in use by {holder}", dir.display())]
    Locked { dir: PathBuf, holder: String },
    /// A newer Isochrome wrote it.
    #[error(
        "{} has format {found}, and this version of isochrome knows formats up to {known}: \
         use the newer version again, or another data directory",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// Something that must be there is not, or is not what was written.
    #[error("the log in {} is damaged: {what}", dir.display())]
    Damaged { dir: PathBuf, what: String },
    /// It holds a log, and is to be made for servers that are in use.
    #[error(
        "the data directory {} holds a log already: start with `isochrome serve`, or name an empty directory",
        dir.display()
    )]
    InUse { dir: PathBuf },
    /// More instances were configured over time than numbers exist for.
    #[error("a data directory knows at most 256 instances over its life")]
    TooManyInstances,
    /// The disk, or the store on it.
    #[error("cannot open the data directory {}: {error}", dir.display())]
    Storage { dir: PathBuf, error: LogError },
}
