//! The commands and their flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::upgrade::UpgradeArgs;
use crate::catalog::DEFAULT_TENANT;
use crate::config::{self, Flags};

const PRECEDENCE: &str = "\
Every setting can also stand in the configuration file or the environment: flags win over \
ISOCHROME_SECTION_KEY variables, these over the file, and the file over the defaults. \
`isochrome config --reference` describes them all.

Exit codes: 0 well, 1 failed, 64 the command line or the configuration is wrong.";

/// High availability for Chroma: one address in front of several identical Chroma servers.
#[derive(Clone, Debug, Parser)]
#[command(name = "isochrome", version, after_help = PRECEDENCE, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve clients until told to stop (Ctrl-C or SIGTERM)
    ///
    /// Without an instance in the configuration, two Chroma servers are started and supervised on
    /// this machine, with their data in the data directory.
    #[command(after_help = PRECEDENCE)]
    Serve(ServeArgs),

    /// Make a data directory for servers that hold data already, while nobody writes to them
    ///
    /// Collections that all of them have are compared, record by record, and keep the id that clients know from the
    /// first server; one that is missing somewhere is copied there after the start. Where copies differ nothing is done
    /// until --source chooses one. Changes nothing without --yes.
    #[command(after_help = PRECEDENCE)]
    Adopt(AdoptArgs),

    /// Check the configuration and reach each instance, without changing anything
    #[command(after_help = PRECEDENCE)]
    Check(CheckArgs),

    /// Print the configuration in force, with the source of each value, as a file that can be used
    ///
    /// Secrets are left out.
    #[command(after_help = PRECEDENCE)]
    Config(ConfigArgs),

    /// Show instances, positions, lag and what is pending, from the running process
    #[command(after_help = PRECEDENCE)]
    Status(StatusArgs),

    /// Compare every record of every collection on all instances, while writes go on
    ///
    /// Prints what differs, what could not be compared, and for each collection its position, count and digest.
    /// Exit code 0 only where everything was compared and is the same, or was mended.
    #[command(after_help = PRECEDENCE)]
    Verify(VerifyArgs),

    /// Copy collections to an instance again, from another one, while clients read and write
    #[command(after_help = PRECEDENCE)]
    Rebuild(RebuildArgs),

    /// Let an instance that lags fall behind: no acknowledgement waits for it until it has caught up
    #[command(after_help = PRECEDENCE)]
    Release(InstanceArgs),

    /// Add an instance to a data directory that is in use, while nobody serves from it
    ///
    /// It is filled from the others at the next start, while clients read and write. Its server must be empty. An instance
    /// that the configuration names behind all others joins without this, at a start or a reload.
    #[command(after_help = PRECEDENCE)]
    Add(RosterArgs),

    /// Remove an instance from a data directory, while nobody serves from it
    ///
    /// Refused for the last one that has a collection. Its server is left as it is.
    #[command(after_help = PRECEDENCE)]
    Remove(RosterArgs),

    /// Spare an instance: it follows, and answers and decides only where no other one can
    ///
    /// Waits until nothing that clients wait for is under way there. It stays so, also after a restart, until `resume`.
    #[command(after_help = PRECEDENCE)]
    Drain(SpareArgs),

    /// Drain an instance and leave it alone, to work on its server: nothing is sent to it any more
    ///
    /// The log is kept for it. It stays so, also after a restart, until `resume`.
    #[command(after_help = PRECEDENCE)]
    Maintenance(SpareArgs),

    /// Have an instance serve again after `drain` or `maintenance`
    #[command(after_help = PRECEDENCE)]
    Resume(InstanceArgs),

    /// Have an instance decide first, instead of the first one of the configuration
    #[command(after_help = PRECEDENCE)]
    Promote(InstanceArgs),

    /// Have the servers that Isochrome starts itself run another version of Chroma, while clients read and write
    ///
    /// One after the other: drained, stopped, started by the new version on its files, caught up, compared, in use. The
    /// first one serves for a while before the one that decides follows; should one not come back well, it goes back to
    /// what it had, and is filled from the others. For other servers it shows the steps. Ctrl-C leaves the upgrade
    /// running; `isochrome jobs ID --cancel` takes it back.
    #[command(after_help = PRECEDENCE)]
    UpgradeChroma(UpgradeArgs),

    /// Show long work of the running process: what runs, how far it is, what came out
    #[command(after_help = PRECEDENCE)]
    Jobs(JobsArgs),

    /// List the writes that were withdrawn because servers died or stopped writing under them
    #[command(after_help = PRECEDENCE)]
    Poisoned(PoisonedArgs),

    /// Give up a withdrawn write for good: it is not kept any longer
    #[command(after_help = PRECEDENCE)]
    Discard(PoisonedIdArgs),

    /// Send a withdrawn write again, as a new write, in spite of what happened under it
    ///
    /// If servers die under it again, it is withdrawn again.
    #[command(after_help = PRECEDENCE)]
    Force(PoisonedIdArgs),

    /// Choose the running process's log, where another Isochrome with a copy of it may have written
    ///
    /// Shows what the instances hold that this log does not. Changes nothing without --yes.
    #[command(after_help = PRECEDENCE)]
    TakeOver(TakeOverArgs),
}

/// Arguments of `serve`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// The configuration.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `adopt`.
#[derive(Clone, Debug, Default, Args)]
pub struct AdoptArgs {
    /// The configuration.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Look for databases of this tenant; repeat it for each. Chroma can't list its tenants
    #[arg(long = "tenant", value_name = "NAME", default_value = DEFAULT_TENANT)]
    pub tenants: Vec<String>,

    /// Go on without the data directory of the cluster that the servers belonged to, under the same ids
    ///
    /// Shows what may be lost. The other Isochrome, if it still runs, stops writing.
    #[arg(long)]
    pub take_over: bool,

    /// Where copies differ, those of this instance count, and its ids stay
    #[arg(long, value_name = "INSTANCE")]
    pub source: Option<String>,

    /// Do it, after a look at what is shown without this
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `check`.
#[derive(Clone, Debug, Default, Args)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `config`.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// The configuration.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Print every key with its default, range and meaning instead
    #[arg(long)]
    pub reference: bool,
}

/// Arguments of `status`.
#[derive(Clone, Debug, Default, Args)]
pub struct StatusArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `rebuild`.
#[derive(Clone, Debug, Args)]
pub struct RebuildArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// The instance that the collections are copied to, by its name
    pub instance: String,

    /// Copy this collection only; by its name, in any database, or its id
    #[arg(long, value_name = "NAME-OR-ID")]
    pub collection: Option<String>,
}

/// Arguments of `add` and `remove`.
#[derive(Clone, Debug, Args)]
pub struct RosterArgs {
    /// The data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// The instance, by its name
    pub instance: String,
}

/// Arguments of `drain` and `maintenance`.
#[derive(Clone, Debug, Args)]
pub struct SpareArgs {
    /// The instance.
    #[command(flatten)]
    pub instance: InstanceArgs,

    /// Do it though no other instance serves
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `resume`, `promote` and `release`.
#[derive(Clone, Debug, Args)]
pub struct InstanceArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// The instance, by its name
    pub instance: String,
}

/// Arguments of `verify`.
#[derive(Clone, Debug, Default, Args)]
pub struct VerifyArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// Compare this collection only; by its name, in any database, or its id
    #[arg(long, value_name = "NAME-OR-ID")]
    pub collection: Option<String>,

    /// Make the other instances what the preferred one is: in place where that can be done, else by a new copy
    #[arg(long)]
    pub repair: bool,

    /// Take this instance as the right one instead
    #[arg(long, value_name = "INSTANCE")]
    pub from: Option<String>,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `jobs`.
#[derive(Clone, Debug, Default, Args)]
pub struct JobsArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// Show this job with its result
    pub id: Option<i64>,

    /// End the job
    #[arg(long, requires = "id")]
    pub cancel: bool,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `take-over`.
#[derive(Clone, Debug, Default, Args)]
pub struct TakeOverArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// Do it, after a look at what is shown without this
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `poisoned`.
#[derive(Clone, Debug, Default, Args)]
pub struct PoisonedArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `discard` and `force`.
#[derive(Clone, Debug, Default, Args)]
pub struct PoisonedIdArgs {
    /// The transaction id, or the number, that `isochrome poisoned` shows
    #[arg(value_name = "ID")]
    pub id: String,

    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,
}

/// Where the configuration and the data are.
#[derive(Clone, Debug, Default, Args)]
pub struct LocationArgs {
    /// Read this configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The key `data_dir`.
    #[arg(long, value_name = "DIR", help = config::help("data_dir"))]
    pub data_dir: Option<PathBuf>,
}

/// The configuration of a server.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub location: LocationArgs,

    /// The key `listen`.
    #[arg(long, value_name = "ADDR:PORT", help = config::help("listen"))]
    pub listen: Option<String>,

    /// Use the Chroma server at this URL, under this name; repeat it for each server, the preferred one first
    ///
    /// Given at least once, these are all instances: those of the environment and the file are not used.
    #[arg(long = "instance", value_name = "NAME=URL")]
    pub instances: Vec<String>,

    /// The key `allow_reset`.
    #[arg(long, help = config::help("allow_reset"))]
    pub allow_reset: bool,
}

impl From<&LocationArgs> for Flags {
    fn from(args: &LocationArgs) -> Self {
        Self { config: args.config.clone(), data_dir: args.data_dir.clone(), ..Self::default() }
    }
}

impl From<&ServerArgs> for Flags {
    fn from(args: &ServerArgs) -> Self {
        Self {
            listen: args.listen.clone(),
            instances: args.instances.clone(),
            allow_reset: args.allow_reset,
            ..Self::from(&args.location)
        }
    }
}
