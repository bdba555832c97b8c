//! The log's own calls of the file system, which fail as SQLite's do.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

use faults::{Call, Fault, Gate, Way};
use isochrome::wal::disk::Disk;

/// Asks the gate, and passes on.
pub struct FaultyDisk;

struct Real;

impl Disk for Real {}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn asked<T>(
    call: Call,
    path: &Path,
    whole: impl FnOnce() -> io::Result<T>,
    half: impl FnOnce(),
) -> io::Result<T> {
    let error = |number| Err(io::Error::from_raw_os_error(number));
    match Gate::of(path).map_or(Way::Through, |gate| gate.pass(call, path)) {
        Way::Through => whole(),
        Way::Failed(Fault::Io | Fault::Power) => error(EIO),
        Way::Failed(Fault::Full) => error(ENOSPC),
        Way::Failed(Fault::Short) => {
            half();
            error(if call == Call::Write { ENOSPC } else { EIO })
        }
        Way::Failed(Fault::Torn) => {
            whole()?;
            error(EIO)
        }
    }
}

/// For what the disk holds without power.
fn note(path: &Path, what: impl FnOnce(&Gate)) {
    if let Some(gate) = Gate::of(path) {
        what(&gate);
    }
}

fn none() {}

impl Disk for FaultyDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        asked(Call::Create, dir, || Real.make_dir(dir), none)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        asked(Call::Look, dir, || Real.names(dir), none)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        asked(Call::Sync, dir, || if Gate::of(dir).is_some() { Ok(()) } else { Real.sync_dir(dir) }, none)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        asked(Call::Create, path, || Real.create(path), none)
    }

    fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let mut again = file.try_clone()?;
        let at = usize::try_from(file.stream_position()?).expect("a length");
        let whole = || {
            note(path, |gate| gate.wrote(path, at, bytes));
            Real.write(path, file, bytes)
        };
        let half = || {
            note(path, |gate| gate.wrote(path, at, &bytes[..bytes.len() / 2]));
            // It is told to have failed either way.
            let _ = Real.write(path, &mut again, &bytes[..bytes.len() / 2]);
        };
        asked(Call::Write, path, whole, half)
    }

    fn sync(&self, path: &Path, file: &File) -> io::Result<()> {
        let whole = || {
            note(path, |gate| gate.synced(path, true));
            // The power only seems to go, and what a disk really holds is nobody's question.
            if Gate::of(path).is_some() { Ok(()) } else { Real.sync(path, file) }
        };
        let synced = asked(Call::Sync, path, whole, none);
        if synced.is_err() {
            note(path, |gate| {
                if !gate.is_dark() {
                    gate.synced(path, false);
                }
            });
        }
        synced
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        asked(Call::Read, path, || Real.read(path), none)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        asked(Call::Look, path, || Real.exists(path), none)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        asked(Call::Look, path, || Real.len(path), none)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        asked(Call::Open, path, || Real.open(path), none)
    }

    fn cut(&self, path: &Path, file: &File, bytes: u64) -> io::Result<()> {
        let whole = || {
            note(path, |gate| gate.cut(path, usize::try_from(bytes).expect("a length")));
            Real.cut(path, file, bytes)
        };
        asked(Call::Truncate, path, whole, none)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let whole = || {
            note(path, |gate| gate.removed(path));
            Real.remove(path)
        };
        asked(Call::Remove, path, whole, none)
    }
}
