//! The words that we speak in a server's place.

use isochrome::chroma::answers::{Asked, Meaning, classify};
use isochrome::chroma::error::{self, ApiError};
use isochrome::chroma::path;

use crate::client::{Client, DATABASE, TENANT, fresh_name};

const NOBODY: &str = "00000000-0000-4000-8000-00000000abcd";

#[test]
fn missing_and_taken_names_are_told_in_the_servers_words() {
    let client = Client::new();
    let collections = path::collections(TENANT, DATABASE);
    let name = fresh_name();
    let named = format!(r#"{{"name":"{name}"}}"#);
    let create = |path: &str| client.send("POST", path, named.as_bytes());

    assert_eq!(create(&collections).status, 200);
    create(&collections).assert_is(&ApiError::collection_exists(&name));
    assert_eq!(create("/api/v2/tenants").status, 200);
    create("/api/v2/tenants").assert_is(&ApiError::tenant_exists(&name));
    assert_eq!(create(&path::databases(TENANT)).status, 200);
    create(&path::databases(TENANT)).assert_is(&ApiError::database_exists(&name));
    create(&path::collections(TENANT, "nowhere"))
        .assert_is(&ApiError::database_of_create_not_found("nowhere"));

    let missing = |method: &str, path: &str| client.send(method, path, b"{}");
    missing("GET", &format!("{collections}/nothing")).assert_is(&ApiError::collection_not_found("nothing"));
    missing("DELETE", &format!("{collections}/nothing"))
        .assert_is(&ApiError::collection_not_found("nothing"));
    missing("GET", &format!("{collections}/by-id/{NOBODY}"))
        .assert_is(&ApiError::collection_not_found(NOBODY));
    missing("GET", &format!("{collections}/by-id/nothing")).assert_is(&ApiError::malformed_by_id());
    missing("PUT", &format!("{collections}/{NOBODY}")).assert_is(&ApiError::collection_id_not_found(NOBODY));
    missing("PUT", &format!("{collections}/nothing")).assert_is(&ApiError::malformed_collection_id());
    missing("GET", "/api/v2/tenants/nobody").assert_is(&ApiError::tenant_not_found("nobody"));
    missing("GET", &path::database(TENANT, "nowhere")).assert_is(&ApiError::database_not_found("nowhere"));
    missing("DELETE", &path::database(TENANT, "nowhere"))
        .assert_is(&ApiError::database_to_delete_not_found("nowhere"));
    missing("GET", &path::collections(TENANT, "x")).assert_is(&ApiError::database_name_short());
    missing("GET", &path::database(TENANT, "x")).assert_is(&ApiError::database_name_short());
}

#[test]
fn record_operations_on_nothing_are_told_in_the_servers_words() {
    let client = Client::new();
    let collections = path::collections(TENANT, DATABASE);
    let add = r#"{"ids":["a"],"embeddings":[[1,2]]}"#;
    for (method, operation, body) in [
        ("POST", "add", add),
        ("POST", "upsert", add),
        ("POST", "update", add),
        ("POST", "delete", add),
        ("POST", "get", "{}"),
        ("POST", "query", r#"{"query_embeddings":[[1,2]]}"#),
        ("GET", "count", ""),
    ] {
        let send =
            |id: &str| client.send(method, &format!("{collections}/{id}/{operation}"), body.as_bytes());
        let answer = send(NOBODY);
        answer.assert_is(&ApiError::collection_id_not_found(NOBODY));
        assert_eq!(classify(Asked::Records, answer.status, &answer.body), Meaning::StateLost);
        send("nothing").assert_is(&ApiError::malformed_collection_id());
    }
}

#[test]
fn what_is_off_or_gone_is_told_in_the_servers_words() {
    let client = Client::new();
    client.send("POST", "/api/v2/reset", b"").assert_is(&ApiError::reset_disabled());
    client.send("GET", "/api/v1/collections", b"").assert_is(&ApiError::v1_gone());
    for malformed in ["nothing", "a:b", "a::c", ":b:c", "a:b:c:d"] {
        client
            .send("GET", &format!("/api/v2/collections/{malformed}"), b"")
            .assert_is(&ApiError::crn(malformed));
    }
    assert!(
        client.try_send("GET", "/api/v2/collections/a:b:c", b"").is_none(),
        "what we refuse is not answered"
    );
    assert_eq!(ApiError::crn("a:b:c").status, 400);
}

#[test]
fn content_types_and_sizes_are_judged_like_the_server_does() {
    let client = Client::new();
    let delete = format!("{}/delete", client.collection());
    for content_type in [
        "application/json",
        "APPLICATION/JSON; charset=x",
        "application/vnd.x+json",
        "text/json",
        "application/jsonx",
        "",
    ] {
        let answer = client.send_as(content_type, "POST", &delete, b"{}").expect("an answer");
        match ApiError::check_content_type(Some(content_type)) {
            Ok(()) => assert_eq!(answer.status, 200, "{content_type}"),
            Err(error) => answer.assert_is(&error),
        }
    }
    let body_of = |bytes: usize| format!(r#"{{"ids":["{}"]}}"#, "a".repeat(bytes - 12)).into_bytes();
    assert_eq!(client.send("POST", &delete, &body_of(error::MAX_BODY_BYTES)).status, 200);
    let too_large = body_of(error::MAX_BODY_BYTES + 1);
    client.send("POST", &delete, &too_large).assert_is(&ApiError::payload_too_large());
    let add = client.send("POST", &delete.replace("/delete", "/add"), &too_large);
    assert_eq!((add.status, add.text().as_str()), (413, error::PAYLOAD_TOO_LARGE));
}

#[test]
fn verdicts_that_look_like_trouble_are_known() {
    let client = Client::new();
    let collection = client.collection();
    let taken = fresh_name();
    client.send("POST", &path::collections(TENANT, DATABASE), format!(r#"{{"name":"{taken}"}}"#).as_bytes());
    let rename = isochrome::chroma::requests::rename_body(&taken);
    let answer = client.send("PUT", &collection, &rename);
    answer.assert_is(&ApiError::rename_taken());
    assert_eq!(classify(Asked::ModifyCollection, answer.status, &answer.body), Meaning::Rejected);

    let ids: Vec<String> = (0..40_000).map(|i| format!("\"{i}\"")).collect();
    let get = format!(r#"{{"ids":[{}]}}"#, ids.join(","));
    let answer = client.send("POST", &format!("{collection}/get"), get.as_bytes());
    assert_eq!(answer.status, 500);
    assert_eq!(classify(Asked::Read, answer.status, &answer.body), Meaning::Rejected);

    let create = client.send("POST", &path::collections(TENANT, "nowhere"), br#"{"name":"abc"}"#);
    assert_eq!(classify(Asked::CreateCollection, create.status, &create.body), Meaning::StateLost);
    let function = client.send("GET", &format!("{collection}/functions/f"), b"");
    assert_eq!(classify(Asked::Read, function.status, &function.body), Meaning::Rejected);
}
