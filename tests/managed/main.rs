//! Real Chroma servers under supervision: they come back when they die, are found again when
//! Isochrome died, and nothing that is not ours is touched.
//!
//! Needs a `chroma` executable: `.venv/bin/chroma`, or the one in `ISOCHROME_CHROMA`.
#![allow(clippy::unwrap_used, reason = "in tests, helpers included, a failed unwrap is the verdict")]

mod data;

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use isochrome::instances::managed::{ManagedServer, ManagedServers, ServerState};
use isochrome::instances::processes;
use rustix::process::Signal;
use serde_json::Value;

use data::{Data, SUPERVISE, chroma, config, runs, signal};

const GRACE: Duration = Duration::from_secs(20);

/// Waits for the server to run, and gives its pid and whether it was adopted.
async fn running(server: &ManagedServer) -> (u32, bool) {
    let mut state = server.state.clone();
    let running = state.wait_for(|state| matches!(state, ServerState::Running { .. })).await.unwrap();
    match *running {
        ServerState::Running { pid, adopted } => (pid, adopted),
        _ => unreachable!(),
    }
}

async fn failure(server: &ManagedServer) -> String {
    let mut state = server.state.clone();
    let failed = state.wait_for(|state| matches!(state, ServerState::Restarting { .. })).await.unwrap();
    match &*failed {
        ServerState::Restarting { reason, .. } => reason.clone(),
        _ => unreachable!(),
    }
}

#[test]
#[ignore = "no test by itself: other tests start it and kill it"]
fn the_process_that_is_killed() {
    let Some(data_dir) = std::env::var_os(SUPERVISE) else {
        return;
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let servers = ManagedServers::start(&config(chroma()), Path::new(&data_dir)).unwrap();
        assert_eq!(servers.first_starts().await, []);
        std::io::stdout().write_all(b"supervising\n").unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_run_in_order_stop_and_keep_their_ports() {
    let data = Data::new();
    let servers = data.start();
    assert_eq!(servers.first_starts().await, []);
    let urls: Vec<String> = servers.servers().iter().map(|server| server.url.to_string()).collect();
    assert_eq!(servers.servers().iter().map(|server| server.name).collect::<Vec<_>>(), ["a", "b"]);
    assert_ne!(urls[0], urls[1]);

    let mut pids = Vec::new();
    for server in servers.servers() {
        let (pid, adopted) = running(server).await;
        assert!(!adopted);
        assert_eq!(
            processes::who_listens(server.url.port()).unwrap().pid,
            Some(pid),
            "it is the server itself"
        );
        assert_eq!(data.pid_on_file(server.name), pid);
        assert_own_group_and_output(pid, &data.path().join("instances").join(server.name));
        pids.push(pid);
    }

    servers.stop(GRACE).await;
    assert!(pids.iter().all(|pid| !runs(*pid)));
    assert_eq!(data.record("a")["launched"], Value::Null);

    let again = data.start();
    assert_eq!(again.first_starts().await, []);
    assert_eq!(again.servers().iter().map(|server| server.url.to_string()).collect::<Vec<_>>(), urls);
    again.stop(GRACE).await;
}

/// A Ctrl-C in our terminal must not reach it, and it must not hold our terminal or pipes.
fn assert_own_group_and_output(pid: u32, directory: &Path) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let group = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(2).unwrap().to_owned();
    assert_eq!(group, pid.to_string());
    let open = |fd: u32| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
    assert_eq!(open(0), Path::new("/dev/null"));
    assert_eq!(open(1), directory.join("server.log"));
    assert_eq!(open(2), directory.join("server.log"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_started_again_and_the_other_is_left_alone() {
    let data = Data::new();
    let servers = data.start();
    assert_eq!(servers.first_starts().await, []);
    let [a, b] = servers.servers() else { unreachable!() };
    let ((first, _), (other, _)) = (running(a).await, running(b).await);

    signal(first, Signal::KILL);
    let reason = failure(a).await;
    assert!(reason.contains("signal: 9"), "{reason}");
    let (second, adopted) = running(a).await;
    assert!(second != first && !adopted);
    assert_eq!(data.pid_on_file("a"), second);
    assert_eq!(running(b).await, (other, false));
    servers.stop(GRACE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_outlive_a_killed_isochrome_are_adopted() {
    let data = Data::new();
    let pids = data.with_survivors();
    assert!(pids.iter().all(|pid| runs(*pid)));
    // The second as if Isochrome had died between starting it and writing its pid down.
    data.change_record("b", |record| record["launched"]["process"] = Value::Null);

    let servers = data.start();
    assert_eq!(servers.first_starts().await, []);
    for (server, pid) in servers.servers().iter().zip(pids) {
        assert_eq!(running(server).await, (pid, true));
    }

    // An adopted server is watched and stopped as any other.
    let a = &servers.servers()[0];
    signal(pids[0], Signal::KILL);
    failure(a).await;
    let (second, adopted) = running(a).await;
    assert!(second != pids[0] && !adopted);
    servers.stop(GRACE).await;
    assert!(!runs(second) && !runs(pids[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_that_does_not_answer_is_stopped_before_its_directory_is_opened_again() {
    let data = Data::new();
    let pids = data.with_survivors();
    signal(pids[0], Signal::STOP);

    let servers = data.start();
    assert_eq!(servers.first_starts().await, []);
    let (pid, adopted) = running(&servers.servers()[0]).await;
    assert!(pid != pids[0] && !adopted);
    assert!(!runs(pids[0]));
    assert_eq!(running(&servers.servers()[1]).await, (pids[1], true));
    servers.stop(GRACE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_has_the_pid_on_file_is_not_touched() {
    let data = Data::new();
    data.start().stop(GRACE).await;
    let mark = "of an earlier start";
    let mut stranger = Command::new("sleep").arg("600").env("ISOCHROME_MANAGED_START", mark).spawn().unwrap();
    let start_ticks = processes::stat(stranger.id()).unwrap().start_ticks;
    // In `a` all but the start time is the stranger's, in `b` all but the mark.
    for (name, mark, start_ticks) in [("a", mark, start_ticks - 1), ("b", "of another", start_ticks)] {
        data.change_record(name, |record| {
            let process = serde_json::json!({ "pid": stranger.id(), "start_ticks": start_ticks });
            record["launched"] = serde_json::json!({ "mark": mark, "process": process });
        });
    }

    let servers = data.start();
    assert_eq!(servers.first_starts().await, []);
    for server in servers.servers() {
        let (pid, adopted) = running(server).await;
        assert!(pid != stranger.id() && !adopted);
    }
    servers.stop(GRACE).await;
    assert!(runs(stranger.id()));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_or_directory_of_somebody_else_is_named_and_waited_for() {
    let data = Data::new();
    let before = data.start();
    let port = before.servers()[0].url.port();
    before.stop(GRACE).await;
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let directory = data.path().join("instances/b/chroma");
    std::fs::create_dir_all(&directory).unwrap();
    let file = std::fs::File::create(directory.join("held")).unwrap();

    let servers = data.start();
    let failed = servers.first_starts().await;
    let me = format!("(pid {})", std::process::id());
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0].1.starts_with(&format!("port {port} is taken by ")), "{failed:?}");
    assert!(failed[1].1.starts_with(&format!("{} is in use by ", directory.display())), "{failed:?}");
    assert!(failed.iter().all(|(_, reason)| reason.contains(&me)), "{failed:?}");

    drop((listener, file));
    for server in servers.servers() {
        running(server).await;
    }
    servers.stop(GRACE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_stays_in_front_of_the_server_is_refused_and_leaves_nothing_behind() {
    let data = Data::new();
    let script = data.path().join("wrapper");
    std::fs::write(&script, format!("#!/bin/sh\n'{}' \"$@\" &\nwait\n", chroma().display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();

    let servers = ManagedServers::start(&config(script), &data.path()).unwrap();
    let failed = servers.first_starts().await;
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed.iter().all(|(_, reason)| reason.contains("let it end with exec")), "{failed:?}");
    servers.stop(GRACE).await;
    // The script is gone at once; the servers were asked to end with it and take a moment.
    let instances = data.path().join("instances");
    while let Some(holder) = processes::who_opens(&instances) {
        assert_eq!(holder.command, "chroma");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_chosen_executable_is_gone_is_started_by_no_other() {
    let data = Data::new();
    data.start().stop(GRACE).await;
    data.change_record("b", |record| {
        record["version"] = 2.into();
        record["chosen"] = serde_json::json!({ "command": "/gone/bin/chroma", "version": "9.9" });
    });
    let servers = data.start();
    let failed = servers.first_starts().await;
    assert_eq!(failed.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["b"]);
    assert!(failed[0].1.starts_with("/gone/bin/chroma is gone"), "{failed:?}");
    let control = servers.control();
    assert_eq!(control.executable("b").unwrap().version.as_deref(), Some("9.9"));
    let other = control.executable("a").unwrap();
    control.rest("b").await;
    control.run("b", Some(other.clone())).await.unwrap();
    assert_eq!(control.chosen("b").unwrap(), Some(other));
    servers.stop(GRACE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_says_why_and_is_stopped_while_it_waits() {
    let data = Data::new();
    let script = data.path().join("broken");
    std::fs::write(&script, "#!/bin/sh\necho the disk is on fire >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();

    let servers = ManagedServers::start(&config(script), &data.path()).unwrap();
    let failed = servers.first_starts().await;
    assert_eq!(failed.len(), 2);
    for (_, reason) in &failed {
        assert!(reason.contains("exit status: 3") && reason.contains("the disk is on fire"), "{reason}");
    }
    let states: Vec<_> = servers.servers().iter().map(|server| server.state.clone()).collect();
    servers.stop(GRACE).await;
    assert!(states.iter().all(|state| *state.borrow() == ServerState::Stopped));
}
