//! Headers on their way through: what belongs to a connection stays there, traces go on.

use crate::wire::{bare, post};
use crate::world::{COLLECTIONS, World};

const TRACE: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
const STATE: (&str, &str) = ("tracestate", "vendor=1");
const CHROMA_TRACE: (&str, &str) = ("chroma-trace-id", "0123456789abcdef0123456789abcdef");

#[test]
fn traces_of_reads_go_on_to_the_instance_and_errors_carry_chromas_zeros() {
    let world = World::shared();
    let collection = world.collection("traced");
    let get = post(&format!("{collection}/get"), &[TRACE, STATE, CHROMA_TRACE], br#"{"ids":["traced-get"]}"#);
    assert_eq!(world.wire().send(get).answer().0.status, 200);
    let sent = world.recorder.request_with("traced-get");
    for (name, value) in [TRACE, STATE, CHROMA_TRACE] {
        assert!(sent.contains(&format!("\r\n{name}: {value}\r\n")), "{name} in {sent}");
    }
    let wrong = post(&format!("{collection}/get"), &[CHROMA_TRACE], br#"{"limit":-1}"#);
    let missing = bare("GET", &format!("{COLLECTIONS}/missing"), &[CHROMA_TRACE]);
    for request in [wrong, missing] {
        let (ours, _) = world.wire().send(request).answer();
        assert!(ours.status >= 400);
        assert_eq!(ours.header("chroma-trace-id"), "0".repeat(32));
    }
    let request = bare("GET", &format!("{COLLECTIONS}/missing"), &[CHROMA_TRACE]);
    let (theirs, _) = crate::wire::Wire::connect(world.chroma.port()).send(request).answer();
    assert_eq!(theirs.header("chroma-trace-id"), "0".repeat(32));
}

#[test]
fn the_trace_of_a_write_is_in_our_log_with_its_transaction() {
    let world = World::shared();
    let collection = world.collection("traced-write");
    let trace = ("traceparent", "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let add = post(&format!("{collection}/add"), &[trace], br#"{"ids":["a"],"embeddings":[[1,2,3]]}"#);
    let (head, _) = world.wire().send(add).answer();
    let log = world.isochrome.log();
    let line = log.lines().find(|line| line.contains(trace.1)).expect("a line with the trace");
    assert!(line.contains(head.header("transaction-id")), "{line}");
}

#[test]
fn what_belongs_to_a_connection_stays_there_in_both_directions() {
    let world = World::shared();
    let collection = world.collection("hops");
    let headers = [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "secret"),
        ("te", "trailers"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("x-yours", "kept"),
    ];
    let get = post(&format!("{collection}/get"), &headers, br#"{"ids":["hops-get"]}"#);
    let sender = world.wire().send(get).answer().0;
    assert_eq!(sender.status, 200);
    let sent = world.recorder.request_with("hops-get");
    assert!(sent.contains("\r\nx-yours: kept\r\n"), "{sent}");
    for name in ["x-mine", "te:", "proxy-connection", "keep-alive"] {
        assert!(!sent.contains(&format!("\r\n{name}")), "{name} in {sent}");
    }
    let answer =
        b"HTTP/1.1 200 OK\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=7\r\nx-end: 2\r\n\
        content-type: application/json\r\ncontent-length: 1\r\n\r\n7";
    world.replace_answer("/count?hops", answer.to_vec());
    let mut wire = world.wire();
    let (head, body) = wire.send(bare("GET", &format!("{collection}/count?hops"), &[])).answer();
    assert_eq!((head.header("x-end"), body.as_slice()), ("2", b"7".as_slice()));
    for name in ["x-hop", "keep-alive", "connection"] {
        assert_eq!(head.header(name), "", "{name}");
    }
    // That the instance closed its connection does not end the client's.
    assert_eq!(wire.send(bare("GET", "/api/v2/version", &[])).answer().0.status, 200);
}
