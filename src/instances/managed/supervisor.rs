//! Keeps one server running: start or adopt it, watch it, start it again; rest and change its executable when that is
//! wished; stop it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::InstanceUrl;
use crate::instances::processes;

use super::ServerState;
use super::backoff::Backoff;
use super::chosen::Chosen;
use super::heartbeat;
use super::log_file::LogFile;
use super::process::{Launched, ServerProcess};
use super::record::{self, Record};

/// How long a survivor may take to answer before it counts as one that does not.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a server that must go may take to end by itself.
const REPLACE_GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(1);
const LOG_CHECK: Duration = Duration::from_secs(30);

/// One server and all that is needed to run it.
pub(super) struct Supervisor {
    pub(super) name: &'static str,
    /// Canonical; holds the record, the log, and Chroma's own directory.
    pub(super) directory: PathBuf,
    /// The executable where none is chosen.
    pub(super) default: Option<PathBuf>,
    pub(super) start_timeout: Duration,
    pub(super) record: Record,
    pub(super) state: watch::Sender<ServerState>,
    pub(super) wish: watch::Receiver<Wish>,
}

/// What is wanted of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It runs, by this executable; `None`: by the one of the configuration.
    Run(Option<Chosen>),
    /// It does not run until something else is wished. It is killed after this time.
    Rest(Duration),
    /// It is stopped for good, and killed after this time.
    End(Duration),
}

impl Wish {
    /// How long the server that runs may take to end.
    fn grace(&self) -> Duration {
        match self {
            Self::Run(_) => REPLACE_GRACE,
            Self::Rest(grace) | Self::End(grace) => *grace,
        }
    }
}

/// A server that runs, and whether it is a survivor.
struct Running {
    process: ServerProcess,
    adopted: bool,
}

impl Supervisor {
    /// Runs until told to end.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let wish = self.wish.borrow_and_update().clone();
            let chosen = match wish {
                Wish::End(_) => break,
                Wish::Rest(_) => {
                    self.publish(ServerState::Resting);
                    other_wish(&mut self.wish, &wish).await;
                    continue;
                }
                Wish::Run(ref chosen) => chosen.clone(),
            };
            let began = Instant::now();
            let Err(reason) = self.one_life(chosen, &wish).await else { continue };
            let pause = backoff.after(began.elapsed());
            tracing::warn!(instance = self.name, %reason, ?pause, "managed server is not running");
            self.publish(ServerState::Restarting { reason, pause });
            // Where something else is wished meanwhile, there is nothing to wait for.
            _ = tokio::time::timeout(pause, other_wish(&mut self.wish, &wish)).await;
        }
        tracing::info!(instance = self.name, "managed server is stopped");
        self.publish(ServerState::Stopped);
    }

    /// From a start to an end. `Ok` when something else was wished, otherwise the reason.
    async fn one_life(&mut self, chosen: Option<Chosen>, wish: &Wish) -> Result<(), String> {
        self.publish(ServerState::Starting);
        let command = self.command(chosen)?;
        let mut running = match self.adopt().await {
            Some(process) => Running { process, adopted: true },
            None => Running { process: self.start(&command).await?, adopted: false },
        };
        let mut wishes = self.wish.clone();
        let ended = tokio::select! {
            reason = self.watch(&mut running, &command) => Err(reason),
            () = other_wish(&mut wishes, wish) => Ok(()),
        };
        let grace = if ended.is_ok() { wishes.borrow().grace() } else { REPLACE_GRACE };
        let how = running.process.stop(grace).await;
        tracing::info!(instance = self.name, %how, "managed server has ended");
        self.record.launched = None;
        self.keep_record().map_err(|error| error.to_string())?;
        ended
    }

    /// The executable to start. A choice is on disk when this gives it: from then on no other one opens the files.
    fn command(&mut self, chosen: Option<Chosen>) -> Result<PathBuf, String> {
        if self.record.chosen != chosen {
            let mut record = self.record.clone();
            record.choose(chosen);
            record.write().map_err(|error| error.to_string())?;
            self.record = record;
        }
        match (&self.record.chosen, &self.default) {
            (Some(chosen), _) => Ok(chosen.command.clone()),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err("there is no Chroma executable; set managed.command".to_owned()),
        }
    }

    /// The server that outlived an earlier Isochrome, if it is well; one that is not is stopped.
    async fn adopt(&mut self) -> Option<ServerProcess> {
        let launched = self.record.launched.clone()?;
        let process = blocking(move || launched.survivor()).await??;
        let listener = self.listener().await;
        let at_its_port = listener.is_some_and(|listener| listener.pid == Some(process.pid()));
        if at_its_port && heartbeat::answers(&self.url(), ADOPT_TIMEOUT).await {
            return Some(process);
        }
        let pid = process.pid();
        tracing::warn!(instance = self.name, pid, "stopping a server that survived and does not answer");
        process.stop(REPLACE_GRACE).await;
        None
    }

    /// Starts the server, unless somebody else has its directory or its port.
    async fn start(&mut self, command: &Path) -> Result<ServerProcess, String> {
        let data = self.directory.join("chroma");
        let looked_at = data.clone();
        if let Some(Some(holder)) = blocking(move || processes::who_opens(&looked_at)).await {
            return Err(format!("{} is in use by {holder}; stop it", data.display()));
        }
        if let Some(listener) = self.listener().await {
            return Err(format!(
                "port {} is taken by {listener}; stop it, or remove {} to have another port chosen",
                self.record.port,
                record::file(&self.directory).display()
            ));
        }
        if self.record.chosen.is_some() && !command.exists() {
            return Err(format!(
                "{} is gone, the executable that the last upgrade chose for its files; install that version there again",
                command.display()
            ));
        }
        let launched = Launched::new();
        self.record.launched = Some(launched.clone());
        self.keep_record().map_err(|error| error.to_string())?;
        let process = self
            .spawn(command, &data, &launched)
            .map_err(|error| format!("cannot start {}: {error}", command.display()))?;
        self.record.launched = Some(launched.with(&process));
        self.keep_record().map_err(|error| error.to_string())?;
        Ok(process)
    }

    fn spawn(&self, command: &Path, data: &Path, launched: &Launched) -> io::Result<ServerProcess> {
        let log = LogFile::new(&self.directory);
        log.bound()?;
        let port = self.record.port.to_string();
        let data = data.to_string_lossy();
        let arguments = ["run", "--path", &data, "--host", "127.0.0.1", "--port", &port].map(str::to_owned);
        ServerProcess::start(command, &arguments, &self.directory, &log.open()?, launched)
    }

    /// Watches it come up and live, and gives the reason why it cannot go on.
    async fn watch(&self, running: &mut Running, command: &Path) -> String {
        if !running.adopted
            && let Err(reason) = self.wait_for_heartbeat(&mut running.process, command).await
        {
            return reason;
        }
        let (pid, adopted) = (running.process.pid(), running.adopted);
        let chosen = self.record.chosen.is_some();
        let command = command.display();
        tracing::info!(instance = self.name, pid, adopted, %command, chosen, "managed server is running");
        self.publish(ServerState::Running { pid, adopted });
        loop {
            match tokio::time::timeout(LOG_CHECK, running.process.ended()).await {
                Ok(how) => return self.with_last_line(how),
                Err(_) => self.bound_log().await,
            }
        }
    }

    async fn wait_for_heartbeat(&self, process: &mut ServerProcess, command: &Path) -> Result<(), String> {
        let deadline = Instant::now() + self.start_timeout;
        let url = self.url();
        while !heartbeat::answers(&url, HEARTBEAT_TIMEOUT).await {
            if Instant::now() >= deadline {
                let how = format!("gave no heartbeat within {:?}", self.start_timeout);
                return Err(self.with_last_line(how));
            }
            if let Ok(how) = tokio::time::timeout(POLL, process.ended()).await {
                return Err(self.with_last_line(how));
            }
        }
        match self.listener().await {
            Some(listener) if listener.pid.is_some_and(|pid| pid != process.pid()) => Err(format!(
                "port {} is answered by {listener} instead of the server that was started (pid {}); \
                 if {} is a script, let it end with exec",
                self.record.port,
                process.pid(),
                command.display()
            )),
            _ => Ok(()),
        }
    }

    fn url(&self) -> InstanceUrl {
        InstanceUrl::loopback(self.record.port)
    }

    async fn listener(&self) -> Option<processes::ProcessName> {
        let port = self.record.port;
        blocking(move || processes::who_listens(port)).await.flatten()
    }

    async fn bound_log(&self) {
        let log = LogFile::new(&self.directory);
        if let Some(Err(error)) = blocking(move || log.bound()).await {
            tracing::warn!(instance = self.name, %error, "cannot shorten the log of a managed server");
        }
    }

    fn with_last_line(&self, how: String) -> String {
        let log = LogFile::new(&self.directory);
        match log.last_line() {
            Some(line) => format!("{how}; the last line of {}: {line}", log.path().display()),
            None => how,
        }
    }

    fn keep_record(&self) -> io::Result<()> {
        self.record.write()
    }

    fn publish(&self, state: ServerState) {
        self.state.send_replace(state);
    }
}

/// Waits until something else is wished. The sender lives as long as the task.
async fn other_wish(wishes: &mut watch::Receiver<Wish>, wish: &Wish) {
    if wishes.wait_for(|now| now != wish).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Runs what reads many small files away from the threads that serve; `None` when the runtime is ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
