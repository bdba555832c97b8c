//! The file system as the log uses it beside SQLite. It is one for the process, as SQLite's own is, and as there another
//! can be put in its place: each call can be made to fail.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::OnceLock;

/// One method for each thing that is asked; what it does is what its name says.
pub trait Disk: Send + Sync {
    /// Makes a directory and those above it, where they are not there.
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    /// The names in a directory.
    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Makes a file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    /// Writes all of it. `path` is the file's.
    fn write(&self, _path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Makes what was written durable. `path` is the file's.
    fn sync(&self, _path: &Path, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// A whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    /// True where a file is there.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    /// A file's length in bytes.
    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    /// Opens a file that is there, for writing.
    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).open(path)
    }

    /// Shortens a file. `path` is the file's.
    fn cut(&self, _path: &Path, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    /// Removes a file; one that is not there is none to be removed.
    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The real one.
struct Real;

impl Disk for Real {}

static DISK: OnceLock<Box<dyn Disk>> = OnceLock::new();

/// The disk of this process.
pub(super) fn disk() -> &'static dyn Disk {
    DISK.get_or_init(|| Box::new(Real)).as_ref()
}

/// Puts another disk in the place of the real one. To be done before any log is opened.
///
/// # Errors
/// There is one already, which stays; the new one comes back.
pub fn replace(disk: Box<dyn Disk>) -> Result<(), Box<dyn Disk>> {
    DISK.set(disk)
}
