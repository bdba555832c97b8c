//! The official clients' life cycles, as scripts with the address as argument.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::places;

/// One of the official clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfficialClient {
    Python,
    Node,
    /// Knows no reset.
    Rust,
}

/// How a life cycle ended.
#[derive(Debug)]
pub struct LifeCycle {
    pub passed: bool,
    /// One line per step, with ids and times masked: the same for equal servers.
    pub transcript: Vec<String>,
    pub errors: String,
}

impl LifeCycle {
    /// Panics with the end of the transcript when a step differed from what the script wants.
    pub fn assert_passed(&self) {
        let last = &self.transcript[self.transcript.len().saturating_sub(3)..];
        assert!(self.passed, "{}\n{}", last.join("\n"), self.errors);
    }
}

impl OfficialClient {
    /// Runs the whole life cycle against a base URL. `reset` tells that the server allows it.
    pub fn run(self, url: &str, reset: bool) -> LifeCycle {
        let clients = places::repository().join("tests/clients");
        let mut command = match self {
            Self::Python => Command::new(places::python()),
            Self::Node => Command::new("node"),
            Self::Rust => Command::new(rust_lifecycle()),
        };
        match self {
            Self::Python => _ = command.arg(clients.join("python_lifecycle.py")),
            Self::Node => _ = command.arg(node_modules().join("lifecycle.mjs")),
            Self::Rust => {}
        }
        command.arg(url);
        if reset {
            command.arg("--reset");
        }
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {self:?}: {error}"));
        LifeCycle {
            passed: output.status.success(),
            transcript: String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The directory of the Node script with its packages installed.
fn node_modules() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let install = || {
        let directory = places::repository().join("tests/clients/node");
        if !directory.join("node_modules/chromadb").exists() {
            let done = Command::new("npm").arg("ci").current_dir(&directory).output();
            let done = done.unwrap_or_else(|error| panic!("cannot run npm: {error}"));
            assert!(done.status.success(), "npm ci: {}", String::from_utf8_lossy(&done.stderr));
        }
        directory
    };
    DIRECTORY.get_or_init(install).clone()
}

/// The program over the `chroma` crate. It is built apart from ours, with a target directory of its own.
fn rust_lifecycle() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let package = places::repository().join("tests/clients/rust");
        let target = places::repository().join("target/clients-rust");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(package.join("Cargo.toml"));
        cargo.env("CARGO_TARGET_DIR", &target).env("PROTOC", package.join("protoc"));
        let done = cargo.output().unwrap_or_else(|error| panic!("cannot run cargo: {error}"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        target.join("debug/rust-lifecycle")
    };
    PROGRAM.get_or_init(build).clone()
}
