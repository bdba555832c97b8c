//! CORS: as Chroma with the same origins, and without any as Chroma without.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::wire::{Wire, bare, post};
use crate::world::{COLLECTIONS, World};

/// What a browser goes by.
fn for_browsers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let named =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()));
    named.filter(|(name, _)| name.starts_with("access-control") || name == "vary").collect()
}

#[test]
fn pages_of_the_named_origins_are_let_in_as_chroma_lets_them_in() {
    let world = World::shared();
    let preflight = |origin| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        bare("OPTIONS", &format!("{COLLECTIONS}/x/add"), &headers)
    };
    let asked = [
        ("preflight", preflight("https://app.example")),
        ("preflight of another", preflight("https://evil.example")),
        ("preflight of a longer name", preflight("https://app.example.evil")),
        ("OPTIONS of none", bare("OPTIONS", "/api/v2/heartbeat", &[])),
        ("OPTIONS of nothing", bare("OPTIONS", "/nothing", &[("origin", "https://app.example")])),
        ("a read", bare("GET", "/api/v2/version", &[("origin", "http://localhost:3000")])),
        ("a read of another", bare("GET", "/api/v2/version", &[("origin", "https://evil.example")])),
        ("a read of none", bare("GET", "/api/v2/version", &[])),
        ("an error", bare("GET", "/api/v2/tenants/none", &[("origin", "https://app.example")])),
        ("no such path", bare("GET", "/nothing", &[("origin", "https://app.example")])),
        ("a write", post(COLLECTIONS, &[("origin", "https://app.example")], b"{\"name\":5}")),
    ];
    for (what, request) in asked {
        let (ours, _) = world.wire().send(&request).answer();
        let (theirs, _) = Wire::connect(world.chroma.port()).send(&request).answer();
        assert_eq!(ours.status, theirs.status, "{what}");
        assert_eq!(for_browsers(&ours.headers), for_browsers(&theirs.headers), "{what}");
    }
    let (let_in, _) = world.wire().send(preflight("https://app.example")).answer();
    assert_eq!(let_in.header("access-control-allow-origin"), "https://app.example");
}

#[test]
fn without_origins_there_is_nothing_for_browsers() {
    let world = crate::connections::plain();
    for method in ["OPTIONS", "GET"] {
        let request = bare(method, "/api/v2/heartbeat", &[("origin", "https://app.example")]);
        let (head, _) = world.wire().send(request).answer();
        assert_eq!(head.status, if method == "GET" { 200 } else { 405 });
        assert_eq!(for_browsers(&head.headers), BTreeMap::new());
    }
}
