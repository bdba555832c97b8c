//! The list of instances: names, addresses, and that no server is in it twice.

use std::fmt;
use std::net::IpAddr;

use super::layers::RawInstance;
use super::problem::Source;
use super::reader::Reader;

/// What a list of instances is, for the reference.
pub(super) const DOC: &str = "\
The Chroma servers to use, the preferred one first: each with a `name` (letters, digits, `-` and `_`) and a `url`, \
`http://HOST:PORT`. Without any, two Chroma servers are started and supervised on this machine. The data directory \
belongs to its instances: keep their names and their order. One that is named behind them joins, at the next start or \
reload, and is filled from the others; its server must be empty.";

/// The most instances that one Isochrome serves. Every write goes to each of them.
pub const MAX_INSTANCES: usize = 16;

const MAX_NAME_CHARS: usize = 64;

/// One Chroma server to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceConfig {
    /// Unique without regard to case; letters, digits, `-` and `_`.
    pub name: String,
    /// Where it is.
    pub url: InstanceUrl,
    /// Who says so.
    pub source: Source,
}

/// The address of a Chroma server: plain HTTP, a host and a port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceUrl {
    host: String,
    port: u16,
}

impl InstanceUrl {
    /// Reads `http://HOST[:PORT]`. The error says what to write, and never repeats a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = redacted(text);
        let example = "write http://HOST:PORT, such as http://127.0.0.1:8001";
        if text.starts_with("https://") {
            return Err(format!("{shown}: Chroma servers are reached over plain HTTP; {example}"));
        }
        if !text.starts_with("http://") {
            return Err(format!("{shown} does not start with http://; {example}"));
        }
        let uri: http::Uri = text.parse().map_err(|_| format!("{shown} is not a URL; {example}"))?;
        let authority = uri.authority().ok_or_else(|| format!("{shown} names no host; {example}"))?;
        if authority.as_str().contains('@') {
            return Err(format!(
                "{shown} holds a user name or password, which Chroma does not use; {example}"
            ));
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(format!("{shown} goes on after the port; {example}, without a path"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(80),
            Some(_) => authority.port_u16().filter(|port| *port != 0),
            None => None,
        };
        let port = port.ok_or_else(|| format!("{shown} has no valid port; {example}"))?;
        if authority.host().is_empty() {
            return Err(format!("{shown} names no host; {example}"));
        }
        Ok(Self { host: authority.host().to_lowercase(), port })
    }

    /// A server on this machine.
    pub fn loopback(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port }
    }

    /// The host as a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, for a connection and for the `Host` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The same for any two spellings of one address of this machine.
    pub(super) fn canonical(&self) -> String {
        canonical_address(&self.host, self.port)
    }
}

impl fmt::Display for InstanceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// `HOST:PORT` with one spelling for every way to write "this machine".
pub(super) fn canonical_address(host: &str, port: u16) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let this_machine = match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => {
            let ip = ip.to_canonical();
            ip == IpAddr::from([127, 0, 0, 1]) || ip.is_loopback() || ip.is_unspecified()
        }
        Ok(ip) => ip == IpAddr::from([127, 0, 0, 1]) || ip.is_unspecified(),
        Err(_) => bare == "localhost",
    };
    if this_machine { format!("localhost:{port}") } else { format!("{bare}:{port}") }
}

/// The list, with every problem in it noted.
pub(super) fn read(reader: &mut Reader) -> Vec<InstanceConfig> {
    let raw = reader.take_instances();
    if raw.len() > MAX_INSTANCES {
        let message = format!("{} instances; at most {MAX_INSTANCES} are served, remove some", raw.len());
        let source = raw.first().map_or(Source::Default, |instance| instance.source.clone());
        reader.refuse("instances", source, message);
    }
    let mut list: Vec<InstanceConfig> = Vec::with_capacity(raw.len());
    for instance in raw {
        let RawInstance { key, name, url, source } = instance;
        if let Err(message) = check_name(&name, &list) {
            reader.refuse(&format!("{key}.name"), source.clone(), message);
        }
        match InstanceUrl::parse(&url) {
            Ok(url) => {
                if let Some(other) = list.iter().find(|other| other.url.canonical() == url.canonical()) {
                    let message = format!(
                        "{url} is the same server as instance {} ({}); each instance needs a server of its own",
                        other.name, other.url
                    );
                    reader.refuse(&format!("{key}.url"), source.clone(), message);
                }
                list.push(InstanceConfig { name, url, source });
            }
            Err(message) => reader.refuse(&format!("{key}.url"), source, message),
        }
    }
    list
}

fn check_name(name: &str, earlier: &[InstanceConfig]) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(allowed) {
        return Err(format!(
            "\"{name}\" is no name for an instance; write 1 to {MAX_NAME_CHARS} letters, digits, - or _"
        ));
    }
    match earlier.iter().find(|other| other.name.eq_ignore_ascii_case(name)) {
        Some(_) => Err(format!("the name {name} is given twice; give each instance its own")),
        None => Ok(()),
    }
}

/// The text in quotes, without what stands before an `@`.
fn redacted(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    match text.rfind('@') {
        Some(at) if at >= start => format!("\"{}***{}\"", &text[..start], &text[at..]),
        _ => format!("\"{text}\""),
    }
}
