use super::*;

fn add(body: &str) -> RecordWrite {
    scan_records(RecordKind::Add, body.as_bytes()).expect(body)
}

fn refused(kind: RecordKind, body: &str) -> (u16, String) {
    let error = scan_records(kind, body.as_bytes()).expect_err(body);
    (error.status, error.message)
}

fn with_metadata(metadata: &str) -> String {
    format!(r#"{{"ids":["a"],"embeddings":[[1,2]],"metadatas":[{metadata}]}}"#)
}

#[test]
fn a_plain_add_is_provable_and_known() {
    let write =
        add(r#"{"ids":["b","a","b"],"embeddings":[[1,2],[3,4.5],[-5e-3,6]],"documents":["x",null,"y"]}"#);
    let mut ids = vec![hash_id("a"), hash_id("b")];
    ids.sort_unstable();
    let expected = RecordWrite {
        kind: RecordKind::Add,
        encoding: Encoding::Lists,
        count: 3,
        dimension: Some(2),
        ids: Some(ids),
        provable: true,
    };
    assert_eq!(write, expected);
}

#[test]
fn an_id_is_the_same_in_any_spelling() {
    let plain = add(r#"{"ids":["a/é"],"embeddings":[[1]]}"#);
    let escaped = add(r#"{"\u0069ds":["\u0061\/\u00e9"],"embeddings":[[1]]}"#);
    assert_eq!(plain, escaped);
}

#[test]
fn too_many_ids_are_all_ids() {
    let ids = |count: usize| {
        let ids: Vec<String> = (0..count).map(|i| format!("\"{i}\"")).collect();
        scan_records(RecordKind::Update, format!(r#"{{"ids":[{}]}}"#, ids.join(",")).as_bytes()).unwrap().ids
    };
    assert_eq!(ids(MAX_IDS).map(|ids| ids.len()), Some(MAX_IDS));
    assert_eq!(ids(MAX_IDS + 1), None);
}

#[test]
fn what_chroma_answers_itself_goes_alone() {
    for body in [
        "",
        "{",
        "5",
        "{}",
        r#"{"ids":["a"]}"#,
        r#"{"ids":["a"],"embeddings":null}"#,
        r#"{"ids":["a"],"embeddings":[null]}"#,
        r#"{"ids":["a"],"embeddings":[[1]]} x"#,
        r#"{"ids":["a"],"ids":["a"],"embeddings":[[1]]}"#,
        r#"{"ids":["a"],"embeddings":[[1]],"documents":["\ud800"]}"#,
        r#"{"ids":["a"],"embeddings":[[1]],"documents":[5]}"#,
        r#"{"ids":["a"],"embeddings":[[1]],"metadatas":[[]]}"#,
    ] {
        assert_eq!(add(body), unreadable(RecordKind::Add), "{body}");
    }
}

#[test]
fn what_might_be_refused_is_not_provable() {
    for body in [
        r#"{"ids":[],"embeddings":[]}"#.to_owned(),
        r#"{"ids":["a"],"embeddings":[[]]}"#.to_owned(),
        r#"{"ids":["a"],"embeddings":[[1e39]]}"#.to_owned(),
        r#"{"ids":["a","b"],"embeddings":[[1],[1,2]]}"#.to_owned(),
        r#"{"ids":["a"],"embeddings":["AADAfw=="]}"#.to_owned(),
        with_metadata(r#"{"":1}"#),
        with_metadata(r#"{"$a":1}"#),
        with_metadata(r#"{"\u0023a":1}"#),
        with_metadata(r#"{"a":null}"#),
        with_metadata(r#"{"a":1e400}"#),
        with_metadata(r#"{"a":{}}"#),
        with_metadata(r#"{"a":[1,"b"]}"#),
        with_metadata(r#"{"a":{"indices":[2,1],"values":[1,2]}}"#),
        with_metadata(r#"{"a":[null]}"#),
        with_metadata(r#"{"a":"\ud800"}"#),
    ] {
        assert!(!add(&body).provable, "{body}");
    }
    assert!(add(&with_metadata(r#"{"a":1,"b":-2.5,"c":"x","d":true,"e":["x"],"f":[],"g":[1,2]}"#)).provable);
}

#[test]
fn chromas_own_refusals_that_would_fix_the_dimension_are_ours() {
    let empty = refused(RecordKind::Upsert, r#"{"ids":["a",""],"embeddings":[[1],[2]]}"#);
    assert_eq!(empty, (400, "Empty ID, ID must have at least one character".to_owned()));
    let unequal = refused(RecordKind::Update, r#"{"ids":["a",""],"documents":["x"]}"#);
    assert_eq!(unequal.1, "Inconsistent number of IDs, embeddings, documents, URIs and metadatas");
    let null = r#"{"ids":["a",""],"embeddings":[[1]],"metadatas":[{"a":null}]}"#;
    assert!(!add(null).provable, "of two faults it tells the type first, and fixes nothing then");
    let sparse = refused(RecordKind::Add, &with_metadata(r#"{"sv":{"indices":[1,4],"values":[1,2.5]}}"#));
    assert_eq!(
        sparse,
        (501, "Unimplemented: Sparse vector is not supported for local chroma: sv".to_owned())
    );
}

#[test]
fn of_repeated_metadata_keys_the_last_counts_and_each_must_be_readable() {
    for (metadata, readable) in [
        (r#"{"k":{"indices":[1],"values":[1]},"k":1}"#, true),
        (r#"{"k":{"indices":[2,1],"values":[1,2]},"k":1}"#, true),
        (r#"{"k":{"indices":[1],"values":[1,2],"tokens":["a"]},"\u006b":1}"#, true),
        (r#"{"k":{"indices":[1],"values":[1],"tokens":[5]},"k":1}"#, false),
        (r##"{"k":{"#type":"other","indices":[1],"values":[1]},"k":1}"##, false),
        (r#"{"k":[1,"a"],"k":1}"#, false),
    ] {
        let write = add(&with_metadata(metadata));
        assert_eq!((write.provable, write.ids.is_some()), (readable, readable), "{metadata}");
    }
    let last = r#"{"k":1,"k":{"indices":[1],"values":[1]}}"#;
    assert_eq!(refused(RecordKind::Add, &with_metadata(last)).0, 501);
}

#[test]
fn poison_is_found_in_every_disguise() {
    for metadata in [
        r#"{"chroma:document":5}"#,
        r#"{"chroma\u003adocument":true}"#,
        r#"{"\u0063hroma:uri":["x"]}"#,
        r#"{"chroma:document":"x","chroma:document":1.5}"#,
        r#"{"chroma:document":1.5,"chroma:document":"x"}"#,
        r#"{"chroma:document":null}"#,
        r#"{"chroma:uri":{}}"#,
        r#"{"chroma:":"x"}"#,
        r#"{"chroma:foo":"x"}"#,
        r#"{"a":1e400,"chroma:document":2}"#,
        r#"{"a":[[[[{}]]]],"chroma:document":2}"#,
    ] {
        for kind in [RecordKind::Add, RecordKind::Upsert, RecordKind::Update] {
            assert_eq!(refused(kind, &with_metadata(metadata)).0, 400, "{metadata}");
        }
    }
    let positional = r#"[["a"],[[1]],null,null,[{"chroma:document":5}]]"#;
    assert_eq!(refused(RecordKind::Add, positional).0, 422);
    let mut bad_utf8 = br#"{"x":"?","ids":["a"],"embeddings":[[1]],"metadatas":[{"chroma:uri":5}]}"#.to_vec();
    bad_utf8[6] = 0xff;
    assert_eq!(scan_records(RecordKind::Add, &bad_utf8).unwrap_err().status, 400);
}

#[test]
fn a_document_or_uri_as_text_is_fine() {
    assert!(add(&with_metadata(r#"{"chroma:document":"x","chroma:uri":"y"}"#)).provable);
}

#[test]
fn a_record_with_more_rows_than_a_statement_takes_is_refused() {
    let keys = |count: usize| {
        let members: Vec<String> = (0..count).map(|i| format!("\"k{i}\":1")).collect();
        with_metadata(&format!("{{{}}}", members.join(",")))
    };
    assert!(add(&keys(MAX_METADATA_ROWS)).provable);
    assert_eq!(refused(RecordKind::Add, &keys(MAX_METADATA_ROWS + 1)).0, 400);
    let with_document = keys(MAX_METADATA_ROWS).replace("\"ids\"", "\"documents\":[\"d\"],\"ids\"");
    assert_eq!(refused(RecordKind::Add, &with_document).0, 400);
    let lists = |count: usize| {
        let list = vec!["1"; count / 2].join(",");
        with_metadata(&format!(r#"{{"a":[{list}],"b":[{list}]}}"#))
    };
    assert!(add(&lists(MAX_METADATA_ROWS)).provable);
    assert_eq!(refused(RecordKind::Add, &lists(MAX_METADATA_ROWS + 1)).0, 400);
}

#[test]
fn deletes_are_by_ids_by_predicate_or_of_nothing() {
    for body in [r#"{"ids":["a","a"]}"#, r#"{"ids":["",""],"where":null,"limit":null}"#] {
        let DeleteRequest::Ids(write) = scan_delete(body.as_bytes()) else { panic!("{body}") };
        assert!(write.provable && write.count == 2 && write.kind == RecordKind::Delete);
    }
    for body in [
        r#"{"where":{}}"#,
        r#"{"ids":[],"where":5}"#,
        r#"{"wher\u0065_document":{"$contains":"x"},"limit":1}"#,
    ] {
        assert_eq!(scan_delete(body.as_bytes()), DeleteRequest::Where, "{body}");
    }
    for body in [
        "",
        "{}",
        r#"{"ids":null}"#,
        r#"{"ids":[]}"#,
        r#"{"ids":["a"],"limit":1}"#,
        r#"{"ids":["a",5]}"#,
        r#"{"where":{"a":1},"limit":true}"#,
        r#"{"where":{"a":1},"ids":"a"}"#,
        r#"{"ids":["a"],"ids":["a"]}"#,
        r#"[["a"],null,null,null]"#,
    ] {
        assert_eq!(scan_delete(body.as_bytes()), DeleteRequest::Nothing, "{body}");
    }
}

/// Bodies put together from pieces of JSON at random: whatever comes, scanning ends with an answer.
#[test]
#[allow(clippy::print_stdout, reason = "a failing run must show its seed")]
fn scanning_survives_anything() {
    let seed = std::env::var("ISOCHROME_SEED").map_or(0x1505, |seed| seed.parse().unwrap());
    println!("ISOCHROME_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let pieces: [&[u8]; 25] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\"ids\":",
        b"\"embeddings\":",
        b"\"metadatas\":",
        b"\"where\":",
        b"[[1,2]]",
        b"[\"a\"]",
        b"\"AACAPw==\"",
        b"null",
        b"1e999",
        b"-",
        b".",
        b"\\u00",
        b"\xff",
        b" ",
        b"{\"chroma:document\":5}",
        b"true",
        b"\"limit\":1",
    ];
    for _ in 0..50_000 {
        let mut body = Vec::new();
        for _ in 0..random.usize(..12) {
            body.extend_from_slice(pieces[random.usize(..pieces.len())]);
        }
        if random.bool() {
            body = [br#"{"ids":["a"],"embeddings":"#.as_slice(), &body, b"}"].concat();
        }
        for kind in [RecordKind::Add, RecordKind::Update] {
            let _ = scan_records(kind, &body);
        }
        let _ = scan_delete(&body);
        let _ = super::super::splice::splice(RecordKind::Update, &[&body, &body]);
        let _ = super::super::collections::plain_create(&body);
        let _ = super::super::requests::get_ids_body_for_delete(&body);
    }
}
