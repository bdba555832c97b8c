//! What belongs to no tenant, and the older API.

use super::{Story, delete, get, post, story};
use crate::request::Step;

const CONSTANT: [&str; 6] = [
    "/api/v2",
    "/api/v2/heartbeat",
    "/api/v2/healthcheck",
    "/api/v2/version",
    "/api/v2/pre-flight-checks",
    "/api/v2/auth/identity",
];

pub fn stories() -> Vec<Story> {
    vec![constants(), other_methods(), older_api(), reset_is_off(), descriptions()]
}

fn constants() -> Story {
    let variants = |path: &&str| {
        [
            get(path),
            get(&format!("{path}?limit=x&y")),
            get(path).header("accept", "text/html").header("authorization", "Bearer nobody"),
            get(path).text("{"),
            Step::new("HEAD", path),
        ]
    };
    story("what is constant", CONSTANT.iter().flat_map(variants))
}

fn other_methods() -> Story {
    let methods = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"];
    let wrong = |path: &&str| methods.map(|method| Step::new(method, path));
    story("wrong methods on what is constant", CONSTANT.iter().flat_map(wrong))
}

fn older_api() -> Story {
    let paths = [
        "",
        "/",
        "/heartbeat",
        "/heartbeat/",
        "/collections",
        "/collections/x/add",
        "/version?x=1",
        "/a/b/c",
    ];
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let all =
        paths.iter().flat_map(|path| methods.map(|method| Step::new(method, &format!("/api/v1{path}"))));
    story("version 1 of the API", all)
}

fn reset_is_off() -> Story {
    let steps = [
        post("/api/v2/reset"),
        post("/api/v2/reset").text("{}"),
        post("/api/v2/reset").header("content-type", "text/plain").bytes(b"x"),
        get("/api/v2/reset"),
        delete("/api/v2/reset"),
        Step::new("OPTIONS", "/api/v2/reset"),
    ];
    story("reset where it is off", steps)
}

fn descriptions() -> Story {
    let paths = ["/openapi.json", "/docs/", "/docs", "/docs/index.html", "/docs/nothing", "/openapi.json/"];
    let methods = ["GET", "HEAD", "POST"];
    let all = paths.iter().flat_map(|path| methods.map(|method| Step::new(method, path)));
    story("the description of the API", all)
}
