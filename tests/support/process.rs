//! A child process in a group of its own, with its output in a file.

use std::fs::{File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

use super::guardian;

/// A running child. Dropping it kills its whole group.
pub struct Process {
    child: Child,
    pid: Pid,
    log: PathBuf,
    ended: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
}

impl Process {
    /// Starts `command`; standard output and error are appended to `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Self {
        let output: File = OpenOptions::new().create(true).append(true).open(log).expect("log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("log file"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()));
        guardian::watch(child.id());
        let pid = Pid::from_child(&child);
        Self { child, pid, log: log.to_owned(), ended: false }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone, not to its children.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("process is there");
    }

    /// Kills the process alone with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        if !self.ended {
            self.signal(Signal::KILL);
            self.wait(Duration::from_secs(60)).expect("SIGKILL ends a process");
        }
    }

    /// Waits for the end; `None` when it does not come in time.
    pub fn wait(&mut self, within: Duration) -> Option<End> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for child") {
                self.ended = true;
                return Some(match (status.code(), status.signal()) {
                    (Some(code), _) => End::Code(code),
                    (None, signal) => End::Signal(signal.unwrap_or_default()),
                });
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// True until the process has ended.
    pub fn runs(&mut self) -> bool {
        !self.ended && self.wait(Duration::ZERO).is_none()
    }

    /// The last lines of the output.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
        guardian::forget(self.child.id());
    }
}
