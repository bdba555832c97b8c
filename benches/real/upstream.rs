//! A trivially fast upstream: it answers every query at once with the same 4 KiB, and passes all else on to a real
//! Chroma, so that Isochrome finds there what it looks for.

use http::{Method, Request};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::chroma::Chroma;
use crate::support::http::Http;

/// Bytes of the body of the answer to a query.
const ANSWER_BYTES: usize = 4096;

/// The upstream; it serves until the process ends.
pub struct Upstream {
    pub port: u16,
    /// The Chroma behind it.
    _server: Chroma,
}

impl Upstream {
    /// Starts it on a thread of its own.
    pub fn start() -> Self {
        let server = Chroma::start();
        let behind = server.url();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("a socket for tokio");
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(serve(listener, behind));
        });
        Self { port, _server: server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn serve(listener: std::net::TcpListener, behind: String) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let fast = fast_answer();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        tokio::spawn(converse(stream, fast.clone(), behind.clone(), Http::default()));
    }
}

fn fast_answer() -> Vec<u8> {
    let mut body = br#"{"ids":[["r0"]],"documents":[[""#.to_vec();
    let end = br#""]]}"#;
    body.resize(ANSWER_BYTES - end.len(), b'x');
    body.extend_from_slice(end);
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {ANSWER_BYTES}\r\n\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

/// One connection, until its other side ends it.
async fn converse(mut stream: TcpStream, fast: Vec<u8>, behind: String, http: Http) {
    let mut have = Vec::with_capacity(64 << 10);
    loop {
        let Some(head) = memmem::find(&have, b"\r\n\r\n").map(|end| end + 4) else {
            if stream.read_buf(&mut have).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let (line, length) = head_of(&have[..head]);
        while have.len() < head + length {
            if stream.read_buf(&mut have).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let sent = if line.0 == Method::POST && line.1.ends_with("/query") {
            stream.write_all(&fast).await
        } else {
            let answer = pass_on(&http, &behind, line, &have[head..head + length]).await;
            stream.write_all(&answer).await
        };
        have.drain(..head + length);
        if sent.is_err() {
            return;
        }
    }
}

/// Method and path, and the length of the body.
fn head_of(head: &[u8]) -> ((Method, String), usize) {
    let text = std::str::from_utf8(head).expect("a head in ASCII");
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().parse().expect("a method");
    let path = words.next().unwrap_or_default().to_owned();
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
    });
    ((method, path), length.unwrap_or(0))
}

async fn pass_on(http: &Http, behind: &str, (method, path): (Method, String), body: &[u8]) -> Vec<u8> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{behind}{path}"))
        .header("content-type", "application/json")
        .body(bytes::Bytes::copy_from_slice(body))
        .expect("a request");
    let answer = http.send(request).await.expect("an answer of Chroma");
    let head = format!(
        "HTTP/1.1 {} Passed\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        answer.status,
        answer.body.len()
    );
    [head.as_bytes(), &answer.body].concat()
}
