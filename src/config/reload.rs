//! What a running process takes of a new configuration.

use std::fmt;

use super::define::Key;
use super::instances::InstanceConfig;
use super::problem::{ConfigErrors, Source};
use super::values::Plain;
use super::{Config, keys};

/// A running process's next configuration.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The one in force from now on: the new values of all live keys, and the old ones of the others.
    pub config: Config,
    /// What changed.
    pub applied: Vec<Change>,
    /// What the new configuration says otherwise, and only a restart can change.
    pub needs_restart: Vec<Change>,
    /// Instances that are named behind all others and were not before.
    pub joining: Vec<String>,
}

/// One key with another value than before, as it would stand in the file; a secret is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: &'static str,
    pub old: String,
    pub new: String,
    /// Where the new value comes from.
    pub source: Source,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {} ({})", self.key, self.old, self.new, self.source)
    }
}

impl Config {
    /// What becomes of this configuration when a running process is given `next`.
    ///
    /// # Errors
    /// [`ConfigErrors`] where the new live values do not go with the old ones that stay.
    pub fn reloaded(&self, next: &Self) -> Result<Reloaded, ConfigErrors> {
        let mut values = self.values.clone();
        let (mut applied, mut needs_restart) = (Vec::new(), Vec::new());
        for key in keys::all() {
            let (old, new) = (self.values.plain(key.name), next.values.plain(key.name));
            let source = next.values.source(key.name).clone();
            if old != new {
                let change = Change {
                    key: key.name,
                    old: show(key, old),
                    new: show(key, new),
                    source: source.clone(),
                };
                if key.traits.live { &mut applied } else { &mut needs_restart }.push(change);
            }
            if old == new || key.traits.live {
                values.set(key.name, new.clone(), source);
            }
        }
        needs_restart.extend(instances_change(self, next));
        let config = Self::of(values, self.instances.clone());
        let problems = config.problems_together();
        if problems.is_empty() {
            let joining = joining(&self.instances, &next.instances);
            Ok(Reloaded { config, applied, needs_restart, joining })
        } else {
            Err(ConfigErrors(problems))
        }
    }
}

fn joining(old: &[InstanceConfig], new: &[InstanceConfig]) -> Vec<String> {
    let new = new.strip_prefix(old).filter(|_| !old.is_empty()).unwrap_or_default();
    new.iter().map(|instance| instance.name.clone()).collect()
}

fn instances_change(old: &Config, new: &Config) -> Option<Change> {
    let list = |instances: &[InstanceConfig]| {
        let items: Vec<_> = instances.iter().map(|one| format!("{}={}", one.name, one.url)).collect();
        if items.is_empty() { "none".to_owned() } else { items.join(",") }
    };
    let (before, after) = (list(&old.instances), list(&new.instances));
    let source = new.source("instances").clone();
    (before != after).then_some(Change { key: "instances", old: before, new: after, source })
}

fn show(key: &Key, plain: &Plain) -> String {
    if key.traits.secret { "***".to_owned() } else { plain.toml().unwrap_or_else(|| key.default_text()) }
}
