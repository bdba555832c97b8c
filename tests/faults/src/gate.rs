//! Which call fails, and how.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::images::Images;

/// What is asked of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Open,
    /// An open that may make the file, or the making of a directory.
    Create,
    Read,
    Write,
    Truncate,
    Sync,
    /// Also the list of a directory.
    Look,
    Remove,
    Lock,
    /// A part of the index that connections share.
    Share,
}

/// How the chosen call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO; nothing was done.
    Io,
    /// ENOSPC; nothing was done. For calls that can need space.
    Full,
    /// Half of it was done, then ENOSPC for a write and EIO for a read.
    Short,
    /// All of it was done, and EIO. For calls that change something.
    Torn,
    /// The power goes: EIO from here on, for everything. Counted in calls that change something.
    Power,
}

impl Fault {
    fn fits(self, call: Call) -> bool {
        match self {
            Self::Io => true,
            Self::Full => matches!(call, Call::Create | Call::Write | Call::Truncate | Call::Share),
            Self::Short => matches!(call, Call::Read | Call::Write),
            Self::Torn | Self::Power => {
                matches!(call, Call::Create | Call::Write | Call::Truncate | Call::Sync | Call::Remove)
            }
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is passed on.
    Through,
    /// It is not, and is told to have failed.
    Failed(Fault),
}

/// Watches the calls below a directory, and fails the one that it is set to.
#[derive(Debug)]
pub struct Gate {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<(Fault, u64)>,
    /// Only calls on files with this in their name are counted.
    only: &'static str,
    seen: u64,
    failed: Option<String>,
    images: Images,
}

static GATES: Mutex<Vec<Weak<Gate>>> = Mutex::new(Vec::new());

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// A gate over a directory and all below it. At first everything passes.
    pub fn over(directory: &Path) -> Arc<Self> {
        super::layer::install();
        let gate = Arc::new(Self { directory: directory.to_owned(), state: Mutex::default() });
        let mut gates = locked(&GATES);
        gates.retain(|gate| gate.strong_count() > 0);
        gates.push(Arc::downgrade(&gate));
        gate
    }

    /// The gate over a path, if there is one.
    pub fn of(path: &Path) -> Option<Arc<Self>> {
        let gates = locked(&GATES);
        gates.iter().filter_map(Weak::upgrade).find(|gate| path.starts_with(&gate.directory))
    }

    /// From now on the `at`-th call that `fault` fits, counted from 1, fails by it.
    pub fn set(&self, fault: Fault, at: u64) {
        self.set_on("", fault, at);
    }

    /// The same, of the calls on files whose name has `only` in it.
    pub fn set_on(&self, only: &'static str, fault: Fault, at: u64) {
        let mut state = locked(&self.state);
        (state.plan, state.only, state.seen, state.failed) = (Some((fault, at)), only, 0, None);
    }

    /// Everything passes again. Gives the call that failed.
    pub fn open(&self) -> Option<String> {
        let mut state = locked(&self.state);
        state.plan = None;
        state.failed.take()
    }

    /// The call that failed, if it did.
    pub fn failed(&self) -> Option<String> {
        locked(&self.state).failed.clone()
    }

    /// True once the power is gone.
    pub fn is_dark(&self) -> bool {
        let state = locked(&self.state);
        state.failed.is_some() && state.plan.is_some_and(|(fault, _)| fault == Fault::Power)
    }

    /// Lays in `to` what the disk holds without power, as far as it was synced, and of what never was what `survives`.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn restore(&self, to: &Path, survives: impl FnMut() -> bool) -> io::Result<()> {
        locked(&self.state).images.restore(&self.directory, to, survives)
    }

    /// Bytes were written to a file.
    pub fn wrote(&self, path: &Path, offset: usize, bytes: &[u8]) {
        locked(&self.state).images.wrote(path, offset, bytes);
    }

    /// A file was shortened.
    pub fn cut(&self, path: &Path, bytes: usize) {
        locked(&self.state).images.cut(path, bytes);
    }

    /// A file was synced, or was to be.
    pub fn synced(&self, path: &Path, succeeded: bool) {
        locked(&self.state).images.synced(path, succeeded);
    }

    /// A file was removed.
    pub fn removed(&self, path: &Path) {
        locked(&self.state).images.removed(path);
    }

    /// A call is about to be made; says what becomes of it.
    pub fn pass(&self, call: Call, path: &Path) -> Way {
        let mut state = locked(&self.state);
        if state.failed.is_some() && state.plan.is_some_and(|(fault, _)| fault == Fault::Power) {
            return Way::Failed(Fault::Power);
        }
        let is_meant = path.file_name().is_some_and(|name| name.to_string_lossy().contains(state.only));
        let Some((fault, at)) = state.plan.filter(|(fault, _)| is_meant && fault.fits(call)) else {
            return Way::Through;
        };
        state.seen += 1;
        if state.seen != at {
            return Way::Through;
        }
        let below = path.strip_prefix(&self.directory).unwrap_or(path).display();
        state.failed = Some(format!("{fault:?} at {call:?} {at} of {below}"));
        Way::Failed(fault)
    }
}
