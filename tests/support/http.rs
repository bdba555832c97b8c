//! A small HTTP client: answers are read whole, nothing is retried.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::UnixStream;

/// One whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; panics with the body when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// True for 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Itself when 2xx; panics with the answer otherwise.
    pub fn success(self) -> Self {
        assert!(self.is_success(), "expected a success, got {self}");
        self
    }

    /// Itself when it has this status; panics with the answer otherwise.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.text().chars().take(600).collect::<String>())
    }
}

/// A client with its own connections. Belongs to the runtime in which it is used.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

impl Http {
    /// A client that gives up after `timeout`.
    pub fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.retry_canceled_requests(false).set_host(true);
        Self { client: builder.build(connector), timeout }
    }

    /// Sends a request; `Err` tells why there is no whole answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        let exchange = async {
            let answer =
                self.client.request(request.map(Full::new)).await.map_err(|error| describe(&error))?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| describe(&error))?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)))
    }

    /// Sends a request with an optional JSON body; panics when there is no answer.
    pub async fn call(&self, method: Method, url: &str, body: Option<&Value>) -> Answer {
        let request = request(method.clone(), url, body);
        self.send(request).await.unwrap_or_else(|error| panic!("{method} {url}: {error}"))
    }

    pub async fn get(&self, url: &str) -> Answer {
        self.call(Method::GET, url, None).await
    }

    pub async fn post(&self, url: &str, body: &Value) -> Answer {
        self.call(Method::POST, url, Some(body)).await
    }

    pub async fn put(&self, url: &str, body: &Value) -> Answer {
        self.call(Method::PUT, url, Some(body)).await
    }

    pub async fn delete(&self, url: &str) -> Answer {
        self.call(Method::DELETE, url, None).await
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new(Duration::from_secs(60))
    }
}

/// Sends a request over a Unix socket, on a connection of its own.
pub async fn over_socket(socket: &Path, request: Request<Bytes>) -> Result<Answer, String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| describe(&error))?;
    let opened = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(|error| describe(&error))?;
    tokio::spawn(connection);
    let answer = sender.send_request(request.map(Full::new)).await.map_err(|error| describe(&error))?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|error| describe(&error))?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// A request with an optional JSON body.
pub fn request(method: Method, url: &str, body: Option<&Value>) -> Request<Bytes> {
    let builder = Request::builder().method(method).uri(url);
    match body {
        Some(body) => builder
            .header("content-type", "application/json")
            .body(Bytes::from(serde_json::to_vec(body).expect("JSON"))),
        None => builder.body(Bytes::new()),
    }
    .unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Blocking `GET http://127.0.0.1:PORT/PATH`: status and body, or `None` when there is no answer
/// within a second. For waiting until a server is there.
pub fn probe(port: u16, path: &str) -> Option<(u16, String)> {
    let second = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), second).ok()?;
    stream.set_read_timeout(Some(second)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
