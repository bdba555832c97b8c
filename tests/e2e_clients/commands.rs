//! `isochrome check` and `isochrome status`.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::chroma::Chroma;
use crate::support::places;

/// Runs a command of the binary; its exit code, output and errors.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_isochrome")).args(arguments).env_clear().output();
    let output = output.expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn check(data: &str, instances: &[(&str, &str)]) -> (i32, String) {
    let instances: Vec<String> = instances.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let mut arguments = vec!["check", "--data-dir", data];
    for instance in &instances {
        arguments.extend(["--instance", instance]);
    }
    let (code, out, err) = run(&arguments);
    (code, out + &err)
}

#[tokio::test]
async fn check_reaches_each_instance_and_says_what_is_wrong() {
    let fresh = Chroma::start_many(2);
    let foreign = Chroma::start();
    let ours = Cluster::shared();
    crate::support::api::Api::new(&foreign.url()).new_collection("theirs").await;
    let directory = places::directory("check");
    let new = directory.join("new");
    let new = new.to_str().expect("a path");
    let (code, out) = check(new, &[("a", &fresh[0].url()), ("b", &fresh[1].url())]);
    assert_eq!((code, out.matches("ready to join").count()), (0, 2), "{out}");
    assert!(!directory.join("new").exists(), "nothing is changed");

    let nobody = format!("http://127.0.0.1:{}", places::free_port());
    let (code, out) = check(new, &[("a", &fresh[0].url()), ("b", &nobody)]);
    assert!(code == 1 && out.contains("can't be reached") && out.contains("is the server running"), "{out}");
    let (code, out) = check(new, &[("a", &foreign.url())]);
    assert!(code == 1 && out.contains("holds data but not our marker"), "{out}");
    let (code, out) = check(new, &[("primary", &ours.servers[0].url())]);
    assert!(code == 1 && out.contains("belongs to cluster"), "{out}");

    let data = ours.isochrome.data();
    let data = data.to_str().expect("a path");
    let (primary, replica) = (ours.servers[0].url(), ours.servers[1].url());
    let (code, out) = check(data, &[("primary", &primary), ("replica", &replica)]);
    assert_eq!((code, out.matches("reachable, ours").count()), (0, 2), "{out}");
    let (code, out) = check(data, &[("primary", &replica), ("replica", &primary)]);
    assert!(code == 1 && out.contains("belongs to Isochrome as \"replica\""), "{out}");
    let (code, _, err) = run(&["check", "--instance", "a=ftp://nowhere", "--listen", "nowhere"]);
    assert!(code == 64 && err.contains("instances"), "{err}");
}

#[tokio::test]
async fn check_notices_a_server_under_two_addresses() {
    let ours = Cluster::shared();
    let proxy = crate::support::proxy::Proxy::start(ours.servers[0].port());
    let data = ours.isochrome.data();
    let data = data.to_str().expect("a path");
    let (code, out) = check(data, &[("primary", &ours.servers[0].url()), ("replica", &proxy.url())]);
    assert!(code == 1 && out.contains("is the same server as primary"), "{out}");
}

#[tokio::test]
async fn status_shows_the_running_process() {
    let mut cluster = Cluster::start();
    let data = cluster.isochrome.data();
    let data = data.to_str().expect("a path").to_owned();
    let (code, out, _) = run(&["status", "--data-dir", &data]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("2 of 2 instances healthy, log at 0, 0 writes pending"), "{out}");
    let api = cluster.api();
    let id = api.new_collection("shown").await;
    cluster.settle().await;
    cluster.servers[1].kill();
    for record in ["a", "b", "c"] {
        api.add(&id, &crate::support::api::records(&[record])).await.expect(201);
    }
    cluster.await_state(1, "refused").await;
    let (code, out, _) = run(&["status", "--data-dir", &data]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("1 of 2 instances healthy, log at 4, 3 writes pending"), "{out}");
    let replica = out.lines().find(|line| line.starts_with("replica")).expect("its line");
    let words: Vec<&str> = replica.split_whitespace().collect();
    assert_eq!(words[..4], ["replica", "down", "1", "3"], "{out}");
    let (code, out, _) = run(&["status", "--json", "--data-dir", &data]);
    let status: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &status["unified_wal"]["pending_writes"]), (0, &Value::from(3)));

    cluster.isochrome.kill();
    let (code, out, err) = run(&["status", "--data-dir", &data]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("No Isochrome answers") && err.contains("Is it running"), "{err}");
}

#[tokio::test]
async fn operators_change_things_on_the_private_socket_only() {
    let mut cluster = Cluster::start();
    let socket = cluster.isochrome.data().join("admin.sock");
    let mode = std::fs::metadata(&socket).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let url = format!("{}/admin/anything", cluster.isochrome.url());
        let refused = cluster.api().http.call(method.clone(), &url, Some(&json!({}))).await.expect(403);
        assert_eq!(refused.header("isochrome-error"), Some("SOCKET_ONLY"));
        let said = refused.json()["message"].as_str().expect("words").to_owned();
        assert!(said.contains("admin.sock") && said.contains("isochrome"), "{said}");
        cluster.isochrome.on_socket(method, "/admin/anything", Some(&json!({}))).await.expect(404);
    }
    // What can be seen is the same on both.
    cluster.page("/admin/anything").await.expect(404);
    cluster.isochrome.on_socket(Method::GET, "/status", None).await.expect(200);

    // A killed process leaves its socket, which the next start replaces; a stopped one leaves none.
    cluster.isochrome.kill();
    assert!(socket.exists());
    cluster.isochrome.restart();
    cluster.isochrome.on_socket(Method::GET, "/status", None).await.expect(200);
    cluster.isochrome.terminate(crate::cluster::PATIENCE);
    assert!(!socket.exists());
}

#[tokio::test]
async fn an_instance_that_is_not_there_is_no_page_in_a_path_and_a_mistake_in_a_body() {
    let cluster = Cluster::shared();
    let data = cluster.isochrome.data();
    let data = data.to_str().expect("a path");
    let ask = async |path: &str, body: Option<Value>| {
        let answer = cluster.isochrome.on_socket(Method::POST, path, body.as_ref()).await;
        (answer.status, answer.json()["message"].clone())
    };
    let unknown = Value::from("There is no instance nobody");
    for act in ["drain", "release"] {
        let path = format!("/admin/instances/nobody/{act}");
        assert_eq!(ask(&path, None).await, (404, unknown.clone()), "{act}");
    }
    assert_eq!(ask("/admin/rebuild", Some(json!({ "instance": "nobody" }))).await, (400, unknown.clone()));
    assert_eq!(ask("/admin/verify", Some(json!({ "from": "nobody" }))).await, (400, unknown));
    let (code, out, err) = run(&["release", "nobody", "--data-dir", data]);
    assert_eq!((code, out.as_str(), err.trim_end()), (1, "", "There is no instance nobody"));
    let (code, out, err) = run(&["release", "replica", "--data-dir", data]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("replica may fall behind: no acknowledgement waits for it"), "{out}");
}
