//! The values in force with their sources, and how they are printed so that the text can be used as a file.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::define::{Key, Section};
use super::instances::InstanceConfig;
use super::keys::SECTIONS;
use super::problem::Source;
use super::values::Plain;

/// The value of every key, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values(BTreeMap<&'static str, (Plain, Source)>);

impl Values {
    pub(super) fn set(&mut self, key: &'static str, plain: Plain, source: Source) {
        self.0.insert(key, (plain, source));
    }

    pub(super) fn plain(&self, key: &str) -> &Plain {
        self.0.get(key).map_or(&Plain::Nothing, |(plain, _)| plain)
    }

    pub(super) fn source(&self, key: &str) -> &Source {
        self.0.get(key).map_or(&Source::Default, |(_, source)| source)
    }
}

/// The effective configuration as TOML, with the source of each value behind it.
pub(super) fn print(values: &Values, instances: &[InstanceConfig]) -> String {
    let mut text = format!(
        "# The configuration of isochrome {} in force. Behind each value stands where it came from;\n\
         # what is commented out is not set.\n",
        env!("CARGO_PKG_VERSION")
    );
    for section in SECTIONS {
        text += &print_section(section, values);
    }
    if instances.is_empty() {
        text += "\n# instances: none; two Chroma servers are started and supervised on this machine.\n";
    }
    for instance in instances {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        _ = write!(
            text,
            "\n[[instances]]  # {}\nname = {}\nurl = {}\n",
            instance.source,
            quoted(&instance.name),
            quoted(&instance.url.to_string())
        );
    }
    text
}

fn print_section(section: &Section, values: &Values) -> String {
    let mut text = "\n".to_owned();
    if !section.title().is_empty() {
        _ = writeln!(text, "[{}]", section.title());
    }
    for key in section.keys {
        _ = writeln!(text, "{}", print_key(key, values.plain(key.name), values.source(key.name)));
    }
    text
}

fn print_key(key: &Key, plain: &Plain, source: &Source) -> String {
    let name = key.short_name();
    match plain.toml() {
        None => format!("# {name}  # {source}: {}", key.default_text()),
        // A mask would become the value of whoever uses the text as a file.
        Some(_) if key.traits.secret && *source != Source::Default => {
            format!("# {name} = \"***\"  # {source}; a secret, not shown")
        }
        Some(value) => format!("{name} = {value}  # {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::{self, Spec};
    use super::*;

    #[test]
    fn a_secret_is_named_and_not_shown() {
        let spec: Spec<String> = spec::text("", |_| Ok(())).secret();
        let key = Key { name: "auth.token", doc: "", traits: spec.traits };
        let source = Source::Environment("ISOCHROME_AUTH_TOKEN".to_owned());
        assert_eq!(
            print_key(&key, &Plain::Text("geheim".to_owned()), &source),
            "# token = \"***\"  # environment variable ISOCHROME_AUTH_TOKEN; a secret, not shown"
        );
        assert_eq!(print_key(&key, &Plain::Text(String::new()), &Source::Default), "token = \"\"  # default");
    }
}
