//! A data directory whose servers are watched from outside, and end with the test.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use isochrome::config::ManagedConfig;
use isochrome::instances::managed::ManagedServers;
use isochrome::instances::processes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Tells the test binary, started again by a test, to be the Isochrome that is killed.
pub const SUPERVISE: &str = "ISOCHROME_TEST_SUPERVISE";

/// A data directory. What still runs on it at the end of a test is ended.
pub struct Data(tempfile::TempDir);

impl Data {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub fn start(&self) -> ManagedServers {
        ManagedServers::start(&config(chroma()), &self.path()).unwrap()
    }

    pub fn record_file(&self, name: &str) -> PathBuf {
        self.path().join("instances").join(name).join("server.json")
    }

    pub fn record(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.record_file(name)).unwrap()).unwrap()
    }

    /// Changes what is on file, as a crash at another moment would have left it.
    pub fn change_record(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut record = self.record(name);
        change(&mut record);
        std::fs::write(self.record_file(name), record.to_string()).unwrap();
    }

    pub fn pid_on_file(&self, name: &str) -> u32 {
        u32::try_from(self.record(name)["launched"]["process"]["pid"].as_u64().unwrap()).unwrap()
    }

    /// Leaves two servers running whose Isochrome was killed.
    pub fn with_survivors(&self) -> [u32; 2] {
        let mut isochrome = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--ignored", "--nocapture"])
            .env(SUPERVISE, self.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(isochrome.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("supervising") {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended before its servers ran");
        }
        isochrome.kill().unwrap();
        isochrome.wait().unwrap();
        // Ends only if no server holds the pipe.
        out.read_to_end(&mut Vec::new()).unwrap();
        ["a", "b"].map(|name| self.pid_on_file(name))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        while let Some(pid) = processes::who_opens(&self.path()).and_then(|holder| holder.pid) {
            if pid == std::process::id() {
                break;
            }
            signal(pid, Signal::KILL);
            std::thread::yield_now();
        }
    }
}

pub fn chroma() -> PathBuf {
    std::env::var_os("ISOCHROME_CHROMA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/chroma"), PathBuf::from)
}

pub fn config(command: PathBuf) -> ManagedConfig {
    ManagedConfig { command: Some(command), start_timeout: Duration::from_mins(1) }
}

pub fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
}

pub fn runs(pid: u32) -> bool {
    processes::stat(pid).is_some_and(|stat| !stat.ended)
}
