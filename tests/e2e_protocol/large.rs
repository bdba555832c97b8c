//! Large bodies and answers, in little memory.

use std::sync::Arc;
use std::thread;

use crate::wire::{Wire, bare, post};
use crate::world::{World, alone};

const MIB: usize = 1 << 20;

/// A valid add of this size: the rest is blanks.
fn add_of(id: &str, bytes: usize) -> Vec<u8> {
    let mut body = format!(r#"{{"ids":["{id}"],"embeddings":[[1,2,3]],"documents":[""#).into_bytes();
    let end = br#""]}"#;
    body.resize(bytes - end.len(), b'x');
    body.extend_from_slice(end);
    body
}

#[test]
fn many_of_the_largest_bodies_at_once_stay_within_the_memory_and_none_is_lost() {
    let _alone = alone();
    let world = World::start(&[("MAX_MEMORY_MB", "400")], &[]);
    let collection = Arc::new(world.collection("largest"));
    let port = world.port();
    let senders: Vec<_> = (0..16)
        .map(|number| {
            let collection = Arc::clone(&collection);
            thread::spawn(move || {
                let body = add_of(&format!("large-{number}"), 40 * MIB);
                let mut wire = Wire::connect(port);
                let request = post(&format!("{collection}/add"), &[], &body);
                // One that is refused may close before it has read everything.
                wire.try_send(&request);
                let (head, _) = wire.answer();
                assert!(head.status == 201 || (head.status == 503 && head.header("retry-after") == "1"));
                head.status == 201
            })
        })
        .collect();
    let taken = senders.into_iter().map(|sender| sender.join().expect("an answer"));
    let taken = taken.filter(|taken| *taken).count();
    assert!(taken >= 2, "{taken} of 16 were taken");
    assert_eq!(world.count(&collection), taken as u64);
    let peak = world.peak_mib();
    assert!(peak < 400, "{peak} MiB");
}

#[test]
fn an_answer_of_hundreds_of_mib_streams_at_the_clients_pace() {
    let _alone = alone();
    let world = World::start(&[], &[]);
    let collection = world.collection("streamed");
    let before = world.peak_mib();
    let mut wire = world.wire();
    wire.send(bare("GET", &format!("{collection}/count?flood=400/400"), &[]));
    let head = wire.head();
    assert_eq!(head.header("content-length"), (400 * MIB).to_string());
    // The client reads a little, and lets all of it wait while others are served.
    assert!(wire.skip(1 << 20));
    for _ in 0..20 {
        assert_eq!(world.count(&collection), 0);
    }
    assert!(wire.skip(399 << 20));
    let grown = world.peak_mib() - before;
    assert!(grown < 32, "{grown} MiB more for an answer of 400 MiB");
    assert_eq!(wire.send(bare("GET", "/api/v2/version", &[])).answer().0.status, 200);
}

#[test]
fn an_answer_that_breaks_off_breaks_the_connection() {
    let world = World::shared();
    let collection = world.collection("broken-off");
    let asked = [("", true), ("gzip", false)];
    for (accepts, has_length) in asked {
        let mut wire = world.wire();
        wire.send(bare("GET", &format!("{collection}/count?flood=1/2"), &[("accept-encoding", accepts)]));
        let head = wire.head();
        assert_eq!((head.status, !head.header("content-length").is_empty()), (200, has_length));
        assert_eq!(wire.body(&head), None, "a part must not look like the whole");
        wire.rest();
    }
}
