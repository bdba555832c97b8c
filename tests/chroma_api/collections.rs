//! Creates, modifies and the descriptions that come back.

use isochrome::chroma::collections::{Body, parse_create, parse_modify, parse_named, plain_create};
use isochrome::chroma::ids::CollectionId;
use isochrome::chroma::{path, rewrite};

use crate::client::{Client, DATABASE, TENANT, fresh_name};

#[test]
fn what_we_refuse_is_not_answered_and_what_is_unclear_is_refused_there() {
    let client = Client::new();
    let collections = path::collections(TENANT, DATABASE);
    for metadata in
        [r#"{"l":["a"]}"#, r#"{"l":[]}"#, r#"{"a":1,"a":[1]}"#, r#"{"s":{"indices":[1],"values":[1]}}"#]
    {
        let body = format!(r#"{{"name":"{}","metadata":{metadata}}}"#, fresh_name());
        assert_eq!(parse_create(body.as_bytes()).expect_err(&body).status, 400);
        assert!(client.try_send("POST", &collections, body.as_bytes()).is_none(), "{body}");
        let body = format!(r#"{{"new_metadata":{metadata}}}"#);
        assert_eq!(parse_modify(body.as_bytes()).expect_err(&body).status, 400);
    }
    for body in [
        "",
        "{",
        "{}",
        "5",
        r#"{"name":5}"#,
        r#"{"name":"abc","name":"abd"}"#,
        r#"{"name":"abc","get_or_create":null}"#,
        r#"{"name":"abc","get_or_create":1}"#,
        r#"{"name":"abc","metadata":{"a":1}"#,
        r#"{"name":"ab\ud800"}"#,
    ] {
        assert_eq!(parse_create(body.as_bytes()), Ok(Body::Unclear), "{body}");
        let answer = client.send("POST", &collections, body.as_bytes());
        assert!(matches!(answer.status, 400 | 422), "{body}: {}", answer.text());
    }
    let collection = client.collection();
    for body in
        ["", "[", r#"{"new_name":5}"#, r#"{"new_name":"abc","new_name":"abd"}"#, r#"{"new_name":"ab\ud800"}"#]
    {
        if body != "[" {
            assert_eq!(parse_modify(body.as_bytes()), Ok(Body::Unclear), "{body}");
        }
        let answer = client.send("PUT", &collection, body.as_bytes());
        assert!(matches!(answer.status, 400 | 422), "{body}: {}", answer.text());
    }
    for body in ["", "{}", r#"{"name":5}"#, r#"{"name":"abc","name":"abd"}"#] {
        assert_eq!(parse_named(body.as_bytes()), Ok(Body::Unclear), "{body}");
        let answer = client.send("POST", "/api/v2/tenants", body.as_bytes());
        assert!(matches!(answer.status, 400 | 422), "{body}: {}", answer.text());
    }
}

#[test]
fn a_plain_create_of_an_existing_name_is_an_error_and_else_the_same() {
    let client = Client::new();
    let collections = path::collections(TENANT, DATABASE);
    let name = fresh_name();
    let body =
        format!(r#"{{"get_or_create":true,"name":"{name}","metadata":{{"a":1.5}},"configuration":null}}"#);
    let plain = plain_create(body.as_bytes()).expect("a body");
    let created = client.send("POST", &collections, &plain).json();
    assert_eq!((&created["name"], &created["metadata"]["a"]), (&name.as_str().into(), &1.5.into()));
    assert_eq!(client.send("POST", &collections, &plain).status, 409);
    assert_eq!(client.send("POST", &collections, body.as_bytes()).status, 200);
}

#[test]
fn descriptions_are_rewritten_and_nothing_else_in_them() {
    let client = Client::new();
    let collection = client.collection();
    let id = collection.rsplit('/').next().expect("an id").to_owned();
    let described = client.send("GET", &collection.replace(&id, &format!("by-id/{id}")), b"");
    let real = rewrite::collection_id(&described.body).expect("an id");
    assert_eq!(real.to_string(), id);
    let public = CollectionId(7);
    let rewritten = rewrite::collection_with_id(&described.body, public).expect("a description");
    assert_eq!(String::from_utf8(rewritten).unwrap(), described.text().replacen(&id, &public.to_string(), 1));

    let listed = client.send("GET", &path::collections(TENANT, DATABASE), b"");
    let items = rewrite::list_items(&listed.body).expect("a list");
    assert!(items.iter().any(|item| item.real_id == real));
    assert_eq!(rewrite::join_list(items.iter().map(|item| item.json)), listed.body);
}

#[test]
fn error_messages_show_the_public_id() {
    let client = Client::new();
    let real = uuid::Uuid::from_u128(0xabcd);
    let path = format!("{}/count", path::collection(TENANT, DATABASE, real));
    let answer = client.send("GET", &path, b"");
    let mended = rewrite::mend_message(&answer.body, real, CollectionId(7));
    let expected = isochrome::chroma::error::ApiError::collection_id_not_found(CollectionId(7));
    assert_eq!(mended, expected.body());
}
