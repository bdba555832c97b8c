//! HAProxy and nginx as plain reverse proxies: what people put in front of one server today.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::http::probe;
use crate::support::places;
use crate::support::process::Process;

const START_WITHIN: Duration = Duration::from_secs(10);

/// A proxy that may be installed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    HaProxy,
    Nginx,
}

impl Kind {
    /// The name of its executable and of its package.
    pub fn command(self) -> &'static str {
        match self {
            Self::HaProxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HaProxy => "HAProxy",
            Self::Nginx => "nginx",
        }
    }

    /// The executable; `None` where it is not installed.
    pub fn executable(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
        places.push("/usr/sbin".into());
        places.into_iter().map(|place| place.join(self.command())).find(|file| file.is_file())
    }

    /// Starts it in front of a port of this machine; `None` where it is not installed.
    #[allow(clippy::disallowed_methods, reason = "nothing else runs while it starts")]
    pub fn before(self, upstream: u16) -> Option<Proxy> {
        let executable = self.executable()?;
        let directory = places::directory(self.command());
        let port = places::free_port();
        let configuration = directory.join("configuration");
        let text = match self {
            Self::HaProxy => haproxy(port, upstream),
            Self::Nginx => nginx(port, upstream, &directory),
        };
        std::fs::write(&configuration, text).expect("configuration");
        let mut command = Command::new(executable);
        match self {
            Self::HaProxy => command.arg("-db").arg("-f").arg(configuration),
            Self::Nginx => command.arg("-p").arg(&directory).arg("-c").arg(configuration),
        };
        let mut process = Process::spawn(&mut command, &directory.join("log"));
        let deadline = Instant::now() + START_WITHIN;
        while probe(port, "/api/v2/heartbeat").is_none_or(|(status, _)| status != 200) {
            assert!(process.runs() && Instant::now() < deadline, "{self:?}: {}", process.log_tail(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Proxy { kind: self, port, _process: process })
    }
}

/// A running proxy.
pub struct Proxy {
    pub kind: Kind,
    port: u16,
    _process: Process,
}

impl Proxy {
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Keeps connections on both sides, and as many threads as there are cores, which is its default.
fn haproxy(port: u16, upstream: u16) -> String {
    format!(
        "global\n  maxconn 4096\n\
         defaults\n  mode http\n  http-reuse always\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend clients\n  bind 127.0.0.1:{port}\n  default_backend servers\n\
         backend servers\n  server one 127.0.0.1:{upstream}\n"
    )
}

fn nginx(port: u16, upstream: u16, directory: &Path) -> String {
    let own = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {own}/{what}; "))
        .concat();
    format!(
        "daemon off; worker_processes auto; pid {own}/pid; error_log stderr error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; {temporary}client_max_body_size 0; keepalive_requests 1000000000;\n\
         upstream servers {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://servers; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; }} }} }}\n"
    )
}
