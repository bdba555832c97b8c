//! One typed configuration, put together from defaults, a TOML file, the environment and flags
//! (the later wins), and validated whole before anything starts.
//!
//! Nothing here opens a socket or starts a process; the only I/O is reading the file.

mod instances;
mod keys;
mod layers;
mod problem;
mod reader;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use instances::{InstanceConfig, InstanceUrl, MAX_INSTANCES};
pub use problem::{ConfigErrors, Problem, Source};

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
    /// Where everything is kept that must survive a restart. Default `./isochrome-data`.
    pub data_dir: PathBuf,
    /// Where clients reach us. Default `127.0.0.1:8000`.
    pub listen: SocketAddr,
    /// The servers to use, the preferred one first. Empty: managed servers are started.
    pub instances: Vec<InstanceConfig>,
    /// Whether Chroma's reset is answered with anything but its 403. Default false.
    pub allow_reset: bool,
    /// Section `[write]`.
    pub write: WriteConfig,
    /// Section `[read]`.
    pub read: ReadConfig,
    /// Section `[wal]`.
    pub wal: WalConfig,
    /// Section `[health]`.
    pub health: HealthConfig,
    /// Section `[managed]`.
    pub managed: ManagedConfig,
    /// Section `[resources]`.
    pub resources: ResourcesConfig,
    sources: BTreeMap<&'static str, Source>,
}

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Once it is durable here and applied on one instance.
    One,
    /// Once every instance that can take it has applied it.
    All,
}

/// How writes are taken and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteConfig {
    /// `acknowledge = "one" | "all"`. Default `"one"`.
    pub acknowledge: Acknowledge,
    /// `wait_ms`: how long a write waits for an instance before its sender gets 503. Default 5 s.
    pub wait: Duration,
    /// `timeout_ms`: how long a sender waits at most for the outcome of a write. Default 60 s.
    pub timeout: Duration,
    /// `max_body_bytes`: the largest request body; larger ones get 413. Default 40 MiB, as Chroma.
    pub max_body_bytes: u64,
    /// `max_pending_bytes`: bodies of requests under way, within a quarter of the memory budget; beyond it requests
    /// wait, then get 503. Default 1 GiB.
    pub max_pending_bytes: u64,
}

/// How reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadConfig {
    /// `wait_ms`: how long a strong read waits for an eligible instance before it gets 503. Default 5 s.
    pub wait: Duration,
}

/// What the log keeps, and in which pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalConfig {
    /// `keep_s`: how long the outcome of a transaction can be asked for. Default one day.
    pub keep: Duration,
    /// `segment_bytes`: size at which a file of bodies is closed; space is given back by whole files. Default 64 MiB.
    pub segment_bytes: u64,
}

/// How instances are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// `interval_ms`: time between two heartbeats to one instance. Default 500 ms.
    pub interval: Duration,
}

/// The Chroma servers that we start ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedConfig {
    /// `command`: the `chroma` executable. Default: `DATA/venv/bin/chroma`, else `chroma` on PATH.
    pub command: Option<PathBuf>,
    /// `start_timeout_ms`: how long a server may take to its first heartbeat. Default 60 s.
    pub start_timeout: Duration,
}

/// What we may use of the machine. `None` means: from what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourcesConfig {
    /// `max_memory_mb`, also `MAX_MEMORY_MB`.
    pub max_memory_mb: Option<u64>,
    /// `max_workers`, also `MAX_WORKERS`.
    pub max_workers: Option<u64>,
}

impl Config {
    /// Puts the configuration together. Gives every problem that it has, not only the first.
    pub fn load(flags: &Flags, environment: Environment<'_>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(Layers::gather(flags, environment));
        let config = Self {
            data_dir: read_data_dir(&mut reader),
            listen: read_listen(&mut reader),
            instances: instances::read(&mut reader),
            allow_reset: reader.read("allow_reset", false, values::boolean),
            write: read_write(&mut reader),
            read: ReadConfig {
                wait: reader.read("read.wait_ms", Duration::from_secs(5), values::millis(0..=600_000)),
            },
            wal: read_wal(&mut reader),
            health: HealthConfig {
                interval: reader.read(
                    "health.interval_ms",
                    Duration::from_millis(500),
                    values::millis(50..=60_000),
                ),
            },
            managed: ManagedConfig {
                command: reader.read("managed.command", None, |s| values::path(s).map(Some)),
                start_timeout: reader.read(
                    "managed.start_timeout_ms",
                    Duration::from_mins(1),
                    values::millis(1_000..=600_000),
                ),
            },
            resources: read_resources(&mut reader),
            sources: BTreeMap::new(),
        };
        config.check_together(&mut reader);
        let sources = reader.finish()?;
        Ok(Self { sources, ..config })
    }

    /// Where the value of a key (`write.wait_ms`) came from.
    pub fn source(&self, key: &str) -> &Source {
        self.sources.get(key).unwrap_or(&Source::Default)
    }

    fn check_together(&self, reader: &mut Reader) {
        if self.write.wait > self.write.timeout {
            reader.refuse(
                "write.wait_ms",
                format!(
                    "{} is longer than write.timeout_ms ({}), after which the sender is gone; write a smaller number",
                    self.write.wait.as_millis(),
                    self.write.timeout.as_millis()
                ),
            );
        }
        if self.write.max_pending_bytes < self.write.max_body_bytes {
            reader.refuse(
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
                reader.refuse(
                    "instances",
                    format!(
                        "instance {} ({}) is the address that Isochrome itself listens on; \
                         write the address of a Chroma server, or choose another with --listen",
                        instance.name, instance.url
                    ),
                );
            }
        }
    }
}

/// Only the data directory, for commands that talk to a running process and must work while the
/// rest of the configuration is being edited.
pub fn data_dir(flags: &Flags, environment: Environment<'_>) -> Result<PathBuf, ConfigErrors> {
    let mut reader = Reader::new(Layers::gather(flags, environment).only("data_dir"));
    let data_dir = read_data_dir(&mut reader);
    reader.finish().map(|_| data_dir)
}

fn read_data_dir(reader: &mut Reader) -> PathBuf {
    reader.read("data_dir", Path::new("./isochrome-data").to_path_buf(), values::path)
}

fn read_listen(reader: &mut Reader) -> SocketAddr {
    let mut listen = reader.read("listen", SocketAddr::from(([127, 0, 0, 1], 8000)), values::address);
    if let Some(port) = reader.read_override("listen", "port", values::port) {
        listen.set_port(port);
    }
    listen
}

fn read_write(reader: &mut Reader) -> WriteConfig {
    WriteConfig {
        acknowledge: reader.read(
            "write.acknowledge",
            Acknowledge::One,
            values::choice(&[("one", Acknowledge::One), ("all", Acknowledge::All)]),
        ),
        wait: reader.read("write.wait_ms", Duration::from_secs(5), values::millis(0..=600_000)),
        timeout: reader.read("write.timeout_ms", Duration::from_mins(1), values::millis(1..=3_600_000)),
        max_body_bytes: reader.read("write.max_body_bytes", 40 << 20, values::integer(1_024..=1 << 30)),
        max_pending_bytes: reader.read(
            "write.max_pending_bytes",
            1 << 30,
            values::integer(1 << 20..=1 << 40),
        ),
    }
}

fn read_wal(reader: &mut Reader) -> WalConfig {
    WalConfig {
        keep: Duration::from_secs(reader.read("wal.keep_s", 86_400, values::integer(0..=315_360_000))),
        segment_bytes: reader.read("wal.segment_bytes", 64 << 20, values::integer(1 << 20..=1 << 30)),
    }
}

fn read_resources(reader: &mut Reader) -> ResourcesConfig {
    let some = |range| move |s: &layers::Setting| values::integer(range)(s).map(Some);
    ResourcesConfig {
        max_memory_mb: reader.read("resources.max_memory_mb", None, some(64..=1 << 24)),
        max_workers: reader.read("resources.max_workers", None, some(1..=4_096)),
    }
}
