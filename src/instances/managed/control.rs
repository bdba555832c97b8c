//! Stops, changes and starts single managed servers while the others run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::chosen::Chosen;
use super::record::Record;
use super::supervisor::Wish;
use super::{ManagedError, ServerState};

/// Where a server's files are, and where they are set aside.
const FILES: &str = "chroma";
const ASIDE: &str = "chroma.aside";

/// How often a server may fail to start before that is told.
const STARTS: u32 = 3;
/// How long a server that is to rest may take to end by itself.
const REST_GRACE: Duration = Duration::from_secs(30);

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) directory: PathBuf,
    pub(super) wish: watch::Sender<Wish>,
    pub(super) state: watch::Receiver<ServerState>,
}

/// Wishes for managed servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    servers: Arc<Vec<Server>>,
    /// The executable where none is chosen.
    default: Option<PathBuf>,
}

impl Control {
    pub(super) fn new(servers: Vec<Server>, default: Option<PathBuf>) -> Self {
        Self { servers: Arc::new(servers), default }
    }

    /// What an upgrade chose for a server, as it is on disk; `None`: nothing, or there is no such server.
    ///
    /// # Errors
    /// [`ManagedError`] where its record can't be read.
    pub fn chosen(&self, name: &str) -> Result<Option<Chosen>, ManagedError> {
        let Some(server) = self.server(name) else { return Ok(None) };
        Ok(Record::read(&server.directory)?.and_then(|record| record.chosen))
    }

    /// The executable that a server runs with: the chosen one, or that of the configuration.
    #[must_use]
    pub fn executable(&self, name: &str) -> Option<Chosen> {
        self.server(name)?;
        self.chosen(name).ok().flatten().or_else(|| self.default.clone().map(Chosen::new))
    }

    /// What a server does, now and later.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<watch::Receiver<ServerState>> {
        self.server(name).map(|server| server.state.clone())
    }

    /// Stops a server, and returns when it has ended.
    pub async fn rest(&self, name: &str) {
        let Some(server) = self.server(name) else { return };
        server.want(Wish::Rest(REST_GRACE));
        let over = |state: &ServerState| matches!(state, ServerState::Resting | ServerState::Stopped);
        _ = server.state.clone().wait_for(over).await;
    }

    /// Has a server that rests, or runs with this executable, run with it. The choice is on disk before it is started.
    ///
    /// # Errors
    /// Why it did not start the first three times, for people. It is tried again all the same.
    pub async fn run(&self, name: &str, chosen: Option<Chosen>) -> Result<(), String> {
        let Some(server) = self.server(name) else { return Err(format!("{name} is not managed")) };
        server.want(Wish::Run(chosen));
        let mut state = server.state.clone();
        let mut failures = 0;
        loop {
            match &*state.borrow_and_update() {
                ServerState::Running { .. } => return Ok(()),
                ServerState::Restarting { reason, .. } if failures + 1 == STARTS => {
                    return Err(reason.clone());
                }
                ServerState::Restarting { .. } => failures += 1,
                ServerState::Stopped => return Err("Isochrome is stopping".to_owned()),
                ServerState::Starting | ServerState::Resting => {}
            }
            state.changed().await.map_err(|_| "Isochrome is stopping".to_owned())?;
        }
    }

    /// Puts the files of a server that rests aside, so that it begins empty. Files that were put aside before are kept,
    /// and what has come since goes.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_aside(&self, name: &str) -> io::Result<()> {
        let Some(server) = self.server(name) else { return Ok(()) };
        set_aside(&server.directory)
    }

    /// True where files of a server were put aside.
    #[must_use]
    pub fn has_aside(&self, name: &str) -> bool {
        self.server(name).is_some_and(|server| server.directory.join(ASIDE).exists())
    }

    /// Deletes what was put aside of a server.
    ///
    /// # Errors
    /// What the system says.
    pub fn forget_aside(&self, name: &str) -> io::Result<()> {
        let Some(server) = self.server(name) else { return Ok(()) };
        remove(&server.directory.join(ASIDE))
    }

    /// The directories with the servers' files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.servers.iter().map(|server| server.directory.join(FILES)).collect()
    }

    /// The servers' names, in the order of the instances.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.servers.iter().map(|server| server.name).collect()
    }

    /// Stops all of them for good.
    pub(super) fn end(&self, grace: Duration) {
        for server in self.servers.iter() {
            server.wish.send_replace(Wish::End(grace));
        }
    }

    fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == name)
    }
}

impl Server {
    /// Wishes something, unless the end was wished.
    fn want(&self, wish: Wish) {
        self.wish.send_if_modified(|now| {
            let changes = *now != wish && !matches!(now, Wish::End(_));
            if changes {
                *now = wish;
            }
            changes
        });
    }
}

fn set_aside(directory: &Path) -> io::Result<()> {
    let (files, aside) = (directory.join(FILES), directory.join(ASIDE));
    if aside.try_exists()? {
        return remove(&files);
    }
    match fs::rename(&files, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }?;
    fs::File::open(directory)?.sync_all()
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, text: &str) {
        fs::create_dir_all(directory.join(FILES)).unwrap();
        fs::write(directory.join(FILES).join("file"), text).unwrap();
    }

    #[test]
    fn files_are_set_aside_once_and_what_came_after_them_goes() {
        let dir = tempfile::tempdir().unwrap();
        set_aside(dir.path()).unwrap();
        write(dir.path(), "of clients");
        set_aside(dir.path()).unwrap();
        write(dir.path(), "of a start between");
        set_aside(dir.path()).unwrap();
        assert!(!dir.path().join(FILES).exists());
        let kept = dir.path().join(ASIDE);
        assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "of clients");
        remove(&kept).unwrap();
        remove(&kept).unwrap();
        assert!(!kept.exists());
    }
}
