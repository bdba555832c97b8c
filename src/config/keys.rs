//! Every key, defined once: what it is for, its type, default and range, whether a running process takes a new value
//! (`live`), whether it is a `secret`, and what else sets it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::define::{Key, Section, sections};
use super::effective::Values;
use super::spec::{
    Spec, Words, address, boolean, list, millis, path, path_or, seconds, text, whole, whole_or, word,
};

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Once it is durable here and applied on one instance.
    One,
    /// Once every instance that can take it has applied it.
    All,
}

impl Words for Acknowledge {
    const WORDS: &'static [(&'static str, Self)] = &[("one", Self::One), ("all", Self::All)];
}

sections! {
    /// What stands above all sections.
    "" General {
        /// Where everything is kept that must survive a restart.
        data_dir: PathBuf = "data_dir", path("./isochrome-data").flag("--data-dir");
        /// Where clients reach us. The variable `PORT` changes the port only.
        listen: SocketAddr = "listen", address("127.0.0.1:8000").flag("--listen");
        /// Whether clients may reset everything; otherwise Chroma's reset is answered with its own 403.
        allow_reset: bool = "allow_reset", boolean(false).live().also("ALLOW_RESET", 1).flag("--allow-reset");
    }

    /// How writes are taken and answered.
    "write." WriteConfig {
        /// When a write is answered: `"one"`, once it is durable here and applied on one instance; `"all"`, once every
        /// instance that is up has applied it.
        acknowledge: Acknowledge = "acknowledge", word("one").live();
        /// How long a write waits for an instance before its sender gets 503.
        wait: Duration = "wait_ms", millis(5_000, &(0..=600_000)).live();
        /// How long a sender waits at most for the outcome of a write.
        timeout: Duration = "timeout_ms",
            millis(60_000, &(1..=3_600_000)).live().also("REQUEST_TIMEOUT", 1_000);
        /// An instance that is up, and falls behind by more than this and further, slows acknowledgements: they wait until it
        /// has applied the write too, up to 5 s. 0: it may fall behind as far as the log holds. `isochrome release` lets one
        /// instance fall behind.
        max_lag: Duration = "max_lag_s", seconds(60, &(0..=86_400)).live();
        /// The largest request body; larger ones get 413, as from Chroma.
        max_body_bytes: u64 = "max_body_bytes", whole(40 << 20, &(1_024..=1 << 30)).live();
        /// Bodies of requests under way at most, and never more than a quarter of the memory budget (one body of the
        /// largest size always fits); beyond it requests wait, then get 503.
        max_pending_bytes: u64 = "max_pending_bytes", whole(1 << 30, &(1 << 20..=1 << 40)).live();
    }

    /// How reads are answered.
    "read." ReadConfig {
        /// Memory for answers to `get`, `query` and `count` that are given again while their collection has not
        /// changed; they are never stale. 0 keeps none.
        cache_max_bytes: Option<u64> = "cache_max_bytes",
            whole_or("an eighth of the memory budget, at most 64 MiB", &(0..=1 << 40));
        /// How long a strong read waits for an instance that is caught up before it gets 503.
        wait: Duration = "wait_ms", millis(5_000, &(0..=600_000)).live();
    }

    /// How clients are talked to.
    "http." HttpConfig {
        /// Connections of clients at once; the next ones wait to be accepted. Open files of the process limit it too.
        max_connections: u64 = "max_connections", whole(4_096, &(1..=1 << 20));
        /// How long a connection may stay without a complete request head. Longer than clients keep idle connections,
        /// so that none sends on one that we are closing.
        idle: Duration = "idle_ms", millis(120_000, &(100..=86_400_000));
        /// How long a request's body may be late: behind 64 KiB a second it gets 408.
        body_late: Duration = "body_late_ms", millis(30_000, &(100..=3_600_000)).live();
        /// Answers at least this large are compressed where the client accepts that; 0: never.
        compress_min_bytes: u64 = "compress_min_bytes", whole(0, &(0..=1 << 40)).live();
        /// Origins of pages that may call us from a browser, as Chroma's setting of that name; `"*"` for any. Empty: no
        /// headers for browsers, and OPTIONS is answered with 405.
        cors_allow_origins: Vec<String> = "cors_allow_origins", list(&[], check_origin);
    }

    /// What the log keeps, and in which pieces.
    "wal." WalConfig {
        /// Bodies of writes that the log holds for instances which have not applied them. Near it the collections that an
        /// instance misses something in, which is down, are copied to it again when it is back, and the log holds them no
        /// longer; at it writes get 507.
        max_bytes: u64 = "max_bytes", whole(16 << 30, &(1 << 20..=1 << 50));
        /// How long the outcome of a write can be asked for.
        keep: Duration = "keep_s", seconds(86_400, &(0..=315_360_000)).live();
        /// Size at which a file of the log is closed; space is given back by whole files.
        segment_bytes: u64 = "segment_bytes", whole(64 << 20, &(1 << 20..=1 << 30));
    }

    /// How instances are compared.
    "verify." VerifyConfig {
        /// Pause between two comparisons of all records on all instances; 0: only when asked for.
        every: Duration = "every_s", seconds(86_400, &(0..=31_536_000)).live();
    }

    /// How instances are watched.
    "health." HealthConfig {
        /// Pause between two heartbeats to one instance, 2 s at most.
        interval: Duration = "interval_ms", millis(500, &(50..=60_000)).live().also("CHECK_INTERVAL", 1_000);
    }

    /// How copies that differ are brought back.
    "repair." RepairConfig {
        /// Collections that contradict what was decided are copied again from another instance while they are in use, and
        /// so are instances that lost their data. Off: they stay out.
        rebuild: bool = "rebuild", boolean(true).live();
        /// Ids in one piece of such a copy.
        chunk_size: u64 = "chunk_size", whole(1_000, &(1..=20_000)).also("SYNC_CHUNK_SIZE", 1);
        /// Collections that are copied to one instance at a time.
        workers: u64 = "workers", whole(2, &(1..=16)).live();
    }

    /// The Chroma servers that we start ourselves where no instance is configured.
    "managed." ManagedConfig {
        /// The Chroma executable. For a server that `isochrome upgrade-chroma` has upgraded, the one that it chose counts
        /// instead.
        command: Option<PathBuf> = "command", path_or("`DATA/venv/bin/chroma`, else `chroma` on the path");
        /// How long a server may take to its first heartbeat.
        start_timeout: Duration = "start_timeout_ms", millis(60_000, &(1_000..=600_000));
    }

    /// What we may use of the machine.
    "resources." ResourcesConfig {
        /// Memory; from it follow the caches and queues.
        max_memory_mb: Option<u64> = "max_memory_mb",
            whole_or("a quarter of the machine's, at least 256", &(64..=1 << 24)).also("MAX_MEMORY_MB", 1);
        /// Threads for clients, and as many for all else.
        max_workers: Option<u64> = "max_workers", whole_or("the cores", &(1..=4_096)).also("MAX_WORKERS", 1);
    }

    /// What is logged. Logs hold ids and sizes, never documents or embeddings.
    "log." LogConfig {
        /// The least level that is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter by parts such as
        /// `info,isochrome::wal=debug`.
        level: String = "level", text("info", check_filter).live().also("RUST_LOG", 1);
    }
}

fn check_filter(text: &str) -> Result<(), String> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed.map(|_| ()).map_err(|error| format!("{error}; write error, warn, info, debug or trace"))
}

fn check_origin(text: &str) -> Result<(), String> {
    let has_scheme =
        text.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty());
    let is_header = text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if text == "*" || (has_scheme && is_header && !text.ends_with('/')) {
        return Ok(());
    }
    Err("write SCHEME://HOST or SCHEME://HOST:PORT without a path, or *".to_owned())
}

/// Every key of every section.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// Whether a section of this name exists.
pub(super) fn is_section(name: &str) -> bool {
    !name.is_empty() && SECTIONS.iter().any(|section| section.title() == name)
}

/// The known key that an unknown one was most likely meant to be.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let score = |name: &str| strsim::jaro_winkler(unknown, name);
    all()
        .map(|key| key.name)
        .chain(["instances"])
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .filter(|name| score(name) > 0.85)
}
