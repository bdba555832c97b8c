//! Keeps one server running: start or adopt it, watch it, start it again, stop it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::InstanceUrl;
use crate::instances::processes;

use super::ServerState;
use super::backoff::Backoff;
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
    pub(super) command: PathBuf,
    pub(super) start_timeout: Duration,
    pub(super) record: Record,
    pub(super) state: watch::Sender<ServerState>,
    /// Once it holds a grace, the server is stopped.
    pub(super) stop: watch::Receiver<Option<Duration>>,
}

/// A server that runs, and whether it is a survivor.
struct Running {
    process: ServerProcess,
    adopted: bool,
}

impl Supervisor {
    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let began = Instant::now();
            let Err(reason) = self.one_life().await else { break };
            let pause = backoff.after(began.elapsed());
            tracing::warn!(instance = self.name, %reason, ?pause, "managed server is not running");
            self.publish(ServerState::Restarting { reason, pause });
            if let Ok(_grace) = tokio::time::timeout(pause, stop_requested(&mut self.stop)).await {
                break;
            }
        }
        tracing::info!(instance = self.name, "managed server is stopped");
        self.publish(ServerState::Stopped);
    }

    /// From a start to an end. `Ok` when the end was asked for, otherwise the reason.
    async fn one_life(&mut self) -> Result<(), String> {
        self.publish(ServerState::Starting);
        let mut running = match self.adopt().await {
            Some(process) => Running { process, adopted: true },
            None => Running { process: self.start().await?, adopted: false },
        };
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            reason = self.watch(&mut running) => Err(reason),
            grace = stop_requested(&mut stop) => Ok(grace),
        };
        let grace = *ended.as_ref().unwrap_or(&REPLACE_GRACE);
        let how = running.process.stop(grace).await;
        tracing::info!(instance = self.name, %how, "managed server has ended");
        self.record.launched = None;
        self.keep_record().map_err(|error| error.to_string())?;
        ended.map(|_| ())
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
    async fn start(&mut self) -> Result<ServerProcess, String> {
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
        let launched = Launched::new();
        self.record.launched = Some(launched.clone());
        self.keep_record().map_err(|error| error.to_string())?;
        let process = self
            .spawn(&data, &launched)
            .map_err(|error| format!("cannot start {}: {error}", self.command.display()))?;
        self.record.launched = Some(launched.with(&process));
        self.keep_record().map_err(|error| error.to_string())?;
        Ok(process)
    }

    fn spawn(&self, data: &std::path::Path, launched: &Launched) -> io::Result<ServerProcess> {
        let log = LogFile::new(&self.directory);
        log.bound()?;
        let port = self.record.port.to_string();
        let data = data.to_string_lossy();
        let arguments = ["run", "--path", &data, "--host", "127.0.0.1", "--port", &port].map(str::to_owned);
        ServerProcess::start(&self.command, &arguments, &self.directory, &log.open()?, launched)
    }

    /// Watches it come up and live, and gives the reason why it cannot go on.
    async fn watch(&self, running: &mut Running) -> String {
        if !running.adopted
            && let Err(reason) = self.wait_for_heartbeat(&mut running.process).await
        {
            return reason;
        }
        let (pid, adopted) = (running.process.pid(), running.adopted);
        tracing::info!(instance = self.name, pid, adopted, "managed server is running");
        self.publish(ServerState::Running { pid, adopted });
        loop {
            match tokio::time::timeout(LOG_CHECK, running.process.ended()).await {
                Ok(how) => return self.with_last_line(how),
                Err(_) => self.bound_log().await,
            }
        }
    }

    async fn wait_for_heartbeat(&self, process: &mut ServerProcess) -> Result<(), String> {
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
                self.command.display()
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

/// The grace of the request to stop, once there is one. The sender lives as long as the task.
async fn stop_requested(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let grace = stop.wait_for(Option::is_some).await.map(|grace| *grace);
    match grace {
        Ok(grace) => grace.unwrap_or_default(),
        Err(_) => std::future::pending().await,
    }
}

/// Runs what reads many small files away from the threads that serve; `None` when the runtime is ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
