//! The product's own binary.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;

use super::chroma::Chroma;
use super::http::{Answer, over_socket, probe, request};
use super::places;
use super::process::{End, Process, Signal};

const START_WITHIN: Duration = Duration::from_secs(60);

/// How to start Isochrome; kept for every start again.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    pub instances: Vec<(String, String)>,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub disk_bytes: Option<u64>,
}

impl Setup {
    /// In front of these servers, named `primary`, `replica`, `third`, …
    pub fn over(servers: &[Chroma]) -> Self {
        Self::urls(&servers.iter().map(Chroma::url).collect::<Vec<_>>())
    }

    /// In front of these addresses, named as [`Self::over`] does.
    pub fn urls(urls: &[String]) -> Self {
        let names = ["primary", "replica", "third", "fourth"];
        let instances = names.iter().zip(urls).map(|(name, url)| ((*name).to_owned(), url.clone())).collect();
        Self { instances, ..Self::default() }
    }

    /// With more arguments of `serve`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With its data directory on a disk of its own, of this size, that goes with the process. `None` where nobody may
    /// mount one on this machine.
    pub fn on_small_disk(mut self, bytes: u64) -> Option<Self> {
        self.disk_bytes = Some(bytes);
        let there = places::directory("disk").join("there");
        let mounted = on_disk(bytes, &there).arg("true").status();
        mounted.is_ok_and(|status| status.success()).then_some(self)
    }

    /// Starts it on a new data directory and waits until it is ready.
    pub fn start(self) -> Isochrome {
        let mut isochrome = self.launch();
        isochrome.await_ready();
        isochrome
    }

    /// A place for a data directory that something else makes.
    pub fn place(self) -> Copied {
        Copied { setup: self, directory: places::directory("isochrome") }
    }

    /// Starts it on a new data directory without waiting.
    pub fn launch(self) -> Isochrome {
        let directory = places::directory("isochrome");
        let port = places::free_port();
        let process = spawn(&self, &directory, port);
        Isochrome { process: Some(process), setup: self, directory, port }
    }
}

/// What is to be run with a disk of its own at `place`, which only it sees.
fn on_disk(bytes: u64, place: &Path) -> Command {
    let script = "mkdir \"$2\" && mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", &bytes.to_string()]);
    command.arg(place);
    command
}

fn spawn(setup: &Setup, directory: &Path, port: u16) -> Process {
    let binary = env!("CARGO_BIN_EXE_isochrome");
    let mut command = match setup.disk_bytes {
        None => Command::new(binary),
        Some(bytes) => {
            let mut command = on_disk(bytes, &directory.join("data"));
            command.arg(binary);
            command
        }
    };
    command.arg("serve").arg("--data-dir").arg(directory.join("data"));
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    for (name, url) in &setup.instances {
        command.arg("--instance").arg(format!("{name}={url}"));
    }
    command.args(&setup.arguments);
    // Nothing of this process's environment may configure it.
    command
        .env_clear()
        .envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command.env("RUST_BACKTRACE", "1");
    command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(directory);
    Process::spawn(&mut command, &directory.join("log"))
}

/// A data directory that no process runs on, and how one is to be started.
pub struct Copied {
    pub setup: Setup,
    directory: PathBuf,
}

impl Copied {
    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts a process on it, with a port of its own, without waiting.
    pub fn launch(self) -> Isochrome {
        let port = places::free_port();
        let process = spawn(&self.setup, &self.directory, port);
        Isochrome { process: Some(process), setup: self.setup, directory: self.directory, port }
    }
}

/// A running Isochrome with a data directory and a port of its own. When a test fails, the end of
/// its log is shown.
pub struct Isochrome {
    process: Option<Process>,
    pub setup: Setup,
    directory: PathBuf,
    port: u16,
}

impl Isochrome {
    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id; panics when it does not run.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("Isochrome is running").id()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Its data directory as it sees it, on a disk of its own.
    pub fn disk(&self) -> PathBuf {
        let data = self.data();
        Path::new(&format!("/proc/{}/root", self.id()))
            .join(data.strip_prefix("/").expect("an absolute path"))
    }

    /// What it answers on the socket of the command line; panics when there is no answer.
    pub async fn on_socket(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let answer = over_socket(&self.data().join("admin.sock"), request(method, path, body)).await;
        answer.unwrap_or_else(|error| panic!("{path} on the socket: {error}"))
    }

    /// Everything that it has logged, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Waits until `/health` answers that instances are available.
    pub fn await_ready(&mut self) {
        self.await_health(|status, _| status == 200);
    }

    /// Waits until `/health` answers as `wanted(status, body)` wants.
    pub fn await_health(&mut self, wanted: impl Fn(u16, &Value) -> bool) {
        let deadline = Instant::now() + START_WITHIN;
        let mut last = None;
        loop {
            if let Some((status, body)) = probe(self.port, "/health") {
                let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
                if wanted(status, &body) {
                    return;
                }
                last = Some((status, body));
            }
            let process = self.process.as_mut().expect("Isochrome was launched");
            assert!(process.runs(), "Isochrome ended while we waited for /health");
            assert!(Instant::now() < deadline, "/health: {last:?} after {START_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("Isochrome is running")
    }

    /// SIGKILL of Isochrome alone, and waits until it is gone.
    pub fn kill(&mut self) {
        self.running().kill();
        self.process = None;
    }

    /// SIGTERM; how it ended within `within`.
    pub fn terminate(&mut self, within: Duration) -> End {
        self.running().signal(Signal::TERM);
        self.wait(within)
    }

    /// Sends any signal.
    pub fn signal(&mut self, signal: Signal) {
        self.running().signal(signal);
    }

    /// Waits for its end; panics when it does not come within `within`.
    pub fn wait(&mut self, within: Duration) -> End {
        let end =
            self.running().wait(within).unwrap_or_else(|| panic!("Isochrome did not end in {within:?}"));
        self.process = None;
        end
    }

    /// Copies the data directory as it is at this moment; [`Copied::launch`] starts another process on it.
    pub fn copy(&mut self) -> Copied {
        let directory = places::directory("isochrome");
        // Nothing moves meanwhile, as in a snapshot of the disk.
        if let Some(process) = &self.process {
            process.signal(Signal::STOP);
        }
        let mut copy = Command::new("cp");
        let copied =
            copy.args(["-a", "--sparse=always"]).arg(self.data()).arg(directory.join("data")).status();
        if let Some(process) = &self.process {
            process.signal(Signal::CONT);
        }
        assert!(copied.expect("cp").success());
        _ = std::fs::remove_file(directory.join("data/admin.sock"));
        Copied { setup: self.setup.clone(), directory }
    }

    /// Starts it again over the same data directory and waits until it is ready.
    pub fn restart(&mut self) {
        self.relaunch();
        self.await_ready();
    }

    /// As [`Self::restart`], without waiting.
    pub fn relaunch(&mut self) {
        self.process = None;
        self.process = Some(spawn(&self.setup, &self.directory, self.port));
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
    }
}

impl Drop for Isochrome {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the end of Isochrome's log ({})", self.directory.join("log").display());
            eprintln!("{}", lines[lines.len().saturating_sub(80)..].join("\n"));
        }
    }
}
