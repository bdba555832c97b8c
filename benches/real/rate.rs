//! A load that costs next to nothing: prebuilt requests over kept connections, on one thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests as they go over the wire, sent in turn. Clones go on where the others are.
#[derive(Clone)]
pub struct Requests {
    wire: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
}

impl Requests {
    pub fn new(wire: Vec<Vec<u8>>) -> Self {
        Self { wire: Arc::new(wire), next: Arc::default() }
    }

    fn next(&self) -> &[u8] {
        &self.wire[self.next.fetch_add(1, Ordering::Relaxed) % self.wire.len()]
    }
}

/// A POST with a JSON body.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A GET.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// Requests a second that a port answers over so many connections; panics at an answer that is no 200.
pub async fn per_second(port: u16, requests: &Requests, connections: usize, time: Duration) -> f64 {
    let requests = requests.clone();
    let measured = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(measure(port, requests, connections, time))
    });
    measured.await.expect("the load")
}

async fn measure(port: u16, requests: Requests, connections: usize, time: Duration) -> f64 {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let mut client = Client { stream, buffer: vec![0; 64 << 10] };
        // The first request opens what there is to open on the way.
        client.exchange(requests.next()).await;
        clients.push(client);
    }
    let started = Instant::now();
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let requests = requests.clone();
            local.spawn_local(async move {
                let mut answered = 0_u64;
                while started.elapsed() < time {
                    client.exchange(requests.next()).await;
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let all = local.run_until(async {
        let mut all = 0;
        for task in tasks {
            all += task.await.expect("a client");
        }
        all
    });
    let answered = all.await;
    answered as f64 / started.elapsed().as_secs_f64()
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Sends one request and reads its whole answer.
    async fn exchange(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the request is taken");
        let mut have = 0;
        loop {
            if have == self.buffer.len() {
                self.buffer.resize(have * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[have..]).await.expect("an answer");
            assert!(read > 0, "the connection ended after {}", String::from_utf8_lossy(&self.buffer[..have]));
            have += read;
            if let Some(whole) = length(&self.buffer[..have])
                && have >= whole
            {
                assert_eq!(have, whole, "an answer is longer than announced");
                return;
            }
        }
    }
}

/// Bytes of the whole answer, once its head is there.
fn length(answer: &[u8]) -> Option<usize> {
    let head = memmem::find(answer, b"\r\n\r\n")?;
    let text = || String::from_utf8_lossy(answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", text());
    let lines = answer[..head].split(|byte| *byte == b'\n');
    let mut announced = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:").then(|| value.trim_ascii())
    });
    let announced = announced.next();
    assert!(announced.is_some(), "no length in {}", text());
    let announced = announced.unwrap_or_default();
    let announced: usize = std::str::from_utf8(announced).expect("a number").parse().expect("a number");
    Some(head + 4 + announced)
}
