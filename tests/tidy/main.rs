//! Keeps the tree as it is meant to be: small files and functions, pure parts pure, arrows between
//! the modules one way, nothing left to do, nothing of one machine.
#![allow(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is the verdict")]

mod arrows;
mod source;

use source::{File, Kind};

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;

/// The parts that must give the same for the same input: the simulator lives from it.
const PURE: &[&str] = &["src/chroma/", "src/catalog/", "src/replication/", "src/wal/record"];

/// What has a clock, randomness, a thread, or the world outside in it.
const IMPURE: &[&str] = &[
    "tokio",
    "axum",
    "hyper",
    "hyper_util",
    "reqwest",
    "rusqlite",
    "rustix",
    "crossbeam_channel",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant",
    "SystemTime",
    "std::net",
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "rand",
    "fastrand",
    "RandomState",
    "new_v4",
];

/// Who looks at the wall clock, which may step: what people see, and what must be known after a restart. All delays go by
/// the steady one.
const WALL_CLOCK: &[&str] = &[
    "src/admin/",
    "src/cli/reload.rs",
    "src/delivery/rebuild/mod.rs",
    "src/gateway/state.rs",
    "src/gateway/write/submission.rs",
    "src/instances/fence.rs",
    "src/repair/jobs/runner.rs",
    "src/repair/verify/schedule.rs",
    "src/resources/usage.rs",
    "src/wal/shared.rs",
];

/// Spelled in pieces, so that this file does not find itself.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Hosts of package registries, and paths that exist on one machine only.
const FOREIGN: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("debian", ".org"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/", "venv"),
];

fn fail_on(what: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{what}:\n{}", violations.join("\n"));
}

#[test]
fn files_are_small() {
    let long = |file: &File| (file.lines().count() > MAX_FILE_LINES).then(|| file.at(MAX_FILE_LINES));
    let long: Vec<String> = source::all(Kind::Rust).iter().filter_map(long).collect();
    fail_on(&format!("files of more than {MAX_FILE_LINES} lines"), &long);
}

#[test]
fn functions_fit_a_screen() {
    let long: Vec<String> = source::all(Kind::Rust).iter().flat_map(long_functions).collect();
    fail_on(&format!("functions of more than {MAX_FUNCTION_LINES} lines"), &long);
}

#[test]
fn the_pure_parts_know_no_clock_no_chance_and_no_world() {
    let pure = |file: &&File| PURE.iter().any(|place| file.path.starts_with(place));
    let files = source::all(Kind::Rust);
    let found: Vec<String> = files.iter().filter(pure).flat_map(|file| words_of(file, IMPURE)).collect();
    fail_on("in a pure part", &found);
}

#[test]
fn nothing_waits_by_a_clock_that_steps() {
    let files = source::all(Kind::Rust);
    let others = files.iter().filter(|file| {
        file.path.starts_with("src/") && !WALL_CLOCK.iter().any(|place| file.path.starts_with(place))
    });
    let found: Vec<String> = others.flat_map(|file| words_of(file, &["SystemTime"])).collect();
    fail_on("the wall clock", &found);
}

#[test]
fn arrows_between_modules_point_one_way() {
    fail_on("arrows", &arrows::violations(&source::all(Kind::Rust)));
}

#[test]
fn nothing_is_left_to_do() {
    fail_on("left to do", &mentions(&source::all(Kind::Text), UNFINISHED));
}

#[test]
fn nothing_belongs_to_one_machine_or_registry() {
    fail_on("foreign names", &mentions(&source::all(Kind::Text), FOREIGN));
}

/// Functions that are too long. Relies on rustfmt: a function ends at the first closing brace with
/// the indentation of its first line.
fn long_functions(file: &File) -> Vec<String> {
    let mut long = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in file.lines().enumerate() {
        let indentation: String = line.chars().take_while(|c| *c == ' ').collect();
        if open.is_none() && starts_function(line.trim_start()) && !line.ends_with(['}', ';']) {
            open = Some((number, indentation));
        } else if let Some((start, indent)) = &open
            && line.trim_end() == format!("{indent}}}")
        {
            if number - start + 1 > MAX_FUNCTION_LINES {
                long.push(format!("{}: {} lines", file.at(*start), number - start + 1));
            }
            open = None;
        } else if let Some((_, indent)) = &open
            && line.starts_with(&format!("{indent})"))
            && line.ends_with(';')
        {
            open = None;
        }
    }
    long
}

fn starts_function(line: &str) -> bool {
    let words = line.split_whitespace();
    let mut words = words.skip_while(|word| {
        word.starts_with("pub") || ["async", "const", "super)", "in", "unsafe"].contains(word)
    });
    words.next() == Some("fn")
}

fn words_of(file: &File, words: &[&str]) -> Vec<String> {
    let code = file.code();
    let found = code.iter().filter_map(|(number, line)| {
        let word = words.iter().find(|word| source::has_word(line, word))?;
        Some(format!("{}: {word}", file.at(*number)))
    });
    found.collect()
}

fn mentions(files: &[File], words: &[&str]) -> Vec<String> {
    let found = files.iter().flat_map(|file| {
        file.lines().enumerate().filter_map(move |(number, line)| {
            let word = words.iter().find(|word| line.contains(**word))?;
            Some(format!("{}: {word}", file.at(number)))
        })
    });
    found.collect()
}

#[test]
fn these_checks_see_what_they_look_for() {
    let body = "    call();\n".repeat(MAX_FUNCTION_LINES);
    let long =
        File::new("src/a.rs", format!("impl A {{\n    pub(super) async fn a() {{\n{body}    }}\n}}\n"));
    assert_eq!(long_functions(&long), ["src/a.rs:2: 72 lines"]);
    let short = File::new("src/a.rs", format!("fn a() {{\n{}}}\n", "    call();\n".repeat(68)));
    assert_eq!(long_functions(&short), [""; 0]);

    let impure = "use std::time::Duration;\n// tokio\nlet operand = tokio::spawn(x);\n#[cfg(test)]\nmod tests {\n    rand();\n}\n";
    let impure = File::new("src/chroma/a.rs", impure.to_owned());
    assert_eq!(words_of(&impure, IMPURE), ["src/chroma/a.rs:3: tokio"]);

    let text = File::new("README.md", format!("well\n{}: more\n", UNFINISHED[0]));
    assert_eq!(mentions(&[text], UNFINISHED), [format!("README.md:2: {}", UNFINISHED[0])]);
}
