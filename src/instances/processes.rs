//! What the system tells of its processes: who listens on a port, who holds a directory open, and
//! whether a process is still the one that we knew.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A process as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessName {
    /// `None` where the process belongs to another user and is hidden from us.
    pub pid: Option<u32>,
    /// Its short name.
    pub command: String,
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "{} (pid {pid})", self.command),
            None => f.write_str(&self.command),
        }
    }
}

/// The process that listens on this TCP port, on any address of this machine.
pub fn who_listens(port: u16) -> Option<ProcessName> {
    let inode = listening_inode(port)?;
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    let holder = find(|pid| open_files(pid).any(|target| target == socket));
    let hidden = || ProcessName { pid: None, command: "a process of another user".to_owned() };
    Some(holder.map_or_else(hidden, name))
}

/// A process that has a file open in or below this directory, which must be given in its canonical form.
pub fn who_opens(directory: &Path) -> Option<ProcessName> {
    find(|pid| open_files(pid).any(|target| target.starts_with(directory))).map(name)
}

/// The process that was started with this text as the value of this environment variable.
pub fn started_with(variable: &str, value: &str) -> Option<u32> {
    find(|pid| has_environment(pid, variable, value))
}

/// Whether the process was started with this text as the value of this environment variable.
pub fn has_environment(pid: u32, variable: &str, value: &str) -> bool {
    let wanted = format!("{variable}={value}");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
}

/// What tells a process from a later one with its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// When it was started, in clock ticks since the machine was.
    pub start_ticks: u64,
    /// Whether it has ended and only waits for its parent to notice.
    pub ended: bool,
}

/// Looks at a process; `None` when there is none with this pid.
pub fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold anything, spaces and parentheses too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    // Field 22 of the file; the state is field 3.
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some(Stat { start_ticks, ended })
}

/// Why an address cannot be listened on, as far as another process is the reason.
pub fn explain_taken(listen: SocketAddr) -> Option<String> {
    let listener = who_listens(listen.port())?;
    Some(format!(
        "port {} on {} is taken by {listener}; choose another with --listen",
        listen.port(),
        listen.ip()
    ))
}

fn name(pid: u32) -> ProcessName {
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let command = match command.trim() {
        "" => "a process".to_owned(),
        command => command.to_owned(),
    };
    ProcessName { pid: Some(pid), command }
}

fn find(wanted: impl Fn(u32) -> bool) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?;
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(|pid| wanted(*pid))
}

fn open_files(pid: u32) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
}

/// The inode of the socket that listens on a port, as the kernel's tables show it.
fn listening_inode(port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, local_port) = local.rsplit_once(':')?;
        let listens = *state == LISTENING && u16::from_str_radix(local_port, 16) == Ok(port);
        listens.then(|| inode.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(who_listens(address.port()).unwrap().pid, Some(std::process::id()));

        let words = explain_taken(address).unwrap();
        let start = format!("port {} on 127.0.0.1 is taken by ", address.port());
        assert!(words.starts_with(&start), "{words}");
        let end = format!("(pid {}); choose another with --listen", std::process::id());
        assert!(words.ends_with(&end), "{words}");

        drop(listener);
        // A process that another test is starting has it for as long as it takes to become that process.
        assert!((0..10_000).any(|_| explain_taken(address).is_none()), "nobody listens any more");
    }

    #[test]
    fn an_open_file_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        assert_eq!(who_opens(&path), None);
        let _file = fs::File::create(path.join("data")).unwrap();
        assert_eq!(who_opens(&path).unwrap().pid, Some(std::process::id()));
    }

    #[test]
    fn a_process_is_known_by_its_start_and_its_environment() {
        // Of this process only: the same test may run elsewhere at the same time.
        let value = format!("x{}", std::process::id());
        let mut child =
            std::process::Command::new("sleep").arg("60").env("TEST_MARK", &value).spawn().unwrap();
        // Its parent goes on a moment before the kernel has laid out the environment.
        while fs::read(format!("/proc/{}/environ", child.id())).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let started = stat(child.id()).unwrap();
        assert!(!started.ended);
        assert!(started.start_ticks >= stat(std::process::id()).unwrap().start_ticks);
        assert!(has_environment(child.id(), "TEST_MARK", &value));
        assert!(!has_environment(child.id(), "TEST_MARK", "x"));
        assert_eq!(started_with("TEST_MARK", &value), Some(child.id()));

        // Killed and not yet waited for: it has ended, although its pid is still taken.
        child.kill().unwrap();
        while !stat(child.id()).unwrap().ended {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(stat(child.id()), None);
    }
}
