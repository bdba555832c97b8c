//! What is measured: an address, and the servers behind it.

use std::env;

use crate::peak;
use crate::proxy::{Kind, Proxy};
use crate::support::chroma::Chroma;
use crate::support::isochrome::{Isochrome, Setup};

/// One thing that answers Chroma's API.
pub struct Subject {
    pub name: &'static str,
    pub url: String,
    /// The Chroma servers that hold its data, the preferred one first.
    pub servers: Vec<Chroma>,
    /// What stands in front of them, for as long as the subject lives.
    front: Front,
}

enum Front {
    Nothing,
    Isochrome { process: Isochrome },
    Proxy { _process: Proxy },
}

/// How to start a subject.
#[derive(Clone, Copy)]
pub struct Starter {
    name: &'static str,
    /// How many Chroma servers it has.
    pub servers: usize,
    pub start: fn() -> Subject,
    /// What must be installed for it.
    needs: Option<Kind>,
}

const KNOWN: [Starter; 5] = [
    Starter { name: "direct", servers: 1, start: Subject::direct, needs: None },
    Starter { name: "isochrome", servers: 2, start: Subject::isochrome, needs: None },
    Starter { name: "isochrome-one", servers: 1, start: Subject::isochrome_one, needs: None },
    Starter { name: "haproxy", servers: 1, start: Subject::haproxy, needs: Some(Kind::HaProxy) },
    Starter { name: "nginx", servers: 1, start: Subject::nginx, needs: Some(Kind::Nginx) },
];

impl Subject {
    /// The most memory in MiB that Isochrome has had since [`Self::forget_peak_memory`], where it is the front.
    pub fn peak_memory_mib(&self) -> Option<u64> {
        match &self.front {
            Front::Isochrome { process } => Some(peak::mib(process.id())),
            Front::Nothing | Front::Proxy { .. } => None,
        }
    }

    /// From now on its peak counts.
    pub fn forget_peak_memory(&self) {
        if let Front::Isochrome { process } = &self.front {
            peak::forget(process.id());
        }
    }

    /// One server.
    pub fn direct() -> Self {
        let server = Chroma::start();
        Self { name: "one Chroma directly", url: server.url(), servers: vec![server], front: Front::Nothing }
    }

    /// Isochrome over two servers.
    pub fn isochrome() -> Self {
        Self::isochrome_over("Isochrome over two", 2)
    }

    fn isochrome_one() -> Self {
        Self::isochrome_over("Isochrome over one", 1)
    }

    fn isochrome_over(name: &'static str, count: usize) -> Self {
        let servers = Chroma::start_many(count);
        let front = Setup::over(&servers).start();
        Self { name, url: front.url(), servers, front: Front::Isochrome { process: front } }
    }

    fn haproxy() -> Self {
        Self::proxied("HAProxy before one", Kind::HaProxy)
    }

    fn nginx() -> Self {
        Self::proxied("nginx before one", Kind::Nginx)
    }

    fn proxied(name: &'static str, kind: Kind) -> Self {
        let server = Chroma::start();
        let proxy = kind.before(server.port()).expect("only installed proxies are started");
        Self { name, url: proxy.url(), servers: vec![server], front: Front::Proxy { _process: proxy } }
    }
}

/// The subjects of a table, or those that the environment asks for instead. One that is not installed is named and
/// left out.
pub fn starters(default: &[&str]) -> Vec<Starter> {
    let asked = env::var("ISOCHROME_BENCH_SUBJECTS").unwrap_or_else(|_| default.join(","));
    let asked: Vec<&str> = asked.split(',').map(str::trim).collect();
    let asked = KNOWN.into_iter().filter(|starter| asked.contains(&starter.name));
    asked.filter(|starter| starter.needs.is_none_or(is_installed)).collect()
}

/// Whether the proxy can be measured here; says so where it cannot.
pub fn is_installed(kind: Kind) -> bool {
    let found = kind.executable().is_some();
    if !found {
        let command = kind.command();
        println!("  {command} is not installed and is left out: sudo apt-get install {command}");
    }
    found
}
