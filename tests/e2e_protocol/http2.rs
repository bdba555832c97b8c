//! HTTP/2 with prior knowledge, on the port of HTTP/1.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::process::{End, Signal};
use crate::support::proxy::{Fault, Rule};
use crate::world::{World, new_collection};

type Sender = SendRequest<Full<Bytes>>;

/// One connection to a port on loopback.
async fn connect(port: u16) -> Sender {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn request(method: Method, url: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(url).header("content-type", "application/json");
    builder.header("te", "trailers").body(Full::new(body.into())).expect("a request")
}

async fn ask(sender: &Sender, request: Request<Full<Bytes>>) -> Response<Incoming> {
    sender.clone().send_request(request).await.expect("an answer")
}

async fn whole(response: Response<Incoming>) -> (u16, Bytes) {
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.expect("a whole body").to_bytes())
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let world = World::shared();
    let api = world.api();
    let id = new_collection(&api, "multiplexed").await;
    let sender = connect(world.port()).await;
    let mut writes = Vec::new();
    // More than may be under way on one connection.
    for number in 0..200 {
        let body = json!({ "ids": [number.to_string()], "embeddings": [[number, 1, 2]] }).to_string();
        let add = request(Method::POST, &api.collections(&format!("/{id}/add")), body);
        let sender = sender.clone();
        writes.push(tokio::spawn(async move { whole(ask(&sender, add).await).await }));
    }
    for write in writes {
        assert_eq!(write.await.expect("an answer").0, 201);
    }
    let count = request(Method::GET, &api.collections(&format!("/{id}/count")), "");
    assert_eq!(whole(ask(&sender, count).await).await, (200, Bytes::from("200")));
    // The port still speaks HTTP/1.
    assert_eq!(api.count(&id).await, 200);
}

#[tokio::test]
async fn refusals_are_those_of_the_other_version() {
    let world = World::shared();
    let api = world.api();
    let id = new_collection(&api, "refused-2").await;
    let sender = connect(world.port()).await;
    let add = api.collections(&format!("/{id}/add"));
    let large = ask(&sender, request(Method::POST, &add, vec![b' '; 41_943_041])).await;
    assert_eq!(large.status(), 413);
    let mut typed = request(Method::POST, &add, "{}");
    typed.headers_mut().insert("content-type", "text/plain".parse().expect("a type"));
    assert_eq!(ask(&sender, typed).await.status(), 415);
    let options = ask(&sender, request(Method::DELETE, &format!("{}/api/v2/heartbeat", api.base), "")).await;
    assert_eq!(options.status(), 405);
    assert_eq!(options.headers()["allow"], "GET,HEAD");
    let body = br#"{"ids":["a"],"embeddings":[[1,2,3]]}"#;
    let body = [&body[..], &vec![b' '; 41_943_040 - body.len()]].concat();
    assert_eq!(whole(ask(&sender, request(Method::POST, &add, body)).await).await.0, 201);
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_its_stream_and_no_other() {
    let world = World::shared();
    let api = world.api();
    let id = new_collection(&api, "reset-2").await;
    let sender = connect(world.port()).await;
    let mut breaking = request(Method::GET, &api.collections(&format!("/{id}/count?flood=2/3")), "");
    // Without a length only the reset tells that something is missing.
    breaking.headers_mut().insert("accept-encoding", "gzip".parse().expect("an encoding"));
    let response = ask(&sender, breaking).await;
    assert_eq!((response.status().as_u16(), response.headers().get("content-length")), (200, None));
    assert!(response.into_body().collect().await.is_err(), "the body must not end as if it were whole");
    let count = request(Method::GET, &api.collections(&format!("/{id}/count")), "");
    assert_eq!(whole(ask(&sender, count).await).await.0, 200);
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_end() {
    let mut world = World::start(&[], &[]);
    let api = world.api();
    let id = new_collection(&api, "stopped-2").await;
    let fault = Fault::DelayAnswer(Duration::from_millis(1_500));
    world.proxy.rule(Rule { method: "GET", path: "/count?last".to_owned(), times: 1, fault });
    let sender = connect(world.port()).await;
    let faults = world.proxy.faults();
    let last = request(Method::GET, &api.collections(&format!("/{id}/count?last")), "");
    let asking = tokio::spawn({
        let sender = sender.clone();
        async move { whole(ask(&sender, last).await).await }
    });
    while world.proxy.faults() == faults {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.isochrome.signal(Signal::TERM);
    assert_eq!(asking.await.expect("an answer"), (200, Bytes::from("0")));
    let end = tokio::task::spawn_blocking(move || world.isochrome.wait(Duration::from_secs(30)));
    assert_eq!(end.await.expect("an end"), End::Code(0));
}
