//! Spliced requests against the requests that they are made of.

use isochrome::chroma::requests::delete_ids_body;
use isochrome::chroma::scan::{DeleteRequest, scan_delete, scan_records};
use isochrome::chroma::splice::{count_of, splice};
use isochrome::wal::record::{Encoding, RecordKind};

use crate::bodies::Bodies;
use crate::client::Client;
use crate::writes::{kind_of, two_dimensional};

struct Run {
    operation: &'static str,
    kind: RecordKind,
    encoding: Encoding,
    bodies: Vec<String>,
}

/// Random writes that may share requests, put into runs of neighbours.
fn runs(bodies: &mut Bodies, writes: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for _ in 0..writes {
        let (operation, body, write) = if bodies.random.u8(..6) == 0 {
            let ids: Vec<String> =
                (0..bodies.random.usize(1..3)).map(|_| bodies.random.char('a'..'g').into()).collect();
            let body = String::from_utf8(delete_ids_body(&ids)).expect("text");
            let DeleteRequest::Ids(write) = scan_delete(body.as_bytes()) else { panic!("{body}") };
            ("delete", body, write)
        } else {
            let (operation, body) = bodies.write();
            let write = scan_records(kind_of(operation), body.as_bytes()).expect(&body);
            (operation, body, write)
        };
        assert!(write.provable, "{operation} {body}");
        assert_eq!(count_of(body.as_bytes()), Some(write.count));
        // A biased choice keeps neighbours of one kind together, as load does.
        match runs.last_mut() {
            Some(run) if run.kind == write.kind && fits(run.encoding, write.encoding) => {
                if run.encoding == Encoding::None {
                    run.encoding = write.encoding;
                }
                run.bodies.push(body);
            }
            _ => {
                let run = Run { operation, kind: write.kind, encoding: write.encoding, bodies: vec![body] };
                runs.push(run);
            }
        }
    }
    runs
}

fn fits(one: Encoding, other: Encoding) -> bool {
    one == other || one == Encoding::None || other == Encoding::None
}

#[test]
fn a_run_in_one_request_ends_like_its_members_one_by_one() {
    let client = Client::new();
    let mut bodies = Bodies { random: crate::random(), nasty: 0 };
    let mut shared = 0;
    for _ in 0..3 {
        let (single, spliced) = (two_dimensional(&client), two_dimensional(&client));
        for run in runs(&mut bodies, 100) {
            shared += usize::from(run.bodies.len() > 1);
            let slices: Vec<&[u8]> = run.bodies.iter().map(String::as_bytes).collect();
            let mut deleted = 0;
            for body in &slices {
                let answer = client.send("POST", &format!("{single}/{}", run.operation), body);
                assert!(answer.is_success(), "{}", answer.text());
                deleted += answer.json()["deleted"].as_u64().unwrap_or(0);
            }
            let joined = splice(run.kind, &slices).expect("a run");
            let answer = client.send("POST", &format!("{spliced}/{}", run.operation), &joined);
            assert!(answer.is_success(), "{}: {}", String::from_utf8_lossy(&joined), answer.text());
            assert_eq!(answer.json()["deleted"].as_u64().unwrap_or(0), deleted);
            let (one, other) = (client.records(&single), client.records(&spliced));
            assert_eq!(one, other, "after {} of {:?}", run.operation, run.bodies);
        }
    }
    assert!(shared > 15, "only {shared} requests were shared");
}
