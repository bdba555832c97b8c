//! Deletes: by predicate through a get, and those that change nothing.

use isochrome::chroma::requests::{delete_ids_body, get_ids_body_for_delete, parse_get_ids};
use isochrome::chroma::rewrite::deleted_body;
use isochrome::chroma::scan::{DeleteRequest, scan_delete};

use crate::client::Client;

fn fill(client: &Client, collection: &str) {
    let body = br#"{"ids":["e","a","d","b","c"],"embeddings":[[1],[2],[3],[4],[5]],
        "documents":["red fox","blue fox",null,"red hen","hen"],
        "metadatas":[{"k":1},{"k":2},{"k":1,"l":true},{"k":3},null]}"#;
    let answer = client.send("POST", &format!("{collection}/upsert"), body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn ids(client: &Client, collection: &str) -> Vec<String> {
    serde_json::from_value(client.records(collection)["ids"].clone()).expect("ids")
}

/// Members of a delete by predicate, put together at random.
fn predicate(random: &mut fastrand::Rng) -> String {
    let choices: [&[&str]; 4] = [
        &[
            "",
            r#""ids":["a","b","x","a"]"#,
            r#""ids":[]"#,
            r#""ids":null"#,
            r#""ids":["c","e"]"#,
            r#""ids":[5]"#,
        ],
        &[
            r#""where":{"k":1}"#,
            r#""where":{"k":{"$gte":2}}"#,
            r#""where":{"$or":[{"k":1},{"l":true}]}"#,
            r#""wher\u0065":{"k":{"$nin":[3]}}"#,
            r#""where":{"k":99}"#,
            r#""where":{}"#,
            r#""where":{"k":1,"l":true}"#,
            r#""where":"x""#,
            "",
            r#""where":null"#,
        ],
        &[
            "",
            r#""where_document":null"#,
            r#""where_document":{"$contains":"fox"}"#,
            r#""where_document":{"$regex":"["}"#,
        ],
        &[
            "",
            r#""limit":1"#,
            r#""limit":2"#,
            r#""limit":0"#,
            r#""limit":null"#,
            r#""limit":-1"#,
            r#""offset":1"#,
        ],
    ];
    let mut members: Vec<&str> = choices.iter().filter_map(|from| random.choice(*from).copied()).collect();
    members.retain(|member| !member.is_empty());
    random.shuffle(&mut members);
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_get_finds_what_a_delete_by_predicate_removes() {
    let client = Client::new();
    let mut random = crate::random();
    let (plain, resolved) = (client.collection(), client.collection());
    let (mut removed, mut failed, mut nothing) = (0, 0, 0);
    for _ in 0..200 {
        fill(&client, &plain);
        fill(&client, &resolved);
        let body = predicate(&mut random);
        let deleted = client.send("POST", &format!("{plain}/delete"), body.as_bytes());
        match scan_delete(body.as_bytes()) {
            DeleteRequest::Where => {
                let get = get_ids_body_for_delete(body.as_bytes()).expect("a get");
                let found = client.send("POST", &format!("{resolved}/get"), &get);
                if found.is_success() {
                    let ids = parse_get_ids(&found.body).expect("ids");
                    assert_eq!(deleted.body, deleted_body(ids.len() as u64), "{body}");
                    removed += ids.len();
                    if !ids.is_empty() {
                        client.send("POST", &format!("{resolved}/delete"), &delete_ids_body(&ids));
                    }
                } else {
                    failed += 1;
                    assert_eq!(found.status, deleted.status, "{body}");
                    assert!(found.status == 422 || found.body == deleted.body, "{body}: {}", deleted.text());
                }
            }
            DeleteRequest::Ids(_) => {
                client.send("POST", &format!("{resolved}/delete"), body.as_bytes());
            }
            DeleteRequest::Nothing => nothing += 1,
        }
        assert_eq!(ids(&client, &plain), ids(&client, &resolved), "{body}: {}", deleted.text());
    }
    assert!(removed > 20 && failed > 10 && nothing > 10, "{removed} {failed} {nothing}");
}

#[test]
fn deletes_of_nothing_change_nothing() {
    let client = Client::new();
    let collection = client.collection();
    fill(&client, &collection);
    for body in [
        "",
        "{",
        "5",
        "null",
        "{}",
        r#"{"ids":null}"#,
        r#"{"ids":[]}"#,
        r#"{"ids":["a"],"limit":1}"#,
        r#"{"ids":["a",5]}"#,
        r#"{"ids":["a"],"ids":["b"]}"#,
        r#"{"ids":"a"}"#,
        r#"[["a"],null,null,null]"#,
        r#"[null,null,["a"],null]"#,
        r#"{"ids":["a"],"where":{"k":1},"where":null}"#,
        r#"{"limit":3}"#,
        r#"{"ids":["a"]}}"#,
    ] {
        assert_eq!(scan_delete(body.as_bytes()), DeleteRequest::Nothing, "{body}");
        client.send("POST", &format!("{collection}/delete"), body.as_bytes());
        assert_eq!(client.count(&collection), 5, "{body}");
    }
}

#[test]
fn an_empty_id_may_be_deleted() {
    let client = Client::new();
    let collection = client.collection();
    let body = br#"{"ids":["","a"]}"#;
    assert!(matches!(scan_delete(body), DeleteRequest::Ids(write) if write.provable && write.count == 2));
    assert_eq!(client.send("POST", &format!("{collection}/delete"), body).body, deleted_body(2));
}
