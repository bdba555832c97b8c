//! One typed configuration, put together from defaults, a TOML file, the environment and flags
//! (the later wins), and validated whole before anything starts.
//!
//! Nothing here opens a socket or starts a process; the only I/O is reading the file.
//!
//! | room | job |
//! | --- | --- |
//! | `keys` | every key, defined once. A new key is one entry there |
//! | `define`, `spec` | the form of such an entry, and what a key may hold |
//! | `instances` | the list of instances |
//! | `layers`, `lines`, `reader`, `values` | from file, environment and flags to checked values with their sources |
//! | `effective`, `reference` | the values in force, and what is known of all keys, as text |
//! | `reload` | what a running process takes of a new configuration |

mod define;
mod effective;
mod instances;
mod keys;
mod layers;
mod lines;
mod problem;
mod reader;
mod reference;
mod reload;
mod spec;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use instances::{InstanceConfig, InstanceUrl, MAX_INSTANCES};
pub use keys::{
    Acknowledge, HealthConfig, HttpConfig, LogConfig, ManagedConfig, ReadConfig, RepairConfig,
    ResourcesConfig, VerifyConfig, WalConfig, WriteConfig,
};
pub use problem::{ConfigErrors, FilePlace, Problem, Source};
pub use reference::{RENEW, help, reference};
pub use reload::{Change, Reloaded};

use effective::Values;
use keys::General;
use layers::Layers;
use reader::Reader;

/// What the command line can set. Every field is optional; an absent one leaves the lower layers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--data-dir DIR`
    pub data_dir: Option<PathBuf>,
    /// `--listen ADDR:PORT`
    pub listen: Option<String>,
    /// `--instance NAME=URL`, repeated. Empty means not given.
    pub instances: Vec<String>,
    /// `--allow-reset`
    pub allow_reset: bool,
}

/// Looks up one environment variable; tests pass a map.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process. What is not Unicode is shown with replacement characters, so
/// that it is refused with its key rather than overlooked.
pub fn process_environment(variable: &str) -> Option<String> {
    std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
}

/// The whole configuration. Every value in it is valid by itself and together with the others.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept that must survive a restart.
    pub data_dir: PathBuf,
    /// Where clients reach us.
    pub listen: SocketAddr,
    /// The servers to use, the preferred one first. Empty: managed servers are started.
    pub instances: Vec<InstanceConfig>,
    /// Whether Chroma's reset is answered with anything but its 403.
    pub allow_reset: bool,
    /// Section `[write]`.
    pub write: WriteConfig,
    /// Section `[read]`.
    pub read: ReadConfig,
    /// Section `[http]`.
    pub http: HttpConfig,
    /// Section `[wal]`.
    pub wal: WalConfig,
    /// Section `[verify]`.
    pub verify: VerifyConfig,
    /// Section `[health]`.
    pub health: HealthConfig,
    /// Section `[repair]`.
    pub repair: RepairConfig,
    /// Section `[managed]`.
    pub managed: ManagedConfig,
    /// Section `[resources]`.
    pub resources: ResourcesConfig,
    /// Section `[log]`.
    pub log: LogConfig,
    values: Values,
}

impl Config {
    /// Puts the configuration together. Gives every problem that it has, not only the first.
    pub fn load(flags: &Flags, environment: Environment<'_>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(Layers::gather(flags, environment));
        let values = reader.values();
        let instances = instances::read(&mut reader);
        let config = Self::of(values, instances);
        for Problem { key, source, message } in config.problems_together() {
            reader.refuse(&key, source, message);
        }
        reader.finish().map(|()| config)
    }

    fn of(values: Values, instances: Vec<InstanceConfig>) -> Self {
        let General { data_dir, listen, allow_reset } = General::from_values(&values);
        Self {
            data_dir,
            listen,
            instances,
            allow_reset,
            write: WriteConfig::from_values(&values),
            read: ReadConfig::from_values(&values),
            http: HttpConfig::from_values(&values),
            wal: WalConfig::from_values(&values),
            verify: VerifyConfig::from_values(&values),
            health: HealthConfig::from_values(&values),
            repair: RepairConfig::from_values(&values),
            managed: ManagedConfig::from_values(&values),
            resources: ResourcesConfig::from_values(&values),
            log: LogConfig::from_values(&values),
            values,
        }
    }

    /// Where the value of a key (`write.wait_ms`), or the list of `instances`, came from.
    pub fn source(&self, key: &str) -> &Source {
        match self.instances.first() {
            Some(first) if key == "instances" => &first.source,
            _ => self.values.source(key),
        }
    }

    /// All of it as TOML that can be used as a file, with the source of each value as a comment. Secrets are not
    /// in it.
    pub fn effective(&self) -> String {
        effective::print(&self.values, &self.instances)
    }

    /// What is wrong with values that are good by themselves.
    fn problems_together(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |key: &str, message: String| {
            problems.push(Problem { key: key.to_owned(), source: self.source(key).clone(), message });
        };
        if self.write.wait > self.write.timeout {
            refuse(
                "write.wait_ms",
                format!(
                    "{} is longer than write.timeout_ms ({}), after which the sender is gone; write a smaller number",
                    self.write.wait.as_millis(),
                    self.write.timeout.as_millis()
                ),
            );
        }
        if self.write.max_pending_bytes < self.write.max_body_bytes {
            refuse(
                "write.max_pending_bytes",
                format!(
                    "{} has no room for one body of write.max_body_bytes ({}); write at least that",
                    self.write.max_pending_bytes, self.write.max_body_bytes
                ),
            );
        }
        let listen = instances::canonical_address(&self.listen.ip().to_string(), self.listen.port());
        for instance in &self.instances {
            if instance.url.canonical() == listen {
                refuse(
                    "instances",
                    format!(
                        "instance {} ({}) is the address that Isochrome itself listens on; \
                         write the address of a Chroma server, or choose another with --listen",
                        instance.name, instance.url
                    ),
                );
            }
        }
        problems
    }
}

/// Only the data directory, for commands that talk to a running process and must work while the
/// rest of the configuration is being edited.
pub fn data_dir(flags: &Flags, environment: Environment<'_>) -> Result<PathBuf, ConfigErrors> {
    let mut reader = Reader::new(Layers::gather(flags, environment).only("data_dir"));
    let data_dir = General::from_values(&reader.values()).data_dir;
    reader.finish().map(|()| data_dir)
}
