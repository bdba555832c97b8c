//! Turns what the layers say into checked values, and collects what is wrong on the way.

use super::effective::Values;
use super::keys;
use super::layers::{Layers, RawInstance};
use super::problem::{ConfigErrors, Problem, Source};
use super::values::{self, Plain};

/// Hands out checked values. A wrong one is noted and replaced by its default, so that the rest is
/// still examined; [`Reader::finish`] then fails.
pub(super) struct Reader {
    layers: Layers,
}

impl Reader {
    pub(super) fn new(layers: Layers) -> Self {
        Self { layers }
    }

    /// The value of every key.
    pub(super) fn values(&mut self) -> Values {
        let mut all = Values::default();
        for key in keys::all() {
            let Some(setting) = self.layers.settings.get(key.name) else {
                all.set(key.name, key.traits.default.into(), Source::Default);
                continue;
            };
            let source = setting.source.clone();
            let plain = match values::parse(key.traits.kind, setting, key.traits.secret) {
                Ok(plain) => plain,
                Err(message) => {
                    self.refuse(key.name, source.clone(), message);
                    key.traits.default.into()
                }
            };
            all.set(key.name, plain, source);
        }
        self.change_port(&mut all);
        all
    }

    /// `PORT` of the predecessor: the port of whatever address is in force.
    fn change_port(&mut self, all: &mut Values) {
        let Some(setting) = self.layers.settings.get("port") else {
            return;
        };
        let source = setting.source.clone();
        match values::port(setting) {
            Ok(port) => {
                let listen = values::socket_address(all.plain("listen").text()).map(|mut address| {
                    address.set_port(port);
                    address.to_string()
                });
                all.set("listen", Plain::Text(listen.unwrap_or_default()), source);
            }
            Err(message) => self.refuse("listen", source, message),
        }
    }

    /// Takes the raw instances out.
    pub(super) fn take_instances(&mut self) -> Vec<RawInstance> {
        std::mem::take(&mut self.layers.instances)
    }

    /// Notes a problem with a value.
    pub(super) fn refuse(&mut self, key: &str, source: Source, message: String) {
        self.layers.problems.push(Problem { key: key.to_owned(), source, message });
    }

    /// Everything that is wrong, if anything is.
    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        if self.layers.problems.is_empty() { Ok(()) } else { Err(ConfigErrors(self.layers.problems)) }
    }
}
