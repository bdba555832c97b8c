//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use isochrome::cli::{self, Command, Exit, InstanceArgs, LocationArgs};
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
            let beginning = cli::anew::Beginning::new(config.listen).map_err(fail)?;
            runtime(Budget::of(&config.resources).workers)?
                .block_on(async { Ok(cli::serve::serve(&config, flags, set_level, beginning).await) })
        }
        Command::Adopt(args) => {
            let config = load(&Flags::from(&args.server))?;
            runtime(1)?.block_on(async { Ok(cli::adopt::adopt(&config, args).await) })
        }
        Command::Check(args) => {
            let config = load(&Flags::from(&args.server))?;
            runtime(1)?.block_on(async { Ok(cli::check::check(&config).await) })
        }
        Command::Config(args) if args.reference => Ok(cli::config::reference()),
        Command::Config(args) => Ok(cli::config::effective(&load(&Flags::from(&args.server))?)),
        Command::Status(args) => {
            ask(&args.location, async |data_dir| cli::status::status(data_dir, args.json).await)
        }
        Command::Poisoned(args) => {
            ask(&args.location, async |data_dir| cli::poisoned::list(data_dir, args.json).await)
        }
        Command::Discard(args) => {
            ask(&args.location, async |data_dir| cli::poisoned::discard(data_dir, &args.id).await)
        }
        Command::Force(args) => {
            ask(&args.location, async |data_dir| cli::poisoned::force(data_dir, &args.id).await)
        }
        Command::Verify(args) => {
            ask(&args.location, async |data_dir| cli::verify::verify(data_dir, args).await)
        }
        Command::Rebuild(args) => {
            ask(&args.location, async |data_dir| cli::rebuild::rebuild(data_dir, args).await)
        }
        Command::UpgradeChroma(args) => {
            ask(&args.location, async |data_dir| cli::upgrade::upgrade(data_dir, args).await)
        }
        Command::TakeOver(args) => {
            ask(&args.location, async |data_dir| cli::takeover::take_over(data_dir, args.yes).await)
        }
        Command::Add(args) => Ok(cli::roster::add(&data_dir(&args.location)?, &args.instance)),
        Command::Remove(args) => Ok(cli::roster::remove(&data_dir(&args.location)?, &args.instance)),
        Command::Drain(args) => act(&args.instance, "drain", args.force),
        Command::Maintenance(args) => act(&args.instance, "maintenance", args.force),
        Command::Resume(args) => act(args, "resume", false),
        Command::Promote(args) => act(args, "promote", false),
        Command::Release(args) => act(args, "release", false),
        Command::Jobs(args) => ask(&args.location, async |data_dir| cli::jobs::jobs(data_dir, args).await),
    }
}

/// Has the process that runs on a data directory want something of an instance.
fn act(args: &InstanceArgs, act: &str, force: bool) -> Result<Exit, Exit> {
    ask(&args.location, async |data_dir| cli::duty::act(data_dir, &args.instance, act, force).await)
}

/// Asks the process that runs on a data directory.
fn ask(location: &LocationArgs, question: impl AsyncFnOnce(&Path) -> Exit) -> Result<Exit, Exit> {
    let data_dir = data_dir(location)?;
    Ok(runtime(1)?.block_on(question(&data_dir)))
}

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

#[expect(clippy::needless_pass_by_value, reason = "the reason ends here")]
#[expect(clippy::print_stderr, reason = "the answer to the person who started the command")]
fn fail(reason: String) -> Exit {
    eprintln!("Can't start: {reason}");
    Exit::Failed
}

fn runtime(workers: usize) -> Result<tokio::runtime::Runtime, Exit> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build().map_err(|error| fail(error.to_string()))
}

/// Prints every problem, one a line.
#[expect(clippy::needless_pass_by_value, reason = "the error ends here")]
#[expect(clippy::print_stderr, reason = "the answer to the person who started the command")]
fn refuse(errors: ConfigErrors) -> Exit {
    eprintln!("The configuration is wrong:\n{errors}");
    Exit::Configuration
}
