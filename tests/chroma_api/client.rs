//! Raw requests to a real server that all tests of this binary share.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use isochrome::chroma::error::ApiError;
use isochrome::chroma::{path, rewrite};
use serde_json::Value as Json;

use crate::server::Server;

pub(crate) const TENANT: &str = "default_tenant";
pub(crate) const DATABASE: &str = "default_database";

/// A connection to the shared server, which ends with the last test that uses it.
pub(crate) struct Client {
    server: Arc<Server>,
}

/// An answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Fails unless this is the answer that `error` imitates.
    pub(crate) fn assert_is(&self, error: &ApiError) {
        assert_eq!((self.status, self.text()), (error.status, String::from_utf8(error.body()).unwrap()));
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(Server::start()));
        *shared = Arc::downgrade(&server);
        Self { server }
    }

    /// Sends a JSON request; `None` if the server closes the connection without an answer.
    pub(crate) fn try_send(&self, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        self.send_as("application/json", method, path, body)
    }

    pub(crate) fn send_as(
        &self,
        content_type: &str,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Option<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.port())).expect("a connection");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: chroma\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n",
            body.len(),
        );
        stream.write_all(head.as_bytes()).expect("the request is sent");
        stream.write_all(body).expect("the request is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(answer[..end].to_vec()).expect("a readable head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Some(Answer { status, head, body: answer[end + 4..].to_vec() })
    }

    /// Sends a JSON request, again if the server's store was busy with another test's write: deletes of
    /// databases do not wait for it.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        loop {
            let answer = self.try_send(method, path, body);
            let answer = answer.unwrap_or_else(|| panic!("no answer to {method} {path}"));
            if answer.status != 500 || !answer.text().contains("database is locked") {
                return answer;
            }
        }
    }

    /// A new collection; gives the path of its operations.
    pub(crate) fn collection(&self) -> String {
        let name = fresh_name();
        let body = format!(r#"{{"name":"{name}"}}"#);
        let created = self.send("POST", &path::collections(TENANT, DATABASE), body.as_bytes());
        assert_eq!(created.status, 200, "{}", created.text());
        path::collection(TENANT, DATABASE, rewrite::collection_id(&created.body).expect("an id"))
    }

    pub(crate) fn count(&self, collection: &str) -> usize {
        serde_json::from_value(self.send("GET", &format!("{collection}/count"), b"").json())
            .expect("a number")
    }

    /// Everything that the collection holds, in its order.
    pub(crate) fn records(&self, collection: &str) -> Json {
        let body = br#"{"include":["documents","embeddings","metadatas","uris"]}"#;
        self.send("POST", &format!("{collection}/get"), body).json()
    }
}

/// A name that no other test uses.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("name{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
