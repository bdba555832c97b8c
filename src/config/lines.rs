//! On which line of the file each key stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{FilePlace, Source};

/// The lines of one file, by key: `listen`, `write.wait_ms`, `instances[0]`.
pub(super) struct Lines {
    path: PathBuf,
    lines: BTreeMap<String, usize>,
}

impl Lines {
    /// Of a file with this text; of one that is not TOML no line is known.
    pub(super) fn of(path: &Path, text: &str) -> Self {
        let mut lines = BTreeMap::new();
        if let Ok(table) = DeTable::parse(text) {
            let line = |at: usize| text.get(..at).unwrap_or("").matches('\n').count() + 1;
            note(&mut lines, "", table.get_ref(), &line);
        }
        Self { path: path.to_path_buf(), lines }
    }

    /// The file with the line of a key.
    pub(super) fn source(&self, key: &str) -> Source {
        Source::File(FilePlace { path: self.path.clone(), line: self.lines.get(key).copied() })
    }
}

fn note(
    lines: &mut BTreeMap<String, usize>,
    prefix: &str,
    table: &DeTable<'_>,
    line: &impl Fn(usize) -> usize,
) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        lines.insert(key.clone(), line(name.span().start));
        match value.get_ref() {
            DeValue::Table(section) => note(lines, &format!("{key}."), section, line),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    lines.insert(format!("{key}[{index}]"), line(Spanned::span(item).start));
                }
            }
            _ => {}
        }
    }
}
