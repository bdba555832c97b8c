//! Collects what the file, the environment and the flags say, untyped, and keeps of each key the
//! value of the highest layer together with its source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::define::variable;
use super::keys;
use super::lines::Lines;
use super::problem::{FilePlace, Problem, Source};
use super::{Environment, Flags};

/// A value before it has a type.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// From the environment or a flag.
    Text(String),
    /// From the environment, a number in a larger unit than the key's.
    Scaled(String, u64),
    /// From the file.
    Toml(toml::Value),
}

/// A value with its source.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) source: Source,
}

/// One instance as it was written, with the key that names it in messages.
#[derive(Clone, Debug)]
pub(super) struct RawInstance {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) source: Source,
}

/// Instances that the predecessor's variables name.
pub(super) const LEGACY_INSTANCES: [(&str, &str); 2] =
    [("primary", "PRIMARY_URL"), ("replica", "REPLICA_URL")];

/// What all layers together say.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) settings: BTreeMap<&'static str, Setting>,
    pub(super) instances: Vec<RawInstance>,
    pub(super) problems: Vec<Problem>,
}

impl Layers {
    /// Reads all layers, the lowest first.
    pub(super) fn gather(flags: &Flags, environment: Environment<'_>) -> Self {
        // An empty variable is what a compose file leaves of one that is not set.
        let environment = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let mut layers = Self::default();
        if let Some((path, source)) = config_file(flags, &environment) {
            layers.add_file(&path, &source);
        }
        layers.add_environment(&environment);
        layers.add_flags(flags);
        layers
    }

    /// Forgets everything but one key and the problems with it.
    pub(super) fn only(mut self, key: &str) -> Self {
        self.settings.retain(|name, _| *name == key);
        self.instances.clear();
        self.problems.retain(|problem| problem.key == key || problem.key == "config");
        self
    }

    fn set(&mut self, key: &'static str, value: Value, source: Source) {
        self.settings.insert(key, Setting { value, source });
    }

    fn refuse(&mut self, key: impl Into<String>, source: &Source, message: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), source: source.clone(), message: message.into() });
    }

    fn add_file(&mut self, path: &Path, named_by: &Source) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                return self.refuse("config", named_by, message);
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.add_table(table, &Lines::of(path, &text)),
            Err(error) => {
                // Not the line itself, which may hold a secret.
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
                let line = before.matches('\n').count() + 1;
                let source = Source::File(FilePlace { path: path.to_path_buf(), line: None });
                let message = format!("line {line} is not valid TOML: {}", error.message());
                self.refuse("config", &source, message);
            }
        }
    }

    fn add_table(&mut self, table: toml::Table, lines: &Lines) {
        for (name, value) in table {
            match value {
                value if name == "instances" => self.add_file_instances(value, lines),
                toml::Value::Table(section) if keys::is_section(&name) => {
                    for (key, value) in section {
                        self.add_file_value(&format!("{name}.{key}"), value, lines);
                    }
                }
                value => self.add_file_value(&name, value, lines),
            }
        }
    }

    fn add_file_value(&mut self, name: &str, value: toml::Value, lines: &Lines) {
        let source = lines.source(name);
        if let Some(key) = keys::find(name) {
            return self.set(key.name, Value::Toml(value), source);
        }
        let message = if keys::is_section(name) {
            format!("is a section; write [{name}] on a line of its own and its keys below")
        } else if let Some(nearest) = keys::nearest(name) {
            format!("unknown key; did you mean {nearest}?")
        } else {
            "unknown key; remove it".to_owned()
        };
        self.refuse(name, &source, message);
    }

    fn add_file_instances(&mut self, value: toml::Value, lines: &Lines) {
        const SHAPE: &str =
            "write each instance as [[instances]] with name = \"a\" and url = \"http://host:port\"";
        let toml::Value::Array(list) = value else {
            return self.refuse("instances", &lines.source("instances"), SHAPE);
        };
        for (index, item) in list.into_iter().enumerate() {
            let key = format!("instances[{index}]");
            let source = lines.source(&key);
            let toml::Value::Table(mut table) = item else {
                self.refuse(key, &source, SHAPE);
                continue;
            };
            let mut text = |field: &str| match table.remove(field) {
                Some(toml::Value::String(text)) => Some(text),
                _ => None,
            };
            match (text("name"), text("url")) {
                (Some(name), Some(url)) => {
                    let source = source.clone();
                    self.instances.push(RawInstance { key: key.clone(), name, url, source });
                }
                _ => self.refuse(key.clone(), &source, SHAPE),
            }
            for unknown in table.keys().filter(|field| !["name", "url"].contains(&field.as_str())) {
                self.refuse(format!("{key}.{unknown}"), &source, "unknown key; an instance has name and url");
            }
        }
    }

    fn add_environment(&mut self, environment: Environment<'_>) {
        for key in keys::all() {
            let own = key.variable();
            if let Some(text) = environment(&own) {
                self.set(key.name, Value::Text(text), Source::Environment(own));
            } else if let Some(alias) = key.traits.alias
                && let Some(text) = environment(alias.variable)
            {
                let source = Source::Environment(alias.variable.to_owned());
                self.set(key.name, Value::Scaled(text, alias.scale), source);
            }
        }
        let own_listen = environment(&variable("listen"));
        if let Some(port) = environment("PORT").filter(|_| own_listen.is_none()) {
            self.set("port", Value::Text(port), Source::Environment("PORT".to_owned()));
        }
        self.add_environment_instances(environment);
    }

    fn add_environment_instances(&mut self, environment: Environment<'_>) {
        let own = variable("instances");
        if let Some(list) = environment(&own) {
            let items: Vec<&str> = list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            return self.replace_instances(&items, &Source::Environment(own));
        }
        let legacy: Vec<RawInstance> = LEGACY_INSTANCES
            .into_iter()
            .filter_map(|(name, variable)| {
                Some(RawInstance {
                    key: format!("instances.{name}"),
                    name: name.to_owned(),
                    url: environment(variable)?,
                    source: Source::Environment(variable.to_owned()),
                })
            })
            .collect();
        if !legacy.is_empty() {
            self.instances = legacy;
        }
    }

    fn add_flags(&mut self, flags: &Flags) {
        if let Some(data_dir) = &flags.data_dir {
            let text = data_dir.to_string_lossy().into_owned();
            self.set("data_dir", Value::Text(text), Source::Flag("--data-dir"));
        }
        if let Some(listen) = &flags.listen {
            self.settings.remove("port");
            self.set("listen", Value::Text(listen.clone()), Source::Flag("--listen"));
        }
        if flags.allow_reset {
            self.set("allow_reset", Value::Text("true".to_owned()), Source::Flag("--allow-reset"));
        }
        if !flags.instances.is_empty() {
            let items: Vec<&str> = flags.instances.iter().map(String::as_str).collect();
            self.replace_instances(&items, &Source::Flag("--instance"));
        }
    }

    /// A list from a higher layer replaces the whole list, and what was wrong with the lower one.
    fn replace_instances(&mut self, items: &[&str], source: &Source) {
        self.instances.clear();
        self.problems.retain(|problem| !problem.key.starts_with("instances"));
        for (index, item) in items.iter().enumerate() {
            let key = format!("instances[{index}]");
            match item.split_once('=') {
                Some((name, url)) if !name.contains("://") => self.instances.push(RawInstance {
                    key,
                    name: name.trim().to_owned(),
                    url: url.trim().to_owned(),
                    source: source.clone(),
                }),
                _ => self.refuse(key, source, "has no name; write NAME=URL, such as a=http://127.0.0.1:8001"),
            }
        }
    }
}

fn config_file(flags: &Flags, environment: Environment<'_>) -> Option<(PathBuf, Source)> {
    if let Some(path) = &flags.config {
        return Some((path.clone(), Source::Flag("--config")));
    }
    let name = variable("config");
    environment(&name).map(|path| (PathBuf::from(path), Source::Environment(name)))
}
