//! The executable that an upgrade chose for a server, and what is known of an executable's version.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The executable of a server whose files it has opened, or is about to: no older one may open them afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Chosen {
    /// An absolute path.
    pub command: PathBuf,
    /// The version of the package `chromadb`, where it is known.
    pub version: Option<String>,
}

impl Chosen {
    /// An executable, with the version of the package that it was installed with.
    #[must_use]
    pub fn new(command: PathBuf) -> Self {
        Self { version: version_of(&command), command }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{version}"),
            None => write!(f, "{}", self.command.display()),
        }
    }
}

/// The version of the package that an executable of a virtual environment belongs to. The executable itself tells only
/// the version of Chroma's command line, which is another one.
fn version_of(command: &Path) -> Option<String> {
    let command = command.canonicalize().ok()?;
    let libraries = std::fs::read_dir(command.parent()?.parent()?.join("lib")).ok()?;
    libraries.flatten().find_map(|library| {
        let packages = std::fs::read_dir(library.path().join("site-packages")).ok()?;
        packages.flatten().find_map(|package| {
            let name = package.file_name().into_string().ok()?;
            Some(name.strip_prefix("chromadb-")?.strip_suffix(".dist-info")?.to_owned())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_beside_the_executable() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin/chroma");
        std::fs::create_dir_all(bin.parent().unwrap()).unwrap();
        std::fs::write(&bin, "").unwrap();
        assert_eq!(Chosen::new(bin.clone()).to_string(), bin.display().to_string());
        let packages = dir.path().join("lib/python3.11/site-packages");
        for name in ["chromadb", "chromadb_rust-9.dist-info", "chromadb-1.5.9.dist-info"] {
            std::fs::create_dir_all(packages.join(name)).unwrap();
        }
        assert_eq!(Chosen::new(bin).version.as_deref(), Some("1.5.9"));
    }
}
