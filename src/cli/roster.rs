//! `isochrome add` and `isochrome remove`: which instances a data directory keeps the same, while nobody serves from it.

use std::path::Path;

use super::{Exit, tell};
use crate::wal::roster::{self, RosterError};

/// Adds an instance behind the others.
pub fn add(data_dir: &Path, name: &str) -> Exit {
    told(roster::add(data_dir, name), |names| {
        format!(
            "{name} is added: name it last among the instances of the configuration, with the address of an empty server, \
             and start. Every collection is copied to it while clients go on. The instances are {names}"
        )
    })
}

/// Removes an instance; its server is left as it is.
pub fn remove(data_dir: &Path, name: &str) -> Exit {
    told(roster::remove(data_dir, name), |names| {
        format!(
            "{name} is removed: take it out of the configuration, and start. Its server keeps what it has; empty it before \
             you use it again. The instances are {names}"
        )
    })
}

/// `words` of the names of all instances.
fn told(all: Result<Vec<String>, RosterError>, words: impl FnOnce(&str) -> String) -> Exit {
    tell(all.map(|all| words(&all.join(", "))))
}
