//! Gives values their types, and collects what is wrong on the way.

use std::collections::BTreeMap;

use super::layers::{Layers, RawInstance, Setting};
use super::problem::{ConfigErrors, Problem, Source};

/// Hands out typed values. A wrong one is noted and replaced by its default, so that the rest is
/// still examined; [`Reader::finish`] then fails.
pub(super) struct Reader {
    layers: Layers,
    sources: BTreeMap<&'static str, Source>,
}

impl Reader {
    pub(super) fn new(layers: Layers) -> Self {
        Self { layers, sources: BTreeMap::new() }
    }

    /// The value of `key`, or its default.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&Setting) -> Result<T, String>,
    ) -> T {
        self.read_override(key, key, parse).unwrap_or(default)
    }

    /// The value that the setting `from` has for `key`, if it is set and good.
    pub(super) fn read_override<T>(
        &mut self,
        key: &'static str,
        from: &str,
        parse: impl FnOnce(&Setting) -> Result<T, String>,
    ) -> Option<T> {
        let setting = self.layers.settings.get(from)?;
        let source = setting.source.clone();
        let parsed = parse(setting);
        self.sources.insert(key, source);
        parsed.map_err(|message| self.refuse(key, message)).ok()
    }

    /// Takes the raw instances out.
    pub(super) fn take_instances(&mut self) -> Vec<RawInstance> {
        let instances = std::mem::take(&mut self.layers.instances);
        if let Some(first) = instances.first() {
            self.sources.insert("instances", first.source.clone());
        }
        instances
    }

    /// Notes a problem with a key that was read before.
    pub(super) fn refuse(&mut self, key: &str, message: String) {
        let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
        self.refuse_from(key, source, message);
    }

    /// Notes a problem with a value from a known source.
    pub(super) fn refuse_from(&mut self, key: &str, source: Source, message: String) {
        self.layers.problems.push(Problem { key: key.to_owned(), source, message });
    }

    /// The sources of all keys that were set, or everything that is wrong.
    pub(super) fn finish(self) -> Result<BTreeMap<&'static str, Source>, ConfigErrors> {
        if self.layers.problems.is_empty() {
            Ok(self.sources)
        } else {
            Err(ConfigErrors(self.layers.problems))
        }
    }
}
