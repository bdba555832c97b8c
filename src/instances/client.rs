//! One instance: its name, its address, and pooled HTTP/1.1 connections to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;

use super::turn::Turns;
use super::wires::{Held, Wires};
use crate::chroma::ids::InstanceId;
use crate::metrics::Attempts;

/// How long a connection attempt may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Idle connections are closed by us before a server or a middlebox forgets them.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that vanished without a word is noticed after about this time plus three probes.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(15);
/// Pause between keep-alive probes.
pub(super) const KEEPALIVE_PAUSE: Duration = Duration::from_secs(5);
/// Idle connections kept to one instance.
pub(super) const IDLE_CONNECTIONS: usize = 64;

/// For how long requests that carry writes may be sent after the instance showed that no other epoch followed ours.
pub(super) const LEASE: Duration = Duration::from_secs(8);

/// A request that got no complete answer.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct SendError {
    /// True where not a byte of the request can have reached the server.
    pub not_sent: bool,
    /// What happened, for people.
    pub detail: String,
}

impl SendError {
    fn new(not_sent: bool, error: &dyn std::error::Error) -> Self {
        Self { not_sent, detail: in_words(error) }
    }
}

/// An error with its causes.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Bytes,
}

impl Reply {
    /// True for 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One Chroma server.
#[derive(Debug)]
pub struct Instance {
    pub id: InstanceId,
    pub name: String,
    /// `host:port`, as `Host` header and for people.
    pub authority: String,
    host: Option<HeaderValue>,
    /// The name as it goes into headers, where it can.
    pub label: Option<HeaderValue>,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Connections for reads alone.
    wires: Wires,
    /// Whether the core sends requests here; reads under way are given up when it turns false.
    available: watch::Sender<bool>,
    /// When the last look at its epochs began that found nobody else's.
    looked: Mutex<Option<Instant>>,
    /// What it has to do for readers.
    pub turns: Arc<Turns>,
    /// Deliveries of writes.
    pub deliveries: Attempts,
}

impl Instance {
    /// An instance that counts as unavailable until [`Instance::set_available`] says otherwise.
    #[must_use]
    pub fn new(id: InstanceId, name: String, authority: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE_PAUSE));
        connector.set_keepalive_retries(Some(3));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Self {
            id,
            host: HeaderValue::from_str(&authority).ok(),
            label: HeaderValue::from_str(&name).ok(),
            name,
            authority,
            client,
            wires: Wires::default(),
            available: watch::Sender::new(false),
            looked: Mutex::default(),
            turns: Arc::default(),
            deliveries: Attempts::default(),
        }
    }

    /// Sends a request with the method, path and query, headers and body as they are; only the address is ours.
    ///
    /// # Errors
    /// [`SendError`] where no head of an answer came back.
    pub async fn forward(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, SendError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri =
            Uri::builder().scheme("http").authority(self.authority.as_str()).path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|error| SendError::new(true, &error))?;
        self.client.request(request).await.map_err(|error| SendError::new(error.is_connect(), &error))
    }

    /// Sends a read, whose target is a path and query, and holds the answer up to so many bytes. A read may be sent twice.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn read(
        &self,
        request: impl Fn() -> Request<Full<Bytes>>,
        most_bytes: usize,
    ) -> Result<Held, String> {
        let to_here = || {
            let mut request = request();
            if let Some(host) = &self.host {
                request.headers_mut().insert(header::HOST, host.clone());
            }
            request
        };
        self.wires.read(&self.authority, to_here, most_bytes).await
    }

    /// Sends a JSON request and reads the whole answer.
    ///
    /// # Errors
    /// [`SendError`] where no complete answer came back.
    pub async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Reply, SendError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| SendError::new(true, &error))?;
        let response = self.forward(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| SendError::new(false, &error))?;
        Ok(Reply { status, body: body.to_bytes() })
    }

    /// A look at its epochs that began then found nobody else's; `None`: it did.
    pub(super) fn lease(&self, began: Option<Instant>) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    /// Whether such a look is recent.
    pub(super) fn is_leased(&self) -> bool {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_some_and(|began| began.elapsed() < LEASE)
    }

    /// Whether requests are sent here; a receiver notices when that changes.
    #[must_use]
    pub fn availability(&self) -> watch::Receiver<bool> {
        self.available.subscribe()
    }

    /// Tells everyone who waits for an answer of this instance whether that makes sense.
    pub fn set_available(&self, available: bool) {
        let before = self.available.send_replace(available);
        if !available {
            self.wires.clear();
        }
        if available && !before {
            self.turns.returned();
        }
    }
}
