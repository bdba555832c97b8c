//! `isochrome add` and `isochrome remove`: which instances a data directory keeps the same, while nobody serves from it.

use std::path::Path;

use super::Exit;
use crate::wal::roster::{self, RosterError};

/// Adds an instance behind the others.
pub fn add(data_dir: &Path, name: &str) -> Exit {
    tell(roster::add(data_dir, name), |names| {
        format!(
            "{name} is added: name it last among the instances of the configuration, with the address of an empty server, \
             and start. Every collection is copied to it while clients go on. The instances are {names}"
        )
    })
}

/// Removes an instance; its server is left as it is.
pub fn remove(data_dir: &Path, name: &str) -> Exit {
    tell(roster::remove(data_dir, name), |names| {
        format!(
            "{name} is removed: take it out of the configuration, and start. Its server keeps what it has; empty it before \
             you use it again. The instances are {names}"
        )
    })
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the answer to the person who started the command"
)]
fn tell(names: Result<Vec<String>, RosterError>, words: impl FnOnce(&str) -> String) -> Exit {
    match names {
        Ok(names) => {
            println!("{}", words(&names.join(", ")));
            Exit::Well
        }
        Err(reason) => {
            eprintln!("{reason}");
            Exit::Failed
        }
    }
}
