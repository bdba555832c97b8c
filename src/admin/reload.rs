//! How the last reload of the configuration ended.

use serde::Serialize;

use super::time;
use crate::config::Change;
use crate::gateway::LastReload;

/// `reload` in `/status`.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadStatus {
    /// From 1, since the start.
    pub number: u64,
    /// ISO 8601.
    pub at: String,
    /// Whether the new configuration was taken.
    pub ok: bool,
    /// Changes that hold now, as in `"read.wait_ms: 5000 -> 7 (file a.toml:3)"`.
    pub changed: Vec<String>,
    /// Changes that only a restart makes.
    pub needs_restart: Vec<String>,
    /// Everything that is wrong with a configuration that was not taken.
    pub problems: Vec<String>,
}

impl From<LastReload> for ReloadStatus {
    fn from(reload: LastReload) -> Self {
        let told = |changes: Vec<Change>| changes.iter().map(Change::to_string).collect();
        let (ok, (changed, needs_restart), problems) = match reload.result {
            Ok(changes) => (true, changes, Vec::new()),
            Err(errors) => (false, Default::default(), errors.0.iter().map(ToString::to_string).collect()),
        };
        Self {
            number: reload.number,
            at: time::iso(reload.at),
            ok,
            changed: told(changed),
            needs_restart: told(needs_restart),
            problems,
        }
    }
}
