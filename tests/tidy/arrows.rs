//! Which module may name which.

use std::collections::BTreeSet;

use crate::source::File;

/// From the bottom up: a module names those of lower ranks, and of its own rank in one direction.
const RANKS: &[&[&str]] = &[
    &["config", "chroma", "resources", "metrics"],
    &["catalog", "wal", "instances"],
    &["replication"],
    &["delivery", "repair"],
    &["gateway", "admin", "dashboard"],
    &["cli"],
];

/// Plain data that gives the others their words.
const VOCABULARY: &[&str] = &["wal::record", "catalog::change", "chroma::ids"];

/// Arrows that point the wrong way, and modules without a rank.
pub fn violations(files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut sideways = BTreeSet::new();
    for file in files {
        let Some(from) = module(&file.path) else { continue };
        let Some(own_rank) = rank(from) else {
            wrong.push(format!("{}: the module {from} has no rank", file.path));
            continue;
        };
        for (to, line) in named(file) {
            match rank(&to) {
                Some(rank) if rank < own_rank => {}
                Some(rank) if rank == own_rank => {
                    if from != to && sideways.contains(&(to.clone(), from.to_owned())) {
                        wrong.push(format!("{}: {from} and {to} name each other", file.at(line)));
                    }
                    sideways.insert((from.to_owned(), to));
                }
                _ => wrong.push(format!("{}: {from} may not name {to}", file.at(line))),
            }
        }
    }
    wrong
}

/// The top-level module that a file of the library belongs to.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next()?.trim_end_matches(".rs");
    (!["main", "lib"].contains(&name)).then_some(name)
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// The modules that a file's code names, with the lines, except for the vocabulary.
fn named(file: &File) -> Vec<(String, usize)> {
    let mut named = Vec::new();
    for (number, line) in file.code() {
        for (at, start) in line.match_indices("crate::") {
            let path = &line[at + start.len()..];
            let plain =
                path.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap_or("");
            if !VOCABULARY.iter().any(|word| plain == *word || plain.starts_with(&format!("{word}::"))) {
                let first = plain.split("::").next().unwrap_or("");
                named.push((first.to_owned(), number));
            }
        }
    }
    named
}

#[test]
fn arrows_are_seen() {
    let file = |path: &str, text: &str| File::new(path, text.to_owned());
    let good = [
        file("src/replication/core.rs", "use crate::wal::record::Lsn;\nuse crate::chroma::routes::Route;\n"),
        file(
            "src/chroma/body.rs",
            "use crate::wal::record::RecordKind;\n#[cfg(test)]\nuse crate::gateway::x;\n",
        ),
        file("src/wal/mod.rs", "use crate::catalog::Catalog;\n"),
        file("src/main.rs", "use crate::gateway::x;\n"),
    ];
    assert_eq!(violations(&good), [""; 0]);

    let bad = [
        file("src/chroma/body.rs", "use crate::wal::store::Store;\n"),
        file("src/wal/mod.rs", "use crate::catalog::Catalog;\n"),
        file("src/catalog/mod.rs", "\nuse crate::wal::Wal;\n"),
        file("src/replication/core.rs", "use crate::{wal, gateway};\n"),
        file("src/misc.rs", ""),
    ];
    assert_eq!(
        violations(&bad),
        [
            "src/chroma/body.rs:1: chroma may not name wal",
            "src/catalog/mod.rs:2: catalog and wal name each other",
            // A list is not looked into: one module a line.
            "src/replication/core.rs:1: replication may not name ",
            "src/misc.rs: the module misc has no rank",
        ]
    );
}
