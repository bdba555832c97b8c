//! What passes through unchanged, and what reads do not do.

use std::collections::BTreeMap;

use http::Method;
use serde_json::json;

use crate::cluster::{Cluster, new_space};
use crate::support::api::{Api, id_of, records};
use crate::support::chroma::Chroma;
use crate::support::http::{Answer, request};
use crate::support::proxy::{Fault, Proxy, Rule};

#[tokio::test]
async fn a_thousand_reads_are_not_logged_and_both_servers_serve_some() {
    // Kept answers would hide who is asked.
    let cluster = Cluster::start_as(|setup| setup.variable("ISOCHROME_READ_CACHE_MAX_BYTES", "0"));
    let api = cluster.api();
    let id = api.new_collection("read").await;
    api.add(&id, &records(&["a", "b", "c"])).await.expect(201);
    cluster.settle().await;
    let before = cluster.status().await;
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    let mut first: BTreeMap<u32, String> = BTreeMap::new();
    for number in 0..1_000_u32 {
        let query = json!({ "query_embeddings": [[number % 100, 0.2, 0.3]], "n_results": 2 });
        let answer = api.post(&id, "query", &query).await.expect(200);
        let by = answer.header("isochrome-instance").expect("who served it").to_owned();
        let same = first.entry(number % 100).or_insert_with(|| by.clone());
        assert_eq!(*same, by, "the same query goes to the same instance");
        *served.entry(by).or_default() += 1;
    }
    let after = cluster.status().await;
    for key in ["durable_lsn", "appended_entries"] {
        assert_eq!(before["log"][key], after["log"][key], "{key}");
    }
    assert_eq!(before["stats"]["writes"], after["stats"]["writes"]);
    let reads = |status: &serde_json::Value| status["stats"]["reads"].as_u64().expect("a count");
    assert!(reads(&after) >= reads(&before) + 1_000, "{after:#}");
    assert!(served.len() == 2 && served.values().all(|count| *count > 100), "{served:?}");
}

fn raw(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

async fn ask(api: &Api, path: &str) -> Answer {
    let mut request = request(Method::GET, &api.collections(path), None);
    request.headers_mut().insert("accept-encoding", "gzip, br".parse().expect("a value"));
    request.headers_mut().insert("x-unheard-of", "kept".parse().expect("a value"));
    api.http.send(request).await.expect("an answer")
}

#[tokio::test]
async fn status_headers_bytes_and_query_strings_of_reads_pass_unchanged() {
    let cluster = Cluster::behind_proxies(|setup| setup);
    let api = cluster.api();
    let id = api.new_collection("passed").await;
    api.add(&id, &records(&["a"])).await.expect(201);
    cluster.settle().await;
    let binary: Vec<u8> = (0..=255).cycle().take(400_000).collect();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let refusal = br#"{"error":"InvalidArgumentError","message":"no"}"#;
    let answers: [(u16, Vec<u8>, &[u8]); 7] = [
        (200, raw("200 OK", "content-encoding: gzip\r\nx-other: 1\r\n", &binary[..40]), &binary[..40]),
        (200, raw("200 OK", "content-encoding: br\r\nx-other: 1\r\n", &binary[7..9]), &binary[7..9]),
        (200, raw("200 OK", "content-type: application/json\r\nx-other: 1\r\n", b"7"), b"7"),
        (204, b"HTTP/1.1 204 No Content\r\nx-other: 1\r\nconnection: close\r\n\r\n".to_vec(), b""),
        (200, raw("200 OK", "x-other: 1\r\n", &binary), &binary),
        (200, chunked.to_vec(), b"abcde"),
        (
            422,
            raw("422 Unprocessable Entity", "content-type: application/json\r\nx-other: 1\r\n", refusal),
            refusal,
        ),
    ];
    for (number, (status, bytes, body)) in answers.iter().enumerate() {
        // The rule matches only a query string that arrived as it was sent.
        let query = format!("count?read_level=index_only&odd=%20%2Fa+b&n={number}");
        for proxy in &cluster.proxies {
            let fault = Fault::Replace(bytes.clone());
            proxy.rule(Rule { method: "GET", path: format!("{query} HTTP"), times: 1, fault });
        }
        let answer = ask(&api, &format!("/{id}/{query}")).await.expect(*status);
        assert_eq!(answer.body, *body, "answer {number}");
        let sent = String::from_utf8_lossy(bytes).into_owned();
        for name in ["content-encoding", "content-type", "x-other"] {
            let expected = sent
                .split("\r\n\r\n")
                .next()
                .and_then(|head| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))));
            assert_eq!(answer.header(name), expected, "{name} of answer {number}");
        }
    }
    assert!(cluster.proxies.iter().map(Proxy::faults).sum::<u64>() >= answers.len() as u64);
}

/// Method, path under `/api/v2` with `{id}` for the collection's, content type, body.
type Odd = (&'static str, &'static str, Option<&'static str>, &'static str);

const ODD: &[Odd] = &[
    ("GET", "/api/v2/nothing", None, ""),
    ("GET", "/api/v2/heartbeat/", None, ""),
    ("GET", "//api/v2/heartbeat", None, ""),
    ("DELETE", "/api/v2/heartbeat", None, ""),
    ("GET", "/api/v1/collections", None, ""),
    ("POST", "/api/v1/collections", Some("application/json"), "{}"),
    ("GET", "/api/v2/version", None, ""),
    ("GET", "/api/v2/pre-flight-checks", None, ""),
    ("GET", "/api/v2/healthcheck", None, ""),
    ("GET", "/api/v2/auth/identity", None, ""),
    ("POST", "/api/v2/reset", None, ""),
    ("GET", "/api/v2/tenants/none", None, ""),
    ("GET", "/api/v2/tenants/odd/databases/none", None, ""),
    ("PATCH", "/api/v2/tenants/odd", Some("application/json"), r#"{"resource_name":"x"}"#),
    ("POST", "/api/v2/tenants", Some("application/json"), r#"{"name":"odd"}"#),
    ("POST", "$C", Some("text/plain"), r#"{"name":"plain"}"#),
    ("POST", "$C", Some("application/json"), r#"{"name":"a"}"#),
    ("POST", "$C", Some("application/json"), r#"{"name":"..bad"}"#),
    ("POST", "$C", Some("application/json"), r#"{"name":"1.2.3.4"}"#),
    ("POST", "$C", Some("application/json"), r#"{"name":5}"#),
    ("POST", "$C", Some("application/json"), r#"{"name":"known"}"#),
    ("POST", "$C", Some("application/json"), r#"{"name":"empty","metadata":{}}"#),
    ("POST", "$C", Some("application/json"), r#"{"name":"empty","metadata":{"a":null}}"#),
    ("GET", "$C/none", None, ""),
    ("DELETE", "$C/none", None, ""),
    ("GET", "$C/by-id/none", None, ""),
    ("PUT", "$C/{id}", Some("application/json"), r#"{"new_name":"other"}"#),
    ("PUT", "$C/{id}", Some("application/json"), r#"{"new_metadata":{}}"#),
    ("PUT", "$C/{id}", Some("application/json"), r#"{"new_configuration":{"hnsw":{"space":"ip"}}}"#),
    ("PUT", "$C/{id}", Some("application/json"), "{}"),
    ("GET", "$C/{id}/count?read_level=wrong", None, ""),
    ("POST", "$C/{id}/get", Some("application/json"), r#"{"where":{}}"#),
    ("POST", "$C/{id}/get", Some("application/json"), r#"{"limit":-1}"#),
    ("POST", "$C/{id}/get", Some("application/json"), r#"{"include":["what"]}"#),
    ("POST", "$C/{id}/get", Some("application/xml"), "{}"),
    ("POST", "$C/{id}/query", Some("application/json"), r#"{"query_embeddings":[[1]]}"#),
    ("POST", "$C/{id}/query", Some("application/json"), r#"{"query_embeddings":[[1,2,3]],"n_results":0}"#),
    ("POST", "$C/{id}/search", Some("application/json"), r#"{"searches":[]}"#),
    ("POST", "$C/{id}/fork", Some("application/json"), r#"{"new_name":"forked"}"#),
    ("GET", "$C/{id}/fork_count", None, ""),
    ("GET", "$C/{id}/indexing_status", None, ""),
    ("GET", "$C/{id}/functions/f", None, ""),
    ("POST", "$C/{id}/delete", Some("application/json"), "{}"),
    ("POST", "$C/{id}/delete", Some("application/json"), r#"{"ids":[]}"#),
    ("POST", "$C/{id}/delete", Some("application/json"), r#"{"where":{}}"#),
    ("POST", "$C/{id}/delete", Some("application/json"), r#"{"ids":["a"],"limit":1}"#),
    ("POST", "$C/{id}/add", Some("application/json"), r#"{"ids":[],"embeddings":[]}"#),
    ("POST", "$C/{id}/add", None, r#"{"ids":["untyped"],"embeddings":[[1,2,3]]}"#),
    ("POST", "$C/{id}/upsert", Some("application/json"), r#"{"ids":["b"],"embeddings":[[1,2]]}"#),
    ("POST", "$C/{id}/upsert", Some("application/json"), r#"{"ids":["b"],"embeddings":["!!"]}"#),
    ("POST", "$C/{id}/update", Some("application/json"), r#"{"ids":["zz"],"embeddings":[[1e39,2,3]]}"#),
];

async fn ask_oddly(api: &Api, id: &str, (method, path, kind, body): Odd) -> Answer {
    let collections = api.collections("");
    let collections = collections.strip_prefix(&api.base).expect("a path");
    let path = path.replace("$C", collections).replace("{id}", id);
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = request(method, &format!("{}{path}", api.base), None);
    if let Some(kind) = kind {
        request.headers_mut().insert("content-type", kind.parse().expect("a type"));
    }
    *request.body_mut() = body.into();
    api.http.send(request).await.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
}

#[tokio::test]
async fn odd_requests_are_answered_as_one_server_answers_them() {
    let cluster = Cluster::shared();
    let direct = Chroma::start();
    let sides = [cluster.space("odd").await, new_space(&direct.url(), "odd").await];
    let mut ids = Vec::new();
    for api in &sides {
        api.new_collection("other").await;
        let id = api.new_collection("known").await;
        api.add(&id, &records(&["a"])).await.expect(201);
        ids.push(id);
    }
    let mut wrong = Vec::new();
    for odd in ODD {
        let mut seen = Vec::new();
        for (api, id) in sides.iter().zip(&ids) {
            let answer = ask_oddly(api, id, *odd).await;
            let names = ["content-type", "allow", "chroma-trace-id"];
            let headers = names.map(|name| answer.header(name).map(str::to_owned));
            seen.push((answer.status, headers, answer.text().replace(id.as_str(), "ID")));
        }
        if seen[0] != seen[1] {
            wrong.push(format!("{odd:?}\n  ours   {:?}\n  theirs {:?}", seen[0], seen[1]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (api, id) in sides.iter().zip(&ids) {
        assert_eq!(id_of(&api.describe("known").await.expect(200)), *id);
        assert_eq!(api.ids(id).await, ["a", "untyped"]);
    }
}

#[tokio::test]
async fn heads_and_kept_connections_pass() {
    let cluster = Cluster::shared();
    let base = cluster.isochrome.url();
    let http = &cluster.api().http;
    let head = http.call(Method::HEAD, &format!("{base}/api/v2/heartbeat"), None).await.expect(200);
    assert!(head.body.is_empty());
    for _ in 0..20 {
        http.get(&format!("{base}/api/v2/heartbeat")).await.expect(200);
    }
}
