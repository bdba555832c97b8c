//! The names of all keys, and the variables under which the environment may set them.

/// One key of the configuration.
pub(super) struct Key {
    /// As in the file, with its section: `write.wait_ms`.
    pub(super) name: &'static str,
    /// A variable of the predecessor that sets it too, after our own.
    pub(super) alias: Option<Alias>,
}

/// A variable that was known before Isochrome.
pub(super) struct Alias {
    pub(super) variable: &'static str,
    /// What its number is multiplied with to come to the key's unit.
    pub(super) scale: u64,
}

impl Key {
    const fn new(name: &'static str) -> Self {
        Self { name, alias: None }
    }

    const fn also(name: &'static str, variable: &'static str, scale: u64) -> Self {
        Self { name, alias: Some(Alias { variable, scale }) }
    }

    /// `ISOCHROME_WRITE_WAIT_MS` for `write.wait_ms`.
    pub(super) fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("ISOCHROME_{}", key.replace('.', "_").to_uppercase())
}

/// Every key with one value. `instances` is a list and handled apart.
pub(super) const KEYS: &[Key] = &[
    Key::new("data_dir"),
    Key::new("listen"),
    Key::also("allow_reset", "ALLOW_RESET", 1),
    Key::new("write.acknowledge"),
    Key::new("write.wait_ms"),
    Key::also("write.timeout_ms", "REQUEST_TIMEOUT", 1_000),
    Key::new("write.max_body_bytes"),
    Key::new("write.max_pending_bytes"),
    Key::new("read.wait_ms"),
    Key::new("wal.keep_s"),
    Key::new("wal.segment_bytes"),
    Key::also("health.interval_ms", "CHECK_INTERVAL", 1_000),
    Key::new("managed.command"),
    Key::new("managed.start_timeout_ms"),
    Key::also("resources.max_memory_mb", "MAX_MEMORY_MB", 1),
    Key::also("resources.max_workers", "MAX_WORKERS", 1),
];

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether a section of this name exists.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// The known key that an unknown one was most likely meant to be.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let score = |name: &str| strsim::jaro_winkler(unknown, name);
    KEYS.iter()
        .map(|key| key.name)
        .chain(["instances"])
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .filter(|name| score(name) > 0.85)
}
