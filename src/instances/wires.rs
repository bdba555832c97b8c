//! Connections for reads. A read drives its connection itself, in its own task: nobody has to be woken between the two.
//! And it takes one that its own runtime watches, for the same reason.
//!
//! A connection that waits in the pool is driven by nobody. So it is looked at when it is taken: one that the server
//! closed meanwhile is thrown away. One can also be closed at the moment when it is used; a read that got not a byte of
//! an answer over a used connection is sent again, once, over a new one, for a read may be executed twice.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};

use super::client::{CONNECT_TIMEOUT, IDLE_CONNECTIONS, IDLE_TIMEOUT, KEEPALIVE, KEEPALIVE_PAUSE, in_words};

/// Probes without an answer after which a peer counts as gone.
const KEEPALIVE_PROBES: u32 = 3;

/// An answer, or the beginning of one.
#[derive(Debug)]
pub struct Held {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    /// Where there is more than was to be held.
    pub rest: Option<Incoming>,
}

/// The idle connections to one server.
#[derive(Debug, Default)]
pub(super) struct Wires {
    idle: Mutex<Vec<Wire>>,
}

/// A connection with a request under way, or none.
#[derive(Debug)]
struct Wire {
    sender: SendRequest<Full<Bytes>>,
    connection: Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    /// The runtime that watches its socket.
    home: runtime::Id,
    idle_since: Instant,
}

/// How an exchange failed.
enum Failure {
    /// Not a byte of an answer came.
    Unanswered(String),
    Broken(String),
}

impl Wires {
    /// Sends a request, with its path alone as target and its `Host`, and holds the answer up to so many bytes. The
    /// request is made anew where it is sent again.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub(super) async fn read(
        &self,
        authority: &str,
        request: impl Fn() -> Request<Full<Bytes>>,
        most_bytes: usize,
    ) -> Result<Held, String> {
        if let Some(wire) = self.take().await {
            match self.exchange(wire, request(), most_bytes).await {
                Ok(held) => return Ok(held),
                Err(Failure::Broken(why)) => return Err(why),
                // Whatever ended this one has most likely ended the others.
                Err(Failure::Unanswered(_)) => self.clear(),
            }
        }
        let wire = open(authority).await?;
        self.exchange(wire, request(), most_bytes).await.map_err(|failure| match failure {
            Failure::Unanswered(why) | Failure::Broken(why) => why,
        })
    }

    /// Closes what is idle.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Wire>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of this runtime that was used last, if it can still be used.
    async fn take(&self) -> Option<Wire> {
        loop {
            let mut wire = self.pop()?;
            if wire.idle_since.elapsed() < IDLE_TIMEOUT && wire.is_ready().await {
                return Some(wire);
            }
        }
    }

    fn pop(&self) -> Option<Wire> {
        let here = Handle::current().id();
        let mut idle = self.idle();
        let last = idle.iter().rposition(|wire| wire.home == here)?;
        Some(idle.remove(last))
    }

    fn put_back(&self, mut wire: Wire) {
        wire.idle_since = Instant::now();
        let mut idle = self.idle();
        // The least used ones stand in front.
        if idle.first().is_some_and(|oldest| oldest.idle_since.elapsed() >= IDLE_TIMEOUT) {
            idle.remove(0);
        }
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(wire);
        }
    }

    async fn exchange(
        &self,
        mut wire: Wire,
        request: Request<Full<Bytes>>,
        most_bytes: usize,
    ) -> Result<Held, Failure> {
        let response = wire.sender.send_request(request);
        let answer = async {
            let response = response.await.map_err(|error| Failure::Unanswered(in_words(&error)))?;
            hold(response, most_bytes).await.map_err(Failure::Broken)
        };
        let (held, connection) = drive(answer, wire.connection).await;
        let held = held?;
        match connection {
            // From now on the answer is read at the client's pace, in another place.
            Some(connection) if held.rest.is_some() => _ = tokio::spawn(connection),
            Some(connection) => self.put_back(Wire { connection, ..wire }),
            None => {}
        }
        Ok(held)
    }
}

impl Wire {
    /// Takes notice of what happened to it while it was idle. False where it can't be used any more.
    async fn is_ready(&mut self) -> bool {
        std::future::poll_fn(|context| {
            if Pin::new(&mut self.connection).poll(context).is_ready() {
                return Poll::Ready(false);
            }
            Poll::Ready(matches!(self.sender.poll_ready(context), Poll::Ready(Ok(()))))
        })
        .await
    }
}

/// Opens a connection.
async fn open(authority: &str) -> Result<Wire, String> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(authority)).await;
    let stream = match stream {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("no connection: {error}")),
        Err(_) => return Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
    };
    // Without these options it is slower to answer and to be noticed as gone, and works.
    _ = stream.set_nodelay(true);
    _ = keep_alive(&stream, KEEPALIVE, KEEPALIVE_PAUSE);
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| in_words(&error))?;
    let home = Handle::current().id();
    Ok(Wire { sender, connection: Box::new(connection), home, idle_since: Instant::now() })
}

fn keep_alive(stream: &TcpStream, after: Duration, pause: Duration) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, after)?;
    sockopt::set_tcp_keepintvl(stream, pause)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)
}

/// Waits for the answer and moves the connection on meanwhile. Gives the connection back unless it ended: then it is
/// dropped at once, for only that tells a request which it had not begun that nobody will answer.
async fn drive<T, C: Future + Unpin>(answer: impl Future<Output = T>, connection: C) -> (T, Option<C>) {
    let mut answer = std::pin::pin!(answer);
    let mut connection = Some(connection);
    let answered = std::future::poll_fn(|context| {
        if let Poll::Ready(answered) = answer.as_mut().poll(context) {
            return Poll::Ready(answered);
        }
        if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(context).is_ready()) {
            connection = None;
        }
        // What the connection brought just now, or its end, needs no second waking.
        answer.as_mut().poll(context)
    })
    .await;
    (answered, connection)
}

async fn hold(response: Response<Incoming>, most_bytes: usize) -> Result<Held, String> {
    let (parts, mut body) = response.into_parts();
    let (status, headers) = (parts.status, parts.headers);
    let mut parts = Parts::default();
    while parts.len() <= most_bytes {
        match body.frame().await {
            Some(Ok(frame)) => parts.add(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => return Err(format!("the answer broke off: {}", in_words(&error))),
            None => return Ok(Held { status, headers, bytes: parts.whole(), rest: None }),
        }
    }
    Ok(Held { status, headers, bytes: parts.whole(), rest: Some(body) })
}

/// Parts of a body. A single one is not copied.
#[derive(Default)]
struct Parts {
    first: Bytes,
    all: BytesMut,
}

impl Parts {
    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn add(&mut self, part: Bytes) {
        if self.len() == 0 {
            self.first = part;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&part);
    }

    fn whole(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    /// A server that gives so many answers on each connection before it ends it, and counts connections.
    async fn server(answers: usize) -> (String, tokio::sync::mpsc::UnboundedReceiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (opened, counted) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                opened.send(()).unwrap();
                tokio::spawn(async move {
                    for _ in 0..answers {
                        let mut request = Vec::new();
                        while !request.ends_with(b"\r\n\r\n") {
                            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                                return;
                            }
                        }
                        stream.write_all(ANSWER).await.unwrap();
                    }
                });
            }
        });
        (authority, counted)
    }

    fn request() -> Request<Full<Bytes>> {
        Request::get("/x").header("host", "a").body(Full::default()).unwrap()
    }

    async fn read(wires: &Wires, authority: &str) -> Result<Bytes, String> {
        wires.read(authority, request, 1_000).await.map(|held| held.bytes)
    }

    #[tokio::test]
    async fn a_connection_is_used_again() {
        let (authority, mut opened) = server(usize::MAX).await;
        let wires = Wires::default();
        for _ in 0..5 {
            assert_eq!(read(&wires, &authority).await.unwrap(), "ok");
        }
        assert!(opened.try_recv().is_ok() && opened.try_recv().is_err(), "one for all");
    }

    #[test]
    fn each_runtime_uses_its_own() {
        let runtimes = [(); 2]
            .map(|()| runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
        let (authority, mut opened) = runtimes[0].block_on(server(usize::MAX));
        let wires = Wires::default();
        for _ in 0..5 {
            for runtime in &runtimes {
                assert_eq!(runtime.block_on(read(&wires, &authority)).unwrap(), "ok");
            }
        }
        let count = std::iter::from_fn(|| opened.try_recv().ok()).count();
        assert_eq!(count, 2, "one for each");
    }

    #[tokio::test]
    async fn one_that_the_server_ends_after_an_answer_costs_no_read() {
        let (authority, _opened) = server(1).await;
        let wires = Wires::default();
        for _ in 0..50 {
            assert_eq!(read(&wires, &authority).await.unwrap(), "ok");
        }
    }

    #[tokio::test]
    async fn who_never_answers_is_asked_on_one_new_connection_and_then_told_of() {
        let (authority, mut opened) = server(0).await;
        let wires = Wires::default();
        assert!(read(&wires, &authority).await.is_err());
        assert!(opened.try_recv().is_ok() && opened.try_recv().is_err());
        assert!(read(&wires, "127.0.0.1:1").await.unwrap_err().starts_with("no connection"));
    }

    /// A connection that ends without a word, like one that the server closed just before it was used.
    struct Ended {
        _unanswered: tokio::sync::oneshot::Sender<()>,
    }

    impl Future for Ended {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    #[tokio::test]
    async fn the_end_of_a_connection_ends_the_wait_for_its_answer() {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let (answered, connection) = drive(answer, Ended { _unanswered: sender }).await;
        assert!(answered.is_err() && connection.is_none());
    }
}
