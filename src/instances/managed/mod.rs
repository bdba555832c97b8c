//! Chroma servers of our own: with no instance configured, two are started on loopback, kept
//! running, and stopped with us. One that outlives a killed Isochrome is found again by its pid,
//! start time, port and mark, and is adopted, or stopped before its directory is opened again.
//!
//! The caller holds the data directory's lock: two supervisors of one directory would fight.

mod backoff;
mod chosen;
mod control;
mod executable;
mod heartbeat;
mod log_file;
mod ports;
mod process;
mod record;
mod supervisor;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{InstanceUrl, ManagedConfig};

pub use chosen::Chosen;
pub use control::Control;
use record::Record;
use supervisor::{Supervisor, Wish};

/// The names of the managed servers, the preferred one first.
pub const NAMES: [&str; 2] = ["a", "b"];

/// Why no server can be managed at all.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// There is no executable.
    #[error(
        "no Chroma server to run: neither {looked_for} nor a `chroma` on PATH; install one \
         (python3 -m venv VENV && VENV/bin/pip install chromadb) and name VENV/bin/chroma as managed.command \
         (ISOCHROME_MANAGED_COMMAND), or use servers that already run with --instance NAME=URL"
    )]
    NoChroma {
        /// Where it would have been found first.
        looked_for: PathBuf,
    },
    /// The configured one cannot be run.
    #[error("managed.command: {0} is not an executable file; write the path of the `chroma` executable")]
    NotExecutable(PathBuf),
    /// What was kept about a server cannot be understood.
    #[error("cannot read {path}: {reason}; remove it to have another port chosen, once no server runs on it")]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No port is free.
    #[error("no loopback port is free for a managed server")]
    NoPort,
}

/// What a managed server is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Being started or adopted.
    Starting,
    /// It has answered a heartbeat, and its process runs.
    Running {
        /// Its process.
        pid: u32,
        /// Whether it outlived an earlier Isochrome.
        adopted: bool,
    },
    /// It ended or could not be started, and is started again after the pause.
    Restarting {
        /// Why, in words for an operator.
        reason: String,
        /// How long until then.
        pause: Duration,
    },
    /// Does not run, as wished, until it is to run again.
    Resting,
    /// Stopped as asked, for good.
    Stopped,
}

/// One managed server as the others see it.
#[derive(Clone, Debug)]
pub struct ManagedServer {
    /// Its name as an instance.
    pub name: &'static str,
    /// Its address, the same for the life of the data directory.
    pub url: InstanceUrl,
    /// What it is doing; await changes of it.
    pub state: watch::Receiver<ServerState>,
}

/// All managed servers. Dropping this without [`ManagedServers::stop`] leaves them running, to be
/// adopted by the next process on this data directory.
#[derive(Debug)]
pub struct ManagedServers {
    servers: Vec<ManagedServer>,
    control: Control,
    supervisors: JoinSet<()>,
}

impl ManagedServers {
    /// Finds what is needed and sets one supervisor to work for each server; needs a tokio runtime.
    /// Returns before the servers answer: see [`ManagedServers::first_starts`].
    pub fn start(config: &ManagedConfig, data_dir: &Path) -> Result<Self, ManagedError> {
        let prepared = prepare(data_dir)?;
        let search_path = std::env::var("PATH").ok();
        let found = executable::find(config.command.as_deref(), data_dir, search_path.as_deref());
        // Where each server has a chosen one, no other is needed.
        let all_chosen = prepared.iter().all(|(_, record, _)| record.chosen.is_some());
        let default = if all_chosen { found.ok() } else { Some(found?) };
        let (mut servers, mut controlled, mut supervisors) = (Vec::new(), Vec::new(), JoinSet::new());
        for (name, record, directory) in prepared {
            if let Some(chosen) = &record.chosen {
                let command = chosen.command.display();
                tracing::info!(instance = name, %command, "isochrome upgrade-chroma chose its executable, which counts \
                    instead of managed.command");
            }
            let (state, states) = watch::channel(ServerState::Starting);
            let (wish, wishes) = watch::channel(Wish::Run(record.chosen.clone()));
            servers.push(ManagedServer {
                name,
                url: InstanceUrl::loopback(record.port),
                state: states.clone(),
            });
            controlled.push(control::Server { name, directory: directory.clone(), wish, state: states });
            let (default, start_timeout) = (default.clone(), config.start_timeout);
            let supervisor =
                Supervisor { name, directory, default, start_timeout, record, state, wish: wishes };
            supervisors.spawn(supervisor.run());
        }
        Ok(Self { servers, control: Control::new(controlled, default), supervisors })
    }

    /// Stops, changes and starts them one by one.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The servers, the preferred one first.
    pub fn servers(&self) -> &[ManagedServer] {
        &self.servers
    }

    /// Waits until each server runs or has failed once (its start time-out bounds this), and gives
    /// the names of those that failed with the reasons. They are tried again all the same.
    pub async fn first_starts(&self) -> Vec<(&'static str, String)> {
        let mut failed = Vec::new();
        for server in &self.servers {
            let mut state = server.state.clone();
            let settled = state.wait_for(|state| *state != ServerState::Starting).await;
            match settled.as_deref() {
                Ok(ServerState::Restarting { reason, .. }) => failed.push((server.name, reason.clone())),
                Ok(ServerState::Running { .. }) => {}
                Ok(_) | Err(_) => failed.push((server.name, "was stopped".to_owned())),
            }
        }
        failed
    }

    /// Asks all servers to end, and ends those that have not after `grace`.
    pub async fn stop(mut self, grace: Duration) {
        self.control.end(grace);
        while self.supervisors.join_next().await.is_some() {}
    }
}

/// Makes the directories, and reads or makes the record of each server.
fn prepare(data_dir: &Path) -> Result<Vec<(&'static str, Record, PathBuf)>, ManagedError> {
    let mut prepared = Vec::new();
    let mut taken = Vec::new();
    let mut new = Vec::new();
    for name in NAMES {
        let directory = data_dir.join("instances").join(name);
        let io = |source| ManagedError::Io { path: directory.clone(), source };
        std::fs::create_dir_all(&directory).map_err(io)?;
        let directory = directory.canonicalize().map_err(io)?;
        match Record::read(&directory)? {
            Some(record) => {
                taken.push(record.port);
                prepared.push((name, record, directory));
            }
            None => new.push((name, directory)),
        }
    }
    for (name, directory) in new {
        let seed = uuid::Uuid::new_v4().as_fields().1;
        let port = ports::choose(&taken, seed).ok_or(ManagedError::NoPort)?;
        taken.push(port);
        let record = Record::new(&directory, port);
        record.write().map_err(|source| ManagedError::Io { path: record::file(&directory), source })?;
        prepared.push((name, record, directory));
    }
    prepared.sort_by_key(|(name, ..)| *name);
    Ok(prepared)
}
