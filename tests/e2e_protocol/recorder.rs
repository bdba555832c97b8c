//! Keeps what goes to an instance.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy that passes everything on, and keeps what its clients sent. A request with `flood=SENT/ANNOUNCED` in its query
/// it answers itself: with so many MiB.
pub struct Recorder {
    port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// In front of a port on loopback; it lives as long as the process.
    pub fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&sent);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else { continue };
                let (to_client, from_server) = (client.try_clone(), server.try_clone());
                let recorded = Arc::clone(&recorded);
                thread::spawn(move || copy(client, server, Some(&recorded)));
                if let (Ok(to_client), Ok(from_server)) = (to_client, from_server) {
                    thread::spawn(move || copy(from_server, to_client, None));
                }
            }
        });
        Self { port, sent }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The request that has these words in its head or body: from its head on, in lower case.
    pub fn request_with(&self, words: &str) -> String {
        let sent = String::from_utf8_lossy(&self.sent.lock().expect("what was sent")).to_lowercase();
        let found = sent.find(words).unwrap_or_else(|| panic!("nothing with {words} was sent"));
        let starts = ["post /", "get /"].iter().filter_map(|method| sent[..found].rfind(method));
        let start = starts.max().expect("the head of a request");
        let end = sent[found..].find(" http/1.1\r\n").map_or(sent.len(), |end| found + end);
        sent[start..end].to_owned()
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, kept: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if let Some((sent, announced)) = kept.and_then(|_| flood_asked(&buffer[..length])) {
            _ = flood(&mut from, sent, announced);
            break;
        }
        if let Some(kept) = kept {
            kept.lock().expect("what was sent").extend_from_slice(&buffer[..length]);
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    _ = to.shutdown(Shutdown::Write);
}

fn flood_asked(piece: &[u8]) -> Option<(usize, usize)> {
    let text = String::from_utf8_lossy(piece);
    let (sent, announced) = text.split_once("flood=")?.1.split(' ').next()?.split_once('/')?;
    Some((sent.parse().ok()?, announced.parse().ok()?))
}

fn flood(client: &mut TcpStream, sent: usize, announced: usize) -> std::io::Result<()> {
    let length = announced << 20;
    write!(client, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")?;
    let part = vec![b'7'; 1 << 20];
    (0..sent).try_for_each(|_| client.write_all(&part))?;
    client.shutdown(Shutdown::Both)
}
