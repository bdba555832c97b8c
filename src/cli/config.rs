//! `isochrome config`: the configuration in force, or what is known of all keys.

use std::io::Write;

use super::Exit;
use crate::config::{self, Config};

/// Prints what is in force, as a file that can be used.
pub fn effective(config: &Config) -> Exit {
    print(&config.effective())
}

/// Prints every key with its default, range and meaning.
pub fn reference() -> Exit {
    print(&config::reference())
}

/// A reader that goes away early, such as `head`, has what it wanted.
fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Well,
    }
}
