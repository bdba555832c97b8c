//! The command line.

use std::process::ExitCode;

use isochrome::cli::{self, Command, Exit};
use isochrome::config::{self, Config, ConfigErrors, Flags};

fn main() -> ExitCode {
    match run() {
        Ok(exit) | Err(exit) => exit.into(),
    }
}

fn run() -> Result<Exit, Exit> {
    let cli = cli::parse(std::env::args_os())?;
    match &cli.command {
        Command::Serve(args) => load(&Flags::from(&args.server)).map(|_| Exit::Well),
        Command::Check(args) => load(&Flags::from(&args.server)).map(|_| Exit::Well),
        Command::Status(args) => config::data_dir(&Flags::from(&args.location), &config::process_environment)
            .map(|_| Exit::Well)
            .map_err(refuse),
    }
}

fn load(flags: &Flags) -> Result<Config, Exit> {
    Config::load(flags, &config::process_environment).map_err(refuse)
}

/// Prints every problem, one a line.
#[expect(clippy::needless_pass_by_value, reason = "the error ends here")]
#[expect(clippy::print_stderr, reason = "the answer to the person who started the command")]
fn refuse(errors: ConfigErrors) -> Exit {
    eprintln!("The configuration is wrong:\n{errors}");
    Exit::Configuration
}
