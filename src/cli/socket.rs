//! What the commands ask of the running process, over its socket in the data directory.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::admin::socket;
use crate::instances::client::Reply;

/// Why a command got no answer; its words say what to do.
#[derive(Debug)]
struct NoAnswer {
    socket: PathBuf,
    reason: String,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { socket, reason } = self;
        let socket = socket.display();
        write!(f, "No Isochrome answers on {socket}: {reason}.\nIs it running, with this --data-dir?")
    }
}

/// Sends one request, and reads the whole answer.
async fn ask(data_dir: &Path, method: Method, path: &str, body: Bytes) -> Result<Reply, NoAnswer> {
    let socket = socket::path(data_dir);
    let asked = exchange(&socket, method, path, body).await;
    asked.map_err(|error| NoAnswer { socket, reason: error.to_string() })
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Reply, Box<dyn std::error::Error>> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::HOST, "isochrome").header(header::CONTENT_TYPE, "application/json");
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let status = response.status().as_u16();
    Ok(Reply { status, body: response.into_body().collect().await?.to_bytes() })
}

/// Asks the process that runs on this data directory, and gives what it says.
///
/// # Errors
/// Why there is no such answer, for people.
pub async fn answer<T: DeserializeOwned>(
    data_dir: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<T, String> {
    let reply = ask(data_dir, method, path, body).await;
    reply.map_err(|none| none.to_string()).and_then(|reply| read(&reply))
}

/// An answer as what it says, or the reason in it where it is a refusal.
fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, String> {
    if reply.is_success() {
        return serde_json::from_slice(&reply.body)
            .map_err(|error| format!("The answer can't be read: {error}."));
    }
    let said = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
    let said = said["message"].as_str().map(str::to_owned);
    Err(said.unwrap_or_else(|| format!("It answered {}.", reply.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let reply = |status, body: &'static str| Reply { status, body: body.into() };
        assert_eq!(read::<u64>(&reply(200, "5")), Ok(5));
        assert_eq!(read::<u64>(&reply(409, r#"{"message":"taken"}"#)), Err("taken".to_owned()));
        assert_eq!(read::<u64>(&reply(500, "")), Err("It answered 500.".to_owned()));
        assert!(read::<u64>(&reply(200, "{}")).unwrap_err().contains("can't be read"));
    }
}
