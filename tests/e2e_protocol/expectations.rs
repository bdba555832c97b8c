//! `Expect: 100-continue`: the body is asked for, unless the answer is clear without it.

use crate::wire::{bare, post};
use crate::world::{COLLECTIONS, World};

const EXPECT: (&str, &str) = ("expect", "100-continue");
const RECORD: &[u8] = br#"{"ids":["a"],"embeddings":[[1,2,3]]}"#;

/// The head of a request whose body is still to come.
fn head_alone(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let whole = post(path, headers, body);
    whole[..whole.len() - body.len()].to_vec()
}

#[test]
fn a_body_that_is_wanted_is_asked_for() {
    let world = World::shared();
    let collection = world.collection("expected");
    let mut wire = world.wire();
    // The same connection goes on afterwards.
    for number in 0..2 {
        wire.send(head_alone(&format!("{collection}/upsert"), &[EXPECT], RECORD));
        assert_eq!(wire.head().status, 100, "request {number}");
        let (head, _) = wire.send(RECORD).answer();
        assert_eq!(head.status, 200);
    }
    let (head, body) = wire.send(bare("GET", &format!("{collection}/count"), &[])).answer();
    assert_eq!((head.status, body.as_slice()), (200, b"1".as_slice()));
}

#[test]
fn a_body_that_would_be_refused_is_not_asked_for() {
    let world = World::shared();
    let collection = world.collection("refused");
    let add = format!("{collection}/add");
    let length = |bytes: &str| {
        format!("POST {add} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {bytes}\r\n\r\n")
            .into_bytes()
    };
    let asked: [(u16, Vec<u8>); 6] = [
        (413, length("41943041")),
        (413, length("99999999999")),
        (415, head_alone(&add, &[EXPECT, ("content-type", "text/plain")], RECORD)),
        (415, head_alone(&add, &[EXPECT, ("content-encoding", "rot13")], RECORD)),
        (404, head_alone("/api/v2/nothing", &[EXPECT], RECORD)),
        (405, head_alone(&format!("{COLLECTIONS}_count"), &[EXPECT], RECORD)),
    ];
    for (status, mut request) in asked {
        if status == 415 && !request.windows(5).any(|part| part == b"rot13") {
            // Only one content type.
            let text = String::from_utf8(request).expect("text");
            request = text.replace("content-type: application/json\r\n", "").into_bytes();
        }
        let mut wire = world.wire();
        let head = wire.send(&request).head();
        assert_eq!(head.status, status, "the first answer to {}", String::from_utf8_lossy(&request));
        wire.body(&head).expect("a whole answer");
        assert_eq!(wire.rest(), b"", "no body can follow, so the connection ends");
    }
    assert_eq!(world.count(&collection), 0);
}
