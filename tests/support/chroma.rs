//! Real Chroma servers.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::http::probe;
use super::places;
use super::process::{End, Process, Signal};

const START_WITHIN: Duration = Duration::from_secs(60);

/// One Chroma server with a directory and a port of its own, which it keeps when started again.
pub struct Chroma {
    process: Option<Process>,
    port: u16,
    directory: PathBuf,
    settings: Vec<String>,
}

impl Chroma {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with lines of its YAML configuration, such as `allow_reset: true`.
    pub fn start_with(settings: &[&str]) -> Self {
        let mut server = Self::prepare(settings);
        server.launch();
        server.await_heartbeat();
        server
    }

    /// Starts several servers at once.
    pub fn start_many(count: usize) -> Vec<Self> {
        let mut servers: Vec<Self> = (0..count).map(|_| Self::prepare(&[])).collect();
        servers.iter_mut().for_each(Self::launch);
        servers.iter_mut().for_each(Self::await_heartbeat);
        servers
    }

    fn prepare(settings: &[&str]) -> Self {
        Self {
            process: None,
            port: places::free_port(),
            directory: places::directory("chroma"),
            settings: settings.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    fn launch(&mut self) {
        let mut command = Command::new(places::chroma());
        if self.settings.is_empty() {
            command.args(["run", "--host", "127.0.0.1", "--port", &self.port.to_string(), "--path"]);
            command.arg(self.data());
        } else {
            command.arg("run").arg(self.configuration());
        }
        command.current_dir(&self.directory);
        self.process = Some(Process::spawn(&mut command, &self.directory.join("log")));
    }

    fn configuration(&self) -> PathBuf {
        let path = self.directory.join("config.yaml");
        let text = format!(
            "port: {}\nlisten_address: \"127.0.0.1\"\npersist_path: \"{}\"\n{}\n",
            self.port,
            self.data().display(),
            self.settings.join("\n")
        );
        std::fs::write(&path, text).expect("configuration");
        path
    }

    fn await_heartbeat(&mut self) {
        let deadline = Instant::now() + START_WITHIN;
        while probe(self.port, "/api/v2/heartbeat").is_none_or(|(status, _)| status != 200) {
            let process = self.process.as_mut().expect("server was launched");
            assert!(process.runs() && Instant::now() < deadline, "Chroma: {}", process.log_tail(20));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the server keeps its data.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("server is running")
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.running().kill();
        self.process = None;
    }

    /// SIGSTOP: connections are accepted by the kernel and nothing answers.
    pub fn stop(&mut self) {
        self.running().signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn cont(&mut self) {
        self.running().signal(Signal::CONT);
    }

    /// SIGTERM, and waits until it is gone.
    pub fn terminate(&mut self) -> End {
        self.running().signal(Signal::TERM);
        let end = self.running().wait(START_WITHIN).expect("Chroma ends on SIGTERM");
        self.process = None;
        end
    }

    /// Starts it again with the same directory and port and waits until it answers. A server that
    /// still runs is killed first.
    pub fn restart(&mut self) {
        self.relaunch();
        self.await_heartbeat();
    }

    /// As [`Self::restart`], without waiting.
    pub fn relaunch(&mut self) {
        self.process = None;
        self.launch();
    }

    /// Kills it and deletes all its data: a lost disk.
    pub fn wipe(&mut self) {
        self.process = None;
        std::fs::remove_dir_all(self.data()).expect("data directory");
    }
}
