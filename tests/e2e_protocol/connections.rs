//! Connections over HTTP/1: kept, pipelined, of the old version, slow, and many.

use std::sync::OnceLock;
use std::time::Duration;

use crate::support::process::{End, Signal};
use crate::support::proxy::{Fault, Rule};
use crate::wire::{Wire, bare, post};
use crate::world::World;

/// The one with short limits for connections, and with the defaults otherwise.
pub fn plain() -> &'static World {
    static PLAIN: OnceLock<World> = OnceLock::new();
    PLAIN.get_or_init(|| {
        let variables = [("ISOCHROME_HTTP_IDLE_MS", "700"), ("ISOCHROME_HTTP_MAX_CONNECTIONS", "8")];
        World::start(&variables, &[])
    })
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let world = World::shared();
    let collection = world.collection("pipelined");
    let mut requests = Vec::new();
    for number in 0..20 {
        let body = format!(r#"{{"ids":["{number}"],"embeddings":[[{number},1,2]]}}"#);
        requests.extend(post(&format!("{collection}/add"), &[], body.as_bytes()));
        requests.extend(bare("GET", &format!("{collection}/count"), &[]));
        requests.extend(bare("GET", "/api/v2/tenants/none", &[]));
    }
    let mut wire = world.wire();
    wire.send(requests);
    for number in 1..=20 {
        assert_eq!(wire.answer().0.status, 201);
        let (head, body) = wire.answer();
        assert_eq!((head.status, body), (200, number.to_string().into_bytes()));
        assert_eq!(wire.answer().0.status, 404);
    }
}

#[test]
fn the_old_version_closes_after_each_answer_unless_asked_not_to() {
    let world = World::shared();
    let mut wire = world.wire();
    let (head, body) = wire.send("GET /api/v2/version HTTP/1.0\r\n\r\n").answer();
    assert_eq!(
        (head.version.as_str(), head.status, body.as_slice()),
        ("HTTP/1.0", 200, b"\"1.0.0\"".as_slice())
    );
    assert_eq!(wire.rest(), b"");
    let mut wire = world.wire();
    for _ in 0..3 {
        let (head, _) = wire.send("GET /api/v2/version HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").answer();
        assert_eq!((head.status, head.header("connection")), (200, "keep-alive"));
    }
    let (head, _) = wire.send(bare("GET", "/api/v2/version", &[("connection", "close")])).answer();
    assert_eq!(head.status, 200);
    assert_eq!(wire.rest(), b"");
}

#[test]
fn heads_that_do_not_come_and_idle_connections_are_given_up_and_make_room() {
    let world = plain();
    // More than may be open at once: the last ones are let in because the first ones are given up.
    let begun = ["", "PRI * HTTP/2.0", "GET /api/v2/version HTTP/1.1\r\nhost:", "POST /api"];
    let mut slow: Vec<Wire> = Vec::new();
    for number in 0..12 {
        let mut wire = world.wire();
        wire.send(begun[number % begun.len()]);
        slow.push(wire);
    }
    let mut wire = world.wire();
    assert_eq!(wire.send(bare("GET", "/api/v2/version", &[])).answer().0.status, 200);
    for wire in &mut slow {
        wire.rest();
    }
    wire.rest();
}

#[test]
fn a_body_that_trickles_is_given_up() {
    let world = World::shared();
    let collection = world.collection("trickle");
    let mut wire = world.wire();
    wire.send(format!("POST {collection}/add HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{\"ids\":"));
    let head = wire.head();
    assert_eq!((head.status, head.header("isochrome-error")), (408, "SLOW_BODY"));
    wire.body(&head).expect("the whole answer");
    wire.rest();
    // A body may stay away for a while, if it then comes.
    let mut wire = world.wire();
    let body = br#"{"ids":["a"],"embeddings":[[1,2,3]]}"#;
    let request = post(&format!("{collection}/add"), &[], body);
    let middle = request.len() - 20;
    wire.send(&request[..middle]);
    let (head, _) = wire.send(&request[middle..]).answer();
    assert_eq!(head.status, 201);
}

#[test]
fn a_stop_lets_requests_under_way_end_and_closes_the_rest() {
    let mut world = World::start(&[], &[]);
    let collection = world.collection("stopped");
    let fault = Fault::DelayAnswer(Duration::from_millis(1_500));
    world.proxy.rule(Rule { method: "GET", path: "/count?last".to_owned(), times: 1, fault });
    let (mut busy, mut idle, mut half) = (world.wire(), world.wire(), world.wire());
    assert_eq!(idle.send(bare("GET", "/api/v2/version", &[])).answer().0.status, 200);
    half.send("GET /api/v2/ver");
    let faults = world.proxy.faults();
    busy.send(bare("GET", &format!("{collection}/count?last"), &[]));
    while world.proxy.faults() == faults {
        std::thread::sleep(Duration::from_millis(5));
    }
    world.isochrome.signal(Signal::TERM);
    assert_eq!(idle.rest(), b"", "an idle connection is closed at once");
    let (head, body) = busy.answer();
    assert_eq!((head.status, body.as_slice()), (200, b"0".as_slice()));
    drop((busy, half));
    assert_eq!(world.isochrome.wait(Duration::from_secs(30)), End::Code(0));
}
