//! The files of the tree, and the part of each that is code of the product.

use std::path::Path;

/// A text file of the tree.
pub struct File {
    /// From the root of the tree, with `/`.
    pub path: String,
    text: String,
}

/// Which files are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rust source of product and tests.
    Rust,
    /// Whatever a person wrote.
    Text,
}

/// What tools make, what is not ours, and what only lists the work of others.
const SKIPPED: &[&str] =
    &[".git", ".venv", "target", "node_modules", "isochrome-data", "__pycache__", "Cargo.lock", "LICENSE"];

impl File {
    pub fn new(path: &str, text: String) -> Self {
        Self { path: path.to_owned(), text }
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// `PATH:LINE` for a line counted from 0.
    pub fn at(&self, number: usize) -> String {
        format!("{}:{}", self.path, number + 1)
    }

    /// The numbered lines of the product's code: no comments, and nothing that only tests have.
    pub fn code(&self) -> Vec<(usize, &str)> {
        let of_tests = |part: &str| part == "tests.rs" || part == "tests" || part.ends_with("_tests.rs");
        if self.path.split('/').any(of_tests) {
            return Vec::new();
        }
        let lines = self.lines().enumerate();
        let product = lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
        product.filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
    }
}

/// All files of a kind.
pub fn all(kind: Kind) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(root, root, kind, &mut files);
    assert!(files.len() > 10, "the tree was not found");
    files
}

fn collect(root: &Path, directory: &Path, kind: Kind, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, kind, files);
        } else if (kind == Kind::Text || path.extension().is_some_and(|extension| extension == "rs"))
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
}

/// Whether a line names this word or path, not as a part of a longer word.
pub fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}
