//! Compressed bodies, in both directions.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::wire::{Head, bare, post};
use crate::world::{World, alone};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

fn plain(head: &Head, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match head.header("content-encoding") {
        "" => plain.extend_from_slice(body),
        "gzip" => _ = GzDecoder::new(body).read_to_end(&mut plain).expect("gzip"),
        "zstd" => plain = zstd::decode_all(body).expect("zstd"),
        "br" => _ = brotli::Decompressor::new(body, 4096).read_to_end(&mut plain).expect("brotli"),
        other => panic!("{other}"),
    }
    plain
}

#[test]
fn compressed_requests_are_what_they_hold() {
    let world = World::shared();
    let collection = world.collection("packed");
    let body = |id: &str| json!({ "ids": [id], "embeddings": [[1, 2, 3]], "documents": ["x".repeat(5_000)] });
    let sent = [
        ("gzip", gzip(body("packed-gzip").to_string().as_bytes())),
        ("GZip", gzip(body("packed-case").to_string().as_bytes())),
        ("deflate", deflate(body("packed-deflate").to_string().as_bytes())),
        ("identity", body("packed-identity").to_string().into_bytes()),
    ];
    let mut wire = world.wire();
    for (encoding, bytes) in &sent {
        let request = post(&format!("{collection}/add"), &[("content-encoding", encoding)], bytes);
        assert_eq!(wire.send(request).answer().0.status, 201, "{encoding}");
    }
    let question = gzip(br#"{"ids":["packed-gzip","packed-deflate"]}"#);
    let request = post(&format!("{collection}/get"), &[("content-encoding", "gzip")], &question);
    let (head, found) = wire.send(request).answer();
    assert_eq!(head.status, 200);
    let found: Value = serde_json::from_slice(&plain(&head, &found)).expect("JSON");
    assert_eq!(found["ids"], json!(["packed-gzip", "packed-deflate"]));
    assert_eq!(found["documents"][0], "x".repeat(5_000));
    // The instance got them plain, the read as well.
    for words in ["\"packed-gzip\"]", "[\"packed-gzip\",\"packed-deflate\"]"] {
        assert!(!world.recorder.request_with(words).contains("content-encoding"));
    }
}

#[test]
fn what_can_not_be_unpacked_is_refused_and_the_connection_goes_on() {
    let world = World::shared();
    let collection = world.collection("broken");
    let add = format!("{collection}/add");
    let packed = gzip(br#"{"ids":["a"],"embeddings":[[1,2,3]]}"#);
    let asked: [(&str, &[u8], u16); 5] = [
        ("br", &packed, 415),
        ("gzip, gzip", &packed, 415),
        ("gzip", b"{\"ids\":[]}", 400),
        ("gzip", &packed[..packed.len() - 9], 400),
        ("deflate", &packed, 400),
    ];
    for (encoding, body, status) in asked {
        let mut wire = world.wire();
        let (head, answer) = wire.send(post(&add, &[("content-encoding", encoding)], body)).answer();
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(head.status, status, "{encoding}: {text}");
        let words = if status == 415 { encoding } else { "could not be read" };
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(world.count(&collection), 0);
}

#[test]
fn a_bomb_is_refused_when_it_reaches_the_limit() {
    let _alone = alone();
    let world = World::start(&[("MAX_MEMORY_MB", "256")], &[]);
    let collection = world.collection("bomb");
    // 1 GiB of blanks in 1 MiB.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..1024 {
        encoder.write_all(&blanks).expect("memory");
    }
    let bomb = encoder.finish().expect("memory");
    let before = world.peak_mib();
    for verb in ["add", "get", "query"] {
        let request = post(&format!("{collection}/{verb}"), &[("content-encoding", "gzip")], &bomb);
        let (head, _) = world.wire().send(request).answer();
        assert_eq!(head.status, 413, "{verb}");
    }
    let grown = world.peak_mib() - before;
    assert!(grown < 120, "{grown} MiB more for bodies of 40 MiB at most");
    assert_eq!(world.count(&collection), 0);
}

/// A collection whose whole is some 20 KiB of JSON.
fn filled(world: &World, name: &str) -> String {
    let collection = world.collection(name);
    let ids: Vec<String> = (0..200).map(|number| format!("{name}-{number}")).collect();
    let embeddings: Vec<_> = (0..200).map(|number| [number, 1, 2]).collect();
    let documents: Vec<String> = ids.iter().map(|id| format!("all that is to be said of {id}")).collect();
    let body = json!({ "ids": ids, "embeddings": embeddings, "documents": documents }).to_string();
    let (head, _) = world.wire().send(post(&format!("{collection}/add"), &[], body.as_bytes())).answer();
    assert_eq!(head.status, 201);
    collection
}

#[test]
fn answers_are_compressed_as_the_client_wants_it() {
    let world = World::shared();
    let collection = filled(world, "shrunk");
    let get = |accepts: &[(&str, &str)]| post(&format!("{collection}/get"), accepts, b"{}");
    let (head, whole) = world.wire().send(get(&[])).answer();
    assert!(head.header("content-encoding").is_empty() && whole.len() > 10_000);
    let asked = [
        ("gzip", "gzip"),
        // What the Python client sends, and the same with more packages.
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("br", "br"),
        ("zstd;q=0.2, br;q=0.3, gzip;q=0.9", "gzip"),
        ("*", "zstd"),
        ("gzip;q=0, br;q=0.1", "br"),
        ("identity", ""),
        ("gzip;q=0", ""),
        ("gzip;q=0.3, identity;q=0.9", ""),
        ("identity;q=0, *;q=0", ""),
        ("rot13", ""),
    ];
    let mut wire = world.wire();
    for (accepts, encoding) in asked {
        let (head, body) = wire.send(get(&[("accept-encoding", accepts)])).answer();
        assert_eq!((head.status, head.header("content-encoding")), (200, encoding), "{accepts}");
        assert_eq!(plain(&head, &body), whole, "{accepts}");
        if !encoding.is_empty() {
            assert!(body.len() * 2 < whole.len(), "{accepts}: {} bytes", body.len());
            let vary: Vec<_> = head.headers.get_all("vary").iter().collect();
            assert!(vary.iter().any(|value| *value == "accept-encoding"), "{vary:?}");
        }
    }
}

#[test]
fn small_answers_heads_and_what_an_instance_compressed_stay_as_they_are() {
    let world = World::shared();
    let collection = filled(world, "kept");
    let accepts = ("accept-encoding", "gzip");
    let mut wire = world.wire();
    for request in [
        bare("GET", &format!("{collection}/count"), &[accepts]),
        post(&format!("{collection}/get"), &[accepts], br#"{"ids":["kept-1"]}"#),
        bare("GET", "/api/v2/tenants/none", &[accepts]),
    ] {
        let (head, body) = wire.send(request).answer();
        assert_eq!(head.header("content-encoding"), "");
        assert_eq!(head.header("content-length"), body.len().to_string());
    }
    let packed = gzip(&vec![b'7'; 5_000]);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        packed.len()
    );
    world.replace_answer("/count?packed", [answer.as_bytes(), &packed].concat());
    let request = bare("GET", &format!("{collection}/count?packed"), &[accepts]);
    let (head, body) = wire.send(request).answer();
    assert_eq!((head.header("content-encoding"), body), ("gzip", packed));
    let head = wire.send(bare("HEAD", &format!("{collection}/count"), &[accepts])).head();
    assert_eq!((head.status, head.header("content-encoding")), (200, ""));
    assert_eq!(wire.send(bare("GET", "/api/v2/version", &[])).answer().0.status, 200);
}

#[test]
fn by_default_answers_are_compressed_from_the_documented_size_on() {
    let world = crate::connections::plain();
    let collection = filled(world, "default");
    let request = post(&format!("{collection}/get"), &[("accept-encoding", "gzip")], b"{}");
    let (head, _) = world.wire().send(request).answer();
    assert_eq!(head.header("content-encoding"), "");
}
