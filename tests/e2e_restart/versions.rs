//! Versions of Chroma for tests: scripts that note each start and become the same server.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::managed::Managed;
use super::support::places;

/// Executables that note their starts, as lines of a word and a port.
pub struct Versions(pub PathBuf);

impl Versions {
    pub fn new() -> Self {
        Self(places::directory("versions"))
    }

    /// An executable with a name, which does this before it becomes the server.
    pub fn make(&self, name: &str, before: &str) -> PathBuf {
        let path = self.0.join(name);
        let (starts, chroma) = (self.0.join("starts"), places::chroma());
        let note =
            format!("[ \"$1\" != run ] || {{ echo \"{name} $7\" >> '{}'; {before} }}", starts.display());
        std::fs::write(&path, format!("#!/bin/sh\n{note}\nexec '{}' \"$@\"\n", chroma.display()))
            .expect("script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        path
    }

    /// By which executables the server of an instance was started, in order.
    pub fn starts(&self, managed: &Managed, instance: &str) -> Vec<String> {
        let port = format!(" {}", managed.record(instance)["port"]);
        self.all_starts().iter().filter_map(|line| line.strip_suffix(&port)).map(str::to_owned).collect()
    }

    /// By which executables, and at which ports, servers were started.
    pub fn all_starts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("starts")).expect("starts");
        text.lines().map(str::to_owned).collect()
    }
}
