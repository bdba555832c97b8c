//! One server process: started by us, or by an earlier Isochrome that did not live to stop it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use crate::instances::processes;

/// The environment variable that marks a server as started by us, with a value for each start. It
/// tells a server of ours even when we died between starting it and writing its pid down.
const MARK: &str = "ISOCHROME_MANAGED_START";

/// How long the kernel may take to end a killed process before we go on without it.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often we look whether a survivor still runs: only a parent is told of an end.
const SURVIVOR_POLL: Duration = Duration::from_millis(100);

/// A start, as it is written down: the mark before, the process after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launched {
    mark: String,
    process: Option<Identity>,
}

/// Names one process for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: u32,
    start_ticks: u64,
}

impl Identity {
    fn runs(self) -> bool {
        processes::stat(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.ended)
    }
}

impl Launched {
    /// A start that is about to be made.
    pub(super) fn new() -> Self {
        Self { mark: uuid::Uuid::new_v4().to_string(), process: None }
    }

    /// The same start with the process that it brought.
    pub(super) fn with(self, process: &ServerProcess) -> Self {
        Self { process: Some(process.identity), ..self }
    }

    /// The process of this start, if it still runs. A process that only has the pid is another one.
    pub(super) fn survivor(&self) -> Option<ServerProcess> {
        let pid = match self.process {
            Some(identity) => identity.pid,
            None => processes::started_with(MARK, &self.mark)?,
        };
        let process = ServerProcess::attach(pid).ok()?;
        let same = self.process.is_none_or(|identity| identity == process.identity);
        let ours = same && process.identity.runs() && processes::has_environment(pid, MARK, &self.mark);
        ours.then_some(process)
    }
}

/// A running server. Dropping it leaves the server running.
#[derive(Debug)]
pub(super) struct ServerProcess {
    identity: Identity,
    /// Refers to this process and never to a later one with its pid.
    handle: OwnedFd,
    /// `None` for a survivor, which is not our child.
    child: Option<Child>,
}

impl ServerProcess {
    /// Starts `command` with these arguments in this directory. It reads nothing from us, writes
    /// to `log`, and is in a process group of its own, which a Ctrl-C in our terminal does not reach.
    pub(super) fn start(
        command: &Path,
        arguments: &[String],
        directory: &Path,
        log: &File,
        launched: &Launched,
    ) -> io::Result<Self> {
        let mut child = Command::new(command)
            .args(arguments)
            .current_dir(directory)
            .env(MARK, &launched.mark)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .process_group(0)
            .spawn()?;
        match child.id().ok_or_else(gone).and_then(Self::attach) {
            Ok(process) => Ok(Self { child: Some(child), ..process }),
            Err(error) => {
                let _ = child.start_kill();
                Err(error)
            }
        }
    }

    fn attach(pid: u32) -> io::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        // The handle first: what is read of the pid afterwards is then true of the handle's process.
        let handle = pidfd_open(raw, PidfdFlags::empty())?;
        let stat = processes::stat(pid).ok_or_else(gone)?;
        let identity = Identity { pid, start_ticks: stat.start_ticks };
        Ok(Self { identity, handle, child: None })
    }

    pub(super) fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// Waits for its end and tells how it ended.
    pub(super) async fn ended(&mut self) -> String {
        if let Some(child) = &mut self.child {
            return match child.wait().await {
                Ok(status) => format!("ended with {status}"),
                Err(error) => format!("ended; its status is lost: {error}"),
            };
        }
        while self.identity.runs() {
            tokio::time::sleep(SURVIVOR_POLL).await;
        }
        "ended".to_owned()
    }

    /// Asks it to end, and ends it after `grace`. Returns at once when it has ended before.
    pub(super) async fn stop(mut self, grace: Duration) -> String {
        self.signal(Signal::TERM);
        // A server that was halted reads the request to end only when it goes on.
        self.signal(Signal::CONT);
        if let Ok(how) = tokio::time::timeout(grace, self.ended()).await {
            return how;
        }
        self.signal(Signal::KILL);
        let killed = tokio::time::timeout(KILL_TIMEOUT, self.ended()).await;
        killed.unwrap_or_else(|_| format!("does not end, even when killed (pid {})", self.identity.pid))
    }

    /// Reaches a child's whole group, in case the executable was a script that started the server
    /// as its own child; the group cannot be another's as long as we have not seen the child end.
    fn signal(&self, signal: Signal) {
        let unseen = self.child.as_ref().and_then(Child::id);
        let group = unseen.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        // The only error is that it has ended, which is what we want.
        let _ = match group {
            Some(group) => kill_process_group(group, signal),
            None => pidfd_send_signal(&self.handle, signal),
        };
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the process has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_does_not_want_to_end_is_killed_after_the_grace() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = "trap '' TERM; echo ready; while :; do sleep 1; done".to_owned();
        let arguments = ["-c".to_owned(), script];
        let file = File::create(&log).unwrap();
        let launched = Launched::new();
        let process =
            ServerProcess::start(Path::new("/bin/sh"), &arguments, dir.path(), &file, &launched).unwrap();
        while std::fs::read(&log).unwrap() != b"ready\n" {
            tokio::task::yield_now().await;
        }
        let launched = launched.with(&process);
        assert_eq!(launched.survivor().unwrap().identity, process.identity);
        let how = process.stop(Duration::from_millis(10)).await;
        assert!(how.contains("signal: 9"), "{how}");
        assert!(launched.survivor().is_none());
    }
}
