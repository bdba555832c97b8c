//! Bodies reach every server as they were sent, also after a restart.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::support::api::{Api, id_of};
use crate::support::chroma::Chroma;
use crate::support::compare::Comparer;
use crate::support::http::{Answer, request};

/// Floats that only survive when nobody reads and prints them again, in numbers of several spellings.
const PRECISE: &str = r#"{"ids":["denormal","extremes","digits"],"embeddings":[
    [1e-45,-0.0,1.1754943508222875e-38],
    [3.4028234663852886e38,-3.4028234663852886E+38,0.1],
    [0.12345678901234567890123456789,16777217,33554431.0000001]],
  "metadatas":[{"i":9223372036854775807,"j":-9223372036854775808,"f":0.1,"one":1.0,"n":1},
    {"big":9007199254740993,"tiny":5e-324,"s":"\u0000\ud83e\udd8a"},{"e":1e2,"t":true}]}"#;

/// Text beyond the basic plane, plain and escaped, in every place that takes text.
const BEYOND: &str = r#"{"ids":["𝄞🦊","\ud834\udd1e2"],"embeddings":[[1,2,3],[4,5,6]],
  "documents":["🦊 läuft über 𝕮 und 漢字","\ud83e\udd8a \"quoted\" \\ \n\t"],
  "metadatas":[{"schlüssel 🗝":"wert 🧱"},{"k":"\u007f\u0000"}],"uris":["u:🦊",null]}"#;

async fn send(api: &Api, id: &str, verb: &str, body: impl Into<Bytes>) -> Answer {
    let url = api.collections(&format!("/{id}/{verb}"));
    let mut request = request(Method::POST, &url, Some(&Value::Null));
    *request.body_mut() = body.into();
    api.http.send(request).await.unwrap_or_else(|error| panic!("{verb}: {error}"))
}

/// 20 MiB in one request, most of it digits.
fn large() -> String {
    let digits = "1234567890".repeat(700);
    let record = |n: usize| (format!("\"large-{n}\""), format!("[0.{n}{digits},-{n}.{digits},{n}]"));
    let (ids, embeddings): (Vec<_>, Vec<_>) = (0..1_600).map(record).unzip();
    format!(r#"{{"ids":[{}],"embeddings":[{}]}}"#, ids.join(","), embeddings.join(","))
}

/// Sends a body in pieces whose lengths nobody announced; the status.
fn send_chunked(api: &Api, id: &str, body: &str) -> u16 {
    let address = api.base.trim_start_matches("http://");
    let url = api.collections(&format!("/{id}/add"));
    let path = url.strip_prefix(&api.base).expect("a path");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    for piece in body.as_bytes().chunks(7) {
        write!(stream, "{:x}\r\n", piece.len()).expect("sent");
        stream.write_all(piece).expect("sent");
        stream.write_all(b"\r\n").expect("sent");
    }
    stream.write_all(b"0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).expect("a status").parse().expect("a number")
}

#[tokio::test]
async fn bodies_are_replayed_byte_by_byte_after_a_restart() {
    let mut cluster = Cluster::start();
    let direct = Chroma::start();
    let (api, reference) = (cluster.api(), Api::new(&direct.url()));
    let id = api.new_collection("exact").await;
    let own = reference.new_collection("exact").await;
    cluster.settle().await;
    cluster.servers[1].kill();
    let large = large();
    assert!(large.len() > 20 << 20, "{} bytes", large.len());
    for (api, id) in [(&api, &id), (&reference, &own)] {
        for body in [PRECISE, BEYOND, &large] {
            send(api, id, "add", body.to_owned()).await.expect(201);
        }
        let chunked = BEYOND.replace("𝄞🦊", "chunked").replace(r"\ud834\udd1e2", "chunked too");
        assert_eq!(send_chunked(api, id, &chunked), 201);
    }
    // What the replica gets now comes from the disk.
    cluster.isochrome.kill();
    cluster.isochrome.restart();
    cluster.servers[1].restart();
    cluster.settle().await;
    let all = [
        ("direct", direct.url()),
        ("primary", cluster.servers[0].url()),
        ("replica", cluster.servers[1].url()),
    ];
    let same = Comparer::new(&all).assert_identical().await;
    assert_eq!(same.records, 1_607);
}

#[tokio::test]
async fn what_chroma_does_not_take_is_refused_as_chroma_refuses_it() {
    let cluster = Cluster::shared();
    let direct = Chroma::start();
    let api = cluster.space("refusals").await;
    let reference = crate::cluster::new_space(&direct.url(), "refusals").await;
    let id = api.new_collection("plain").await;
    let own = reference.new_collection("plain").await;
    let packed: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56, 0xca, 0x4c, 0x29, 0x56];
    let lone = br#"{"ids":["\ud800"],"embeddings":[[1,2,3]]}"#;
    let large = format!(r#"{{"ids":["{}"],"embeddings":[[1]]}}"#, "x".repeat(42_000_000));
    let bodies: [&[u8]; 8] = [
        packed,
        lone,
        b"",
        b"{",
        b"{\"ids\":[\"a\"],\"embeddings\":[[1,2,3]]} x",
        b"\xef\xbb\xbf{\"ids\":[\"a\"],\"embeddings\":[[1,2,3]]}",
        b"{\"ids\":[\"a\xff\"],\"embeddings\":[[1,2,3]]}",
        large.as_bytes(),
    ];
    for body in bodies {
        for verb in ["add", "upsert", "update", "delete", "get", "query"] {
            let mine = send(&api, &id, verb, body.to_vec()).await;
            let theirs = send(&reference, &own, verb, body.to_vec()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert_eq!((mine.status, mine.text()), (theirs.status, theirs.text()), "{verb} {shown}");
        }
    }
    assert_eq!(api.count(&id).await, 0);
    assert_eq!(id_of(&api.describe("plain").await.expect(200)), id);
}
