//! A TCP proxy that spoils what passes through it, as told at run time.
//!
//! [`Mode`] tells what becomes of connections as a whole; a [`Rule`] spoils the exchanges that it
//! matches. The proxy knows just enough of HTTP to find request lines: a piece that comes from the
//! client and starts with a method begins a request, which holds for clients that do not pipeline.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::places;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// The port is closed and what was connected is reset.
    Refuse,
    /// Connections are accepted and kept, and nothing goes through until the mode changes; then it
    /// goes on where it was, as a stopped process or a mended partition does.
    BlackHole,
    /// Ends the proxy.
    Closed,
}

impl Mode {
    fn is_open(self) -> bool {
        matches!(self, Self::Pass | Self::BlackHole)
    }
}

/// What becomes of one exchange.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server executes the request; its answer never comes, the connection is reset.
    DropAnswer,
    /// The connection is reset after this many bytes of the answer.
    ResetAfter(usize),
    /// The answer's head goes through, then the connection ends.
    CutAfterHeaders,
    /// The answer comes this much later.
    DelayAnswer(Duration),
    /// The request goes to the server this much later.
    DelayRequest(Duration),
    /// The request goes to the server when the rules are forgotten.
    Hold,
    /// The server executes the request; the client gets these bytes as the answer.
    Replace(Vec<u8>),
    /// The server gets these bytes of the request as those, which are as many.
    Rewrite(&'static str, &'static str),
    /// The server never sees the request; the client gets these bytes as the answer.
    Intercept(Vec<u8>),
}

/// Spoils the next `times` exchanges whose request line starts with `method` and contains `path`.
#[derive(Clone, Debug)]
pub struct Rule {
    pub method: &'static str,
    pub path: String,
    pub times: u32,
    pub fault: Fault,
}

impl Rule {
    /// One time, any POST with `path` in its request line.
    pub fn once(path: &str, fault: Fault) -> Self {
        Self { method: "POST", path: path.to_owned(), times: 1, fault }
    }

    /// Every request, until [`Proxy::clear`].
    pub fn always(fault: Fault) -> Self {
        Self { method: "", path: String::new(), times: u32::MAX, fault }
    }
}

/// Bytes of an answer that a server could have sent.
pub fn answer_bytes(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    requests: AtomicU64,
    faults: AtomicU64,
}

struct Shared {
    upstream: SocketAddr,
    mode: watch::Receiver<Mode>,
    /// True while the port is open.
    listening: (Mutex<bool>, Condvar),
    rules: Mutex<Vec<Rule>>,
    /// How often the rules were forgotten.
    cleared: watch::Sender<u64>,
    counters: Counters,
}

/// A running proxy; dropping it ends it.
pub struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// In front of a port on loopback, passing everything.
    pub fn start(upstream_port: u16) -> Self {
        let port = places::free_port();
        let (mode, receiver) = watch::channel(Mode::Pass);
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from(([127, 0, 0, 1], upstream_port)),
            mode: receiver,
            listening: Default::default(),
            rules: Mutex::default(),
            cleared: watch::Sender::default(),
            counters: Counters::default(),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("runtime").block_on(listen(port, shared));
            }
        });
        let proxy = Self { port, mode, shared, thread: Some(thread) };
        proxy.set(Mode::Pass);
        proxy
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes the mode, for open connections too, and waits until the port is open or closed as
    /// the mode wants it.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        let (listening, changed) = &self.shared.listening;
        let listening = listening.lock().expect("listening");
        drop(changed.wait_while(listening, |now| *now != mode.is_open()).expect("listening"));
    }

    /// Adds a rule; the oldest that matches a request is taken.
    pub fn rule(&self, rule: Rule) {
        self.shared.rules.lock().expect("rules").push(rule);
    }

    /// Forgets all rules, and lets go what they held.
    pub fn clear(&self) {
        self.shared.rules.lock().expect("rules").clear();
        self.shared.cleared.send_modify(|times| *times += 1);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.counters.connections.load(Ordering::Relaxed)
    }

    /// Requests seen so far.
    pub fn requests(&self) -> u64 {
        self.shared.counters.requests.load(Ordering::Relaxed)
    }

    /// Exchanges spoilt by rules so far.
    pub fn faults(&self) -> u64 {
        self.shared.counters.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Closed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(port: u16, shared: Arc<Shared>) {
    let mut mode = shared.mode.clone();
    let tell = |open| {
        *shared.listening.0.lock().expect("listening") = open;
        shared.listening.1.notify_all();
    };
    loop {
        let wanted = mode.wait_for(|mode| mode.is_open() || *mode == Mode::Closed).await.map(|mode| *mode);
        if wanted.unwrap_or(Mode::Closed) == Mode::Closed {
            return;
        }
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the proxy's port");
        tell(true);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
                        tokio::spawn(relay(client, Arc::clone(&shared)));
                    }
                }
                _ = mode.wait_for(|mode| !mode.is_open()) => break,
            }
        }
        drop(listener);
        tell(false);
    }
}

/// How a relayed connection ends.
enum Ending {
    Close,
    Reset,
    Answer(Vec<u8>),
}

async fn relay(mut client: TcpStream, shared: Arc<Shared>) {
    let ending = tokio::select! {
        ending = exchange(&mut client, &shared) => ending,
        () = reached(&shared, &[Mode::Refuse, Mode::Closed]) => Ending::Reset,
    };
    match ending {
        Ending::Close => {}
        Ending::Reset => {
            let _ = client.set_zero_linger();
        }
        Ending::Answer(bytes) => {
            let _ = client.write_all(&bytes).await;
            let _ = client.shutdown().await;
            // What the client still sends is read, so that closing does not reset the answer away.
            let drain = async { while matches!(client.read(&mut [0; 4096]).await, Ok(1..)) {} };
            let _ = tokio::time::timeout(Duration::from_secs(1), drain).await;
        }
    }
}

async fn reached(shared: &Shared, modes: &[Mode]) {
    let mut mode = shared.mode.clone();
    if mode.wait_for(|mode| modes.contains(mode)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The fault of the exchange under way, and how much of its answer has gone to the client.
#[derive(Default)]
struct Fate {
    fault: Option<Fault>,
    answered: usize,
}

async fn exchange(client: &mut TcpStream, shared: &Shared) -> Ending {
    reached(shared, &[Mode::Pass]).await;
    let Ok(mut server) = TcpStream::connect(shared.upstream).await else {
        return Ending::Reset;
    };
    let _ = (server.set_nodelay(true), client.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let fate = Mutex::new(Fate::default());
    tokio::select! {
        ending = requests(from_client, to_server, shared, &fate) => ending,
        ending = answers(from_server, to_client, shared, &fate) => ending,
    }
}

async fn requests(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    fate: &Mutex<Fate>,
) -> Ending {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return Ending::Close;
        };
        reached(shared, &[Mode::Pass]).await;
        if let Some(line) = request_line(&buffer[..length]) {
            shared.counters.requests.fetch_add(1, Ordering::Relaxed);
            let mut cleared = shared.cleared.subscribe();
            let fault = shared.take(&line);
            *fate.lock().expect("fate") = Fate { fault: fault.clone(), answered: 0 };
            match fault {
                Some(Fault::Intercept(bytes)) => return Ending::Answer(bytes),
                Some(Fault::DelayRequest(time)) => tokio::time::sleep(time).await,
                // An error means that the proxy ends.
                Some(Fault::Hold) => _ = cleared.changed().await,
                _ => {}
            }
        }
        if let Some(Fault::Rewrite(old, new)) = fate.lock().expect("fate").fault {
            rewrite(&mut buffer[..length], old.as_bytes(), new.as_bytes());
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return Ending::Reset;
        }
    }
}

/// Puts one word in the place of another of the same length. One that two pieces share is missed.
fn rewrite(piece: &mut [u8], old: &[u8], new: &[u8]) {
    for place in 0..(piece.len() + 1).saturating_sub(old.len()) {
        if piece[place..].starts_with(old) {
            piece[place..place + old.len()].copy_from_slice(new);
        }
    }
}

async fn answers(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    fate: &Mutex<Fate>,
) -> Ending {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return Ending::Close;
        };
        reached(shared, &[Mode::Pass]).await;
        let (fault, answered) = {
            let mut fate = fate.lock().expect("fate");
            let answered = fate.answered;
            fate.answered += length;
            (fate.fault.clone(), answered)
        };
        let (passed, ending) = spoil(&buffer[..length], answered, fault.as_ref()).await;
        if to.write_all(passed).await.is_err() {
            return Ending::Close;
        }
        if let Some(ending) = ending {
            return ending;
        }
    }
}

/// What passes of a piece of an answer of which `answered` bytes have already come, and whether the
/// connection ends then.
async fn spoil<'a>(piece: &'a [u8], answered: usize, fault: Option<&Fault>) -> (&'a [u8], Option<Ending>) {
    match fault {
        None | Some(Fault::DelayRequest(_) | Fault::Hold | Fault::Intercept(_) | Fault::Rewrite(..)) => {
            (piece, None)
        }
        Some(Fault::DelayAnswer(time)) => {
            if answered == 0 {
                tokio::time::sleep(*time).await;
            }
            (piece, None)
        }
        Some(Fault::DropAnswer) => (&[], Some(Ending::Reset)),
        Some(Fault::Replace(bytes)) => (&[], Some(Ending::Answer(bytes.clone()))),
        Some(Fault::ResetAfter(kept)) if answered + piece.len() <= *kept => (piece, None),
        Some(Fault::ResetAfter(kept)) => (&piece[..kept.saturating_sub(answered)], Some(Ending::Reset)),
        Some(Fault::CutAfterHeaders) => match piece.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => (&piece[..end + 4], Some(Ending::Close)),
            None => (piece, None),
        },
    }
}

impl Shared {
    /// The fault for a request line, counted down.
    fn take(&self, line: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().expect("rules");
        let matches = |rule: &Rule| line.starts_with(rule.method) && line.contains(&rule.path);
        let index = rules.iter().position(matches)?;
        let fault = rules[index].fault.clone();
        if rules[index].times <= 1 {
            rules.remove(index);
        } else if rules[index].times < u32::MAX {
            rules[index].times -= 1;
        }
        self.counters.faults.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }
}

fn request_line(piece: &[u8]) -> Option<String> {
    let methods = ["GET ", "POST ", "PUT ", "DELETE ", "PATCH ", "HEAD ", "OPTIONS "];
    methods.iter().find(|method| piece.starts_with(method.as_bytes()))?;
    let end = piece.windows(2).position(|window| window == b"\r\n").unwrap_or(piece.len());
    Some(String::from_utf8_lossy(&piece[..end]).into_owned())
}
