//! What is known of all keys, for people: the reference document, and hints for the command line.

use std::fmt::Write;

use super::define::{Key, Section, paragraph};
use super::keys::{self, SECTIONS};
use super::{instances, layers};

/// How the document is renewed.
pub const RENEW: &str = "cargo run -- config --reference > docs/configuration.md";

const HEAD: &str = "\
# Configuration

Every setting can be given, in rising order, by default, in a TOML file (`--config FILE`), in the environment, or by a
flag. The variable of a key is `ISOCHROME_` and the key in capitals with underscores: `ISOCHROME_WRITE_WAIT_MS` for
`write.wait_ms`; an empty one counts as not set. `isochrome check` validates all of it, and `isochrome config` prints
what is in force and where each value came from.

On SIGHUP a running process reads all of it again. A key marked *live* then takes its new value; another is reported to
need a restart and stays as it is. If anything is wrong, nothing changes, and the log says what is wrong.
";

/// The reference of all keys in Markdown: `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = format!("<!-- Made by `{RENEW}`. -->\n\n{HEAD}");
    for section in SECTIONS {
        text += &section_text(section);
        if section.title().is_empty() {
            text += &instances_text();
        }
    }
    text
}

/// What a key is for, in a line for `--help`.
#[must_use]
pub fn help(name: &str) -> String {
    keys::find(name).map_or_else(String::new, |key| {
        let description = key.description();
        let first = description.split(". ").next().unwrap_or_default().trim_end_matches('.');
        let default = key.default_text();
        format!("{first} [default: {}]", default.trim_matches('"'))
    })
}

fn section_text(section: &Section) -> String {
    let title = match section.title() {
        "" => "Above all sections".to_owned(),
        title => format!("`[{title}]`"),
    };
    let mut text = format!("\n## {title}\n\n{}\n\n", paragraph(section.doc));
    text += "| key | default | values | meaning |\n| --- | --- | --- | --- |\n";
    for key in section.keys {
        text += &key_line(key);
    }
    text
}

fn key_line(key: &Key) -> String {
    let traits = &key.traits;
    let default = match traits.default {
        super::spec::Default::Nothing(instead) => instead.to_owned(),
        _ => format!("`{}`", key.default_text()),
    };
    let mut meaning = key.description();
    let alias = traits.alias.map(|alias| match alias.scale {
        1_000 => format!("`{}` in seconds", alias.variable),
        _ => format!("`{}`", alias.variable),
    });
    let others: Vec<String> = traits.flag.map(|flag| format!("`{flag}`")).into_iter().chain(alias).collect();
    if !others.is_empty() {
        _ = write!(meaning, " Also {}.", others.join(", "));
    }
    if traits.secret {
        meaning += " *Secret.*";
    }
    if traits.live {
        meaning += " *Live.*";
    }
    format!("| `{}` | {default} | {} | {meaning} |\n", key.short_name(), key.values_text())
}

fn instances_text() -> String {
    let legacy: Vec<String> =
        layers::LEGACY_INSTANCES.iter().map(|(name, variable)| format!("`{variable}` ({name})")).collect();
    format!(
        "\n## `[[instances]]`\n\n{}\n\nAlso `--instance NAME=URL`, repeated; `ISOCHROME_INSTANCES`, a list of NAME=URL \
         with commas; {}. A list from a higher source replaces the whole list.\n",
        paragraph(instances::DOC),
        legacy.join(", ")
    )
}
