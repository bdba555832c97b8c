//! The routes, the spellings of ids and the query strings.

use isochrome::chroma::ids::parse_uuid;
use isochrome::chroma::route::{self, Route};
use isochrome::chroma::{page, path};

use crate::client::{Client, DATABASE, TENANT};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Paths outside of databases.
const OUTSIDE: &[&str] = &[
    "/x",
    "/",
    "/api",
    "/api/v2",
    "/api/v2/",
    "/api/v2x",
    "/api/v1",
    "/api/v1/",
    "/api/v1/x",
    "/api/v1/x/",
    "/api/v2/heartbeat",
    "/api/v2/healthcheck",
    "/api/v2/version",
    "/api/v2/version/",
    "/api/v2/%76ersion",
    "/api/v2//version",
    "//api/v2/version",
    "/api/v2/pre-flight-checks",
    "/api/v2/auth/identity",
    "/api/v2/tenants/x",
    "/api/v2/tenants/x/",
    "/api/v2/tenants/x/databases/",
    "/api/v2/collections",
    "/openapi.json",
    "/docs",
    "/docs/",
];

/// What follows the path of a database.
const INSIDE: &[&str] = &[
    "/collections",
    "/collections/",
    "/collections_count",
    "/collections/x",
    "/collections/by-id",
    "/collections/by-id/x",
    "/collections/by-id/add",
    "/collections/x/add",
    "/collections/x/upsert",
    "/collections/x/update",
    "/collections/x/delete",
    "/collections/x/get",
    "/collections/x/query",
    "/collections/x/count",
    "/collections/x/search",
    "/collections/x/fork",
    "/collections/x/fork_count",
    "/collections/x/indexing_status",
    "/collections/x/functions/attach",
    "/collections/x/functions/f",
    "/collections/x/attached_functions/f/detach",
    "/collections/x/attached_functions/f",
    "/collections/x/nothing",
    "/collections/x/add/more",
    "/nothing",
];

#[test]
fn every_operation_that_the_server_describes_is_known() {
    let described = Client::new().send("GET", "/openapi.json", b"").json();
    let paths = described["paths"].as_object().expect("paths");
    let mut operations = 0;
    for (template, methods) in paths {
        let path = template.replace(['{', '}'], "");
        for method in methods.as_object().expect("methods").keys() {
            operations += 1;
            let route = route::parse(&method.to_uppercase(), &path);
            let unknown = matches!(route, Route::NotFound | Route::MethodNotAllowed { .. });
            assert!(!unknown, "{method} {template}: {route:?}");
        }
    }
    assert_eq!((paths.len(), operations), (29, 35));
}

#[test]
fn unknown_paths_and_wrong_methods_are_those_of_the_server() {
    let client = Client::new();
    let database = path::database("t-t-t", "d-d-d");
    let inside = INSIDE.iter().map(|rest| format!("{database}{rest}"));
    let paths: Vec<String> = OUTSIDE.iter().map(|&path| path.to_owned()).chain(inside).collect();
    for path in &paths {
        for method in METHODS {
            compare(&client, method, path);
        }
    }
}

fn compare(client: &Client, method: &str, path: &str) {
    let answer = client.send(method, path, b"{");
    match route::parse(method, path) {
        Route::NotFound => {
            assert_eq!((answer.status, answer.text().as_str()), (404, ""), "{method} {path}");
        }
        Route::MethodNotAllowed { allow } => {
            assert_eq!((answer.status, answer.text().as_str()), (405, ""), "{method} {path}");
            assert!(answer.head.contains(&format!("allow: {allow}")), "{method} {path}: {}", answer.head);
        }
        known => {
            let nothing = answer.status == 405 || answer.status == 404 && answer.body.is_empty();
            assert!(!nothing || method == "HEAD", "{method} {path}: {known:?} but {answer:?}");
        }
    }
}

#[test]
fn names_that_are_not_utf8_get_the_servers_words() {
    let client = Client::new();
    for path in ["/api/v2/tenants/%FF", "/api/v2/tenants/x/databases/%C3", "/api/v2/collections/%FF"] {
        let Route::Malformed(error) = route::parse("GET", path) else { panic!("{path}") };
        client.send("GET", path, b"").assert_is(&error);
    }
}

#[test]
fn ids_are_taken_in_the_servers_spellings() {
    let client = Client::new();
    let collection = client.collection();
    let id = collection.rsplit('/').next().expect("an id").to_owned();
    let bare = id.replace('-', "");
    for spelling in [
        id.clone(),
        id.to_uppercase(),
        bare.clone(),
        bare.to_uppercase(),
        format!("{{{id}}}"),
        format!("{{{bare}}}"),
        format!("urn:uuid:{id}"),
        format!("urn:uuid:{bare}"),
        format!("%20{id}"),
        id[1..].to_owned(),
        "name".to_owned(),
    ] {
        let path = format!("{}/{spelling}/count", path::collections(TENANT, DATABASE));
        let taken = client.send("GET", &path, b"").status == 200;
        assert_eq!(parse_uuid(&spelling).is_some(), taken, "{spelling}");
    }
}

#[test]
fn query_strings_are_read_like_the_server_does() {
    let client = Client::new();
    for query in [
        "",
        "limit=0",
        "limit=%31&offset=1",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit",
        "offset=4294967296",
        "limit=+1",
        "limit=%2B1",
        "limit=1.5",
        "limit=1&limit=2",
        "offset=1&limit=y&offset=2",
        "&&x=1&=2",
        "l%69mit=q",
        "limit=%FF",
    ] {
        let answer = client.send("GET", &format!("{}?{query}", path::databases(TENANT)), b"");
        match page::parse(query) {
            Ok(page) => {
                assert_eq!(answer.status, 200, "{query}");
                let expected = page.of(&["default_database"]).len();
                assert!(answer.json().as_array().is_some_and(|list| list.len() >= expected), "{query}");
            }
            Err(error) => answer.assert_is(&error),
        }
    }
}
