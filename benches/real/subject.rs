//! What is measured: an address, and the servers behind it.

use std::env;

use crate::support::chroma::Chroma;
use crate::support::isochrome::{Isochrome, Setup};

/// One thing that answers Chroma's API.
pub struct Subject {
    pub name: &'static str,
    pub url: String,
    /// The Chroma servers that hold its data, the preferred one first.
    pub servers: Vec<Chroma>,
    /// What stands in front of them, for as long as the subject lives.
    _front: Option<Isochrome>,
}

/// How to start a subject.
#[derive(Clone, Copy)]
pub struct Starter {
    name: &'static str,
    /// How many Chroma servers it has.
    pub servers: usize,
    pub start: fn() -> Subject,
}

const KNOWN: [Starter; 2] = [
    Starter { name: "direct", servers: 1, start: Subject::direct },
    Starter { name: "isochrome", servers: 2, start: Subject::isochrome },
];

impl Subject {
    fn direct() -> Self {
        let server = Chroma::start();
        Self { name: "one Chroma directly", url: server.url(), servers: vec![server], _front: None }
    }

    fn isochrome() -> Self {
        let servers = Chroma::start_many(2);
        let front = Setup::over(&servers).start();
        Self { name: "Isochrome over two", url: front.url(), servers, _front: Some(front) }
    }
}

/// The subjects of a table, or those that the environment asks for instead.
pub fn starters(default: &[&str]) -> Vec<Starter> {
    let asked = env::var("ISOCHROME_BENCH_SUBJECTS").unwrap_or_else(|_| default.join(","));
    let asked: Vec<&str> = asked.split(',').map(str::trim).collect();
    KNOWN.into_iter().filter(|starter| asked.contains(&starter.name)).collect()
}
