//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use isochrome::cli::{self, Command, Exit, LocationArgs};
use isochrome::config::{self, Config, ConfigErrors, Flags};
use isochrome::resources::Budget;

fn main() -> ExitCode {
    match run() {
        Ok(exit) | Err(exit) => exit.into(),
    }
}

fn run() -> Result<Exit, Exit> {
    let cli = cli::parse(std::env::args_os())?;
    match &cli.command {
        Command::Serve(args) => {
            let flags = Flags::from(&args.server);
            let config = load(&flags)?;
            let set_level = cli::log::start(&config.log.level);
            abort_on_panic();
            runtime(Budget::of(&config.resources).workers)?
                .block_on(async { Ok(cli::serve::serve(&config, flags, set_level).await) })
        }
        Command::Check(args) => {
            let config = load(&Flags::from(&args.server))?;
            runtime(1)?.block_on(async { Ok(cli::check::check(&config).await) })
        }
        Command::Config(args) if args.reference => Ok(cli::config::reference()),
        Command::Config(args) => Ok(cli::config::effective(&load(&Flags::from(&args.server))?)),
        Command::Status(args) => {
            let data_dir = data_dir(&args.location)?;
            runtime(1)?.block_on(async { Ok(cli::status::status(&data_dir, args.json).await) })
        }
        Command::Verify(args) => {
            let data_dir = data_dir(&args.location)?;
            runtime(1)?.block_on(async { Ok(cli::verify::verify(&data_dir, args).await) })
        }
        Command::Rebuild(args) => {
            let data_dir = data_dir(&args.location)?;
            runtime(1)?.block_on(async { Ok(cli::rebuild::rebuild(&data_dir, args).await) })
        }
        Command::Jobs(args) => {
            let data_dir = data_dir(&args.location)?;
            runtime(1)?.block_on(async { Ok(cli::jobs::jobs(&data_dir, args).await) })
        }
    }
}

/// Where the process works that a command asks.
fn data_dir(location: &LocationArgs) -> Result<PathBuf, Exit> {
    config::data_dir(&Flags::from(location), &config::process_environment).map_err(refuse)
}

fn load(flags: &Flags) -> Result<Config, Exit> {
    Config::load(flags, &config::process_environment).map_err(refuse)
}

/// A half-dead gateway is worse than a restart, from which it recovers everything.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        tracing::error!(version = env!("CARGO_PKG_VERSION"), "a defect in isochrome stopped it: {panic}");
        std::process::abort();
    }));
}

#[expect(clippy::print_stderr, reason = "the answer to the person who started the command")]
fn runtime(workers: usize) -> Result<tokio::runtime::Runtime, Exit> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build().map_err(|error| {
        eprintln!("Can't start: {error}");
        Exit::Failed
    })
}

/// Prints every problem, one a line.
#[expect(clippy::needless_pass_by_value, reason = "the error ends here")]
#[expect(clippy::print_stderr, reason = "the answer to the person who started the command")]
fn refuse(errors: ConfigErrors) -> Exit {
    eprintln!("The configuration is wrong:\n{errors}");
    Exit::Configuration
}
