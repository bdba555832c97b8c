//! Connections of clients: HTTP/1 and HTTP/2 with prior knowledge on one port, within bounds (invariant I11).

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::Front;
use super::workers::Workers;
use crate::config::HttpConfig;
use crate::resources;

/// Files that the log, the instances' connections and the rest of the process may need.
const OTHER_FILES: u64 = 512;
/// Pause after a connection could not be accepted, mostly because no file is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Head of a request over HTTP/1, and what is read ahead of a body. hyper's own limit is 400 KiB.
const HTTP1_BUFFER_BYTES: usize = 128 << 10;
/// Head of a request over HTTP/2.
const HTTP2_HEAD_BYTES: u32 = 64 << 10;
/// Requests under way on one connection. Clients may begin with 100 before they know the limit.
const HTTP2_STREAMS: u32 = 128;
/// What a client may send of a body before we have read it: of one, and of all on a connection.
const HTTP2_WINDOWS_BYTES: (u32, u32) = (256 << 10, 512 << 10);
/// What is held of an answer that a client does not read.
const HTTP2_SEND_BYTES: usize = 128 << 10;
/// Pings over HTTP/2: how often, and how long the answer may take.
const HTTP2_PINGS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// Serves clients until `stop` turns true; then no new ones come, and it returns when no request is under way. Dropping
/// it cuts all connections. They are served by the workers.
pub async fn serve(
    listener: TcpListener,
    front: Front,
    config: HttpConfig,
    workers: Arc<Workers>,
    mut stop: watch::Receiver<bool>,
) {
    let server = Arc::new(Server::new(front, config.idle));
    let free = Arc::new(Semaphore::new(connections(config.max_connections)));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &free) => accepted,
            Some(_) = open.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, place)) => {
                workers.spawn(&mut open, Arc::clone(&server).serve(stream, place, stop.clone()));
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::error!(%error, "can't accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// As many as configured, where the process may open so many files.
fn connections(configured: u64) -> usize {
    let files = resources::raise_open_files();
    let possible = files.saturating_sub(OTHER_FILES).max(files / 2).max(1);
    if configured > possible {
        tracing::warn!(
            configured,
            possible,
            "fewer connections at once: the process may not open more files"
        );
    }
    usize::try_from(configured.min(possible)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(net::TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(free).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    // It belongs to another runtime from now on.
    Ok((stream.into_std()?, place))
}

/// The connection was gone before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::InvalidInput
    )
}

struct Server {
    front: Front,
    builder: Builder<TokioExecutor>,
    idle: Duration,
}

impl Server {
    fn new(front: Front, idle: Duration) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Counts from the end of the request before.
            .header_read_timeout(idle)
            .max_buf_size(HTTP1_BUFFER_BYTES);
        // Resets of streams that were not accepted yet, or that are our own, are bounded by h2's defaults.
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(HTTP2_HEAD_BYTES)
            .initial_stream_window_size(HTTP2_WINDOWS_BYTES.0)
            .initial_connection_window_size(HTTP2_WINDOWS_BYTES.1)
            .max_send_buf_size(HTTP2_SEND_BYTES)
            .keep_alive_interval(HTTP2_PINGS.0)
            .keep_alive_timeout(HTTP2_PINGS.1);
        Self { front, builder, idle }
    }

    /// Serves one connection to its end.
    async fn serve(
        self: Arc<Self>,
        stream: net::TcpStream,
        _place: OwnedSemaphorePermit,
        mut stop: watch::Receiver<bool>,
    ) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!(%error, "can't serve a connection");
                return;
            }
        };
        let begun = AtomicU64::new(0);
        // Counted by this connection's requests alone: no other thread has to fetch the count.
        let front = Arc::new(self.front.clone());
        let service = service_fn(|request: Request<Incoming>| {
            begun.fetch_add(1, Ordering::Relaxed);
            let front = Arc::clone(&front);
            // Boxed, for hyper moves it about.
            Box::pin(async move { Ok::<_, Infallible>(front.answer(request.map(Body::new)).await) })
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let mut idle = interval(self.idle);
        let mut seen = u64::MAX;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection ended");
                    }
                    return;
                }
                _ = stop.wait_for(|stop| *stop) => break,
                // HTTP/2, and a connection that has not said which one it speaks, have no limit of their own.
                _ = idle.tick() => {
                    let now = begun.load(Ordering::Relaxed);
                    if now == seen {
                        break;
                    }
                    seen = now;
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        if let Err(error) = connection.await {
            tracing::debug!(error, "a connection ended");
        }
    }
}
