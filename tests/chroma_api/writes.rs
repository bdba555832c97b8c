//! Scanned record writes, sent to a real server.

use isochrome::chroma::error::ApiError;
use isochrome::chroma::requests::{DIMENSION_ID, fix_dimension_body};
use isochrome::chroma::scan::{MAX_METADATA_ROWS, scan_records};
use isochrome::wal::record::{RecordKind, RecordWrite};

use crate::bodies::Bodies;
use crate::client::Client;

pub(crate) fn kind_of(operation: &str) -> RecordKind {
    match operation {
        "add" => RecordKind::Add,
        "upsert" => RecordKind::Upsert,
        "update" => RecordKind::Update,
        _ => panic!("{operation}"),
    }
}

/// A collection whose dimension is 2.
pub(crate) fn two_dimensional(client: &Client) -> String {
    let collection = client.collection();
    let fixed = client.send("POST", &format!("{collection}/update"), &fix_dimension_body(2));
    assert_eq!(fixed.status, 200, "{}", fixed.text());
    collection
}

#[test]
fn what_is_provable_is_never_refused_and_what_passes_does_no_harm() {
    let client = Client::new();
    let mut bodies = Bodies { random: crate::random(), nasty: 30 };
    let mut collection = two_dimensional(&client);
    let (mut provable, mut left_to_chroma, mut refused) = (0, 0, 0);
    for round in 0..800 {
        if round % 100 == 0 {
            collection = two_dimensional(&client);
        }
        let (operation, body) = bodies.write();
        let Ok(write) = scan_records(kind_of(operation), body.as_bytes()) else {
            refused += 1;
            continue;
        };
        let answer = client.send("POST", &format!("{collection}/{operation}"), body.as_bytes());
        let told = format!("{operation} {body}: {write:?} but {} {}", answer.status, answer.text());
        if write.provable && write.dimension.is_none_or(|dimension| dimension == 2) {
            provable += 1;
            assert!(answer.is_success(), "{told}");
        }
        if write.ids.is_none() {
            left_to_chroma += 1;
            assert!(matches!(answer.status, 400 | 422), "unreadable, so it must change nothing: {told}");
        }
        assert!(answer.status < 500, "{told}");
    }
    assert!(provable > 100 && left_to_chroma > 25 && refused > 10, "{provable} {left_to_chroma} {refused}");
}

#[test]
fn refusals_before_the_log_have_the_servers_words() {
    let client = Client::new();
    let collection = client.collection();
    let sparse = r#""metadatas":[{"sv":{"indices":[1],"values":[1.5]}}]"#;
    for (operation, body) in [
        ("add", r#"{"ids":["a",""],"embeddings":[[1,2],[3,4]]}"#.to_owned()),
        ("upsert", r#"{"ids":[""],"embeddings":[[1,2]]}"#.to_owned()),
        ("update", r#"{"ids":[""]}"#.to_owned()),
        ("add", r#"{"ids":["a",""],"embeddings":[[1,2]]}"#.to_owned()),
        ("upsert", r#"{"ids":["a"],"embeddings":[[1,2]],"documents":["x","y"]}"#.to_owned()),
        ("update", r#"{"ids":["a"],"uris":[]}"#.to_owned()),
        ("add", format!(r#"{{"ids":["a"],"embeddings":[[1,2]],{sparse}}}"#)),
        ("update", format!(r#"{{"ids":["a"],{sparse}}}"#)),
        ("upsert", format!(r#"{{"ids":[""],"embeddings":[[1,2]],{sparse}}}"#)),
    ] {
        let error = scan_records(kind_of(operation), body.as_bytes()).expect_err(&body);
        client.send("POST", &format!("{collection}/{operation}"), body.as_bytes()).assert_is(&error);
    }
    assert_eq!(client.count(&collection), 0);
}

#[test]
fn the_largest_records_that_we_let_through_can_be_stored() {
    let client = Client::new();
    let collection = client.collection();
    let keys: Vec<String> = (0..MAX_METADATA_ROWS - 1).map(|i| format!("\"k{i}\":1")).collect();
    let list = vec!["1"; MAX_METADATA_ROWS].join(",");
    for (metadata, document) in
        [(format!("{{{}}}", keys.join(",")), "[\"text\"]"), (format!(r#"{{"list":[{list}]}}"#), "null")]
    {
        let body = format!(
            r#"{{"ids":["a"],"embeddings":[[1,2]],"documents":{document},"metadatas":[{metadata}]}}"#
        );
        assert!(scan_records(RecordKind::Upsert, body.as_bytes()).is_ok_and(|write| write.provable));
        let answer = client.send("POST", &format!("{collection}/upsert"), body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn fixing_a_dimension_changes_no_record() {
    let client = Client::new();
    let collection = two_dimensional(&client);
    let id = collection.rsplit('/').next().expect("an id");
    let described = client.send("GET", &collection.replace(id, &format!("by-id/{id}")), b"").json();
    assert_eq!(described["dimension"], 2);
    assert_eq!(client.count(&collection), 0);
    assert_eq!(client.records(&collection)["ids"], serde_json::json!([]));

    let taken = format!(r#"{{"ids":[{}],"embeddings":[[1,2]]}}"#, serde_json::json!(DIMENSION_ID));
    let refused: Result<RecordWrite, ApiError> = scan_records(RecordKind::Add, taken.as_bytes());
    assert_eq!(refused.expect_err("the id is ours").status, 400);
}
