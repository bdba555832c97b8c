//! HTTP/1 by hand: what is sent and what comes back, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// How long an answer may take before the test fails; nothing else is judged by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a port on loopback.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    pub version: String,
    pub status: u16,
    pub headers: HeaderMap,
}

impl Head {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a plain value"))
    }
}

impl Wire {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_nodelay(true).expect("no delay");
        Self { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the bytes are taken");
        self
    }

    /// Sends what the other side may no longer want.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// The next head, which may be an interim one.
    pub fn head(&mut self) -> Head {
        let line = self.line().expect("a status line");
        let mut words = line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().expect("a header");
            if line.is_empty() {
                return Head { version, status, headers };
            }
            let (name, value) = line.split_once(':').expect("a header");
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value.trim()).expect("a value"),
            );
        }
    }

    /// The next answer with a body of announced or chunked length.
    pub fn answer(&mut self) -> (Head, Vec<u8>) {
        let head = self.head();
        let body = self.body(&head).expect("a whole body");
        (head, body)
    }

    /// The body that belongs to a head; `None` where the connection breaks before its end.
    pub fn body(&mut self, head: &Head) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if head.header("transfer-encoding") != "chunked" {
            body.resize(head.header("content-length").parse().expect("a length"), 0);
            return self.stream.read_exact(&mut body).ok().map(|()| body);
        }
        loop {
            let length = usize::from_str_radix(self.line()?.trim(), 16).ok()?;
            let start = body.len();
            body.resize(start + length, 0);
            self.stream.read_exact(&mut body[start..]).ok()?;
            self.line()?;
            if length == 0 {
                return Some(body);
            }
        }
    }

    /// Reads so many bytes of a body, and throws them away; false where the connection breaks.
    pub fn skip(&mut self, bytes: u64) -> bool {
        let copied = std::io::copy(&mut (&mut self.stream).take(bytes), &mut std::io::sink());
        copied.is_ok_and(|copied| copied == bytes)
    }

    /// Waits for the end of the connection, and gives what came before it.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        _ = self.stream.read_to_end(&mut rest);
        rest
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).ok()?;
        (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// A request with a JSON body.
pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in [("content-type", "application/json")].iter().chain(headers) {
        request += &[name, ": ", value, "\r\n"].concat();
    }
    [request.as_bytes(), b"\r\n", body].concat()
}

/// A request without a body.
pub fn bare(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n");
    for (name, value) in headers {
        request += &[name, ": ", value, "\r\n"].concat();
    }
    (request + "\r\n").into_bytes()
}
