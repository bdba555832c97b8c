//! The command line: what can be asked for, and how it ends.

pub mod adopt;
pub mod anew;
mod args;
pub mod check;
pub mod config;
pub mod duty;
pub mod jobs;
pub mod log;
pub mod poisoned;
pub mod rebuild;
mod reload;
pub mod roster;
pub mod serve;
mod socket;
pub mod status;
pub mod takeover;
pub mod upgrade;
pub mod verify;
mod watch;

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

use clap::Parser;

pub use args::{
    AdoptArgs, CheckArgs, Cli, Command, ConfigArgs, InstanceArgs, JobsArgs, LocationArgs, PoisonedArgs,
    PoisonedIdArgs, RebuildArgs, RosterArgs, ServeArgs, ServerArgs, SpareArgs, StatusArgs, TakeOverArgs,
    VerifyArgs,
};

pub use upgrade::UpgradeArgs;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Well,
    /// What was asked for failed.
    Failed,
    /// The command line or the configuration is wrong; nothing was started.
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Well => 0,
            Exit::Failed => 1,
            Exit::Configuration => 64,
        })
    }
}

/// Prints what a command has to say, or why it failed.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the answer to the person who started the command"
)]
fn tell(outcome: Result<impl Display, impl Display>) -> Exit {
    match outcome {
        Ok(words) => {
            println!("{words}");
            Exit::Well
        }
        Err(reason) => {
            eprintln!("{reason}");
            Exit::Failed
        }
    }
}

/// Reads the arguments (the first is the program's name). Where there is nothing to run, help or
/// the mistake has been printed and the exit is given.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Exit> {
    Cli::try_parse_from(arguments).map_err(|error| {
        let exit = if error.use_stderr() { Exit::Configuration } else { Exit::Well };
        // A closed terminal is no reason to end differently.
        let _ = error.print();
        exit
    })
}
