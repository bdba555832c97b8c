//! A write that kills real servers, which the gateway does not know as such: the proxies make it so on its way.

use serde_json::json;

use crate::cluster::{Cluster, post_as};
use crate::commands::run;
use crate::support::api::{id_of, records};
use crate::support::proxy::{Fault, Proxy, Rule};

/// On the way to a server the key becomes one that kills its writer where the value is no string.
fn disguise(proxy: &Proxy) {
    let fault = Fault::Rewrite("innocent:marker", "chroma:document");
    proxy.rule(Rule { method: "POST", path: "/add".to_owned(), times: u32::MAX, fault });
}

#[tokio::test]
async fn a_write_that_kills_two_servers_is_withdrawn_and_waits_for_an_operator() {
    let mut cluster = Cluster::behind_proxies(|setup| setup);
    let api = cluster.api();
    let (id, other) = (api.new_collection("struck").await, api.new_collection("other").await);
    api.add(&id, &records(&["before"])).await.expect(201);
    api.add(&other, &records(&["before"])).await.expect(201);
    cluster.settle().await;
    cluster.proxies.iter().for_each(disguise);
    let killer =
        json!({ "ids": ["bad"], "embeddings": [[1, 2, 3]], "metadatas": [{ "innocent:marker": 5 }] });
    let answer = post_as(&api, (&id, "add"), &killer, "killer").await.expect(500);
    assert_eq!(answer.header("isochrome-error"), Some("POISONED"));
    assert_eq!(cluster.transaction("killer", 0).await.expect(200).json()["state"], "poisoned");
    let again = post_as(&api, (&id, "add"), &killer, "killer").await.expect(500);
    assert_eq!(again.header("isochrome-error"), Some("POISONED"), "it is sent no second time");

    for server in &mut cluster.servers {
        server.restart();
    }
    cluster.await_state(0, "up").await;
    cluster.await_state(1, "up").await;
    cluster.proxies.iter().for_each(Proxy::clear);
    api.add(&id, &records(&["after"])).await.expect(201);
    api.add(&other, &records(&["after"])).await.expect(201);
    cluster.settle().await;
    assert_eq!(api.ids(&id).await, ["before", "after"], "its collection goes on without it");
    for server in cluster.direct(&api) {
        let own = id_of(&server.describe("other").await.expect(200));
        assert_eq!(server.ids(&own).await, ["before", "after"], "and so do the others, everywhere");
    }

    let data = cluster.isochrome.data();
    let data = data.to_str().expect("a path");
    let (code, kept, _) = run(&["poisoned", "--data-dir", data]);
    assert!(code == 0 && kept.starts_with("killer ("), "{kept}");
    let (code, _, complaint) = run(&["discard", "nobody", "--data-dir", data]);
    assert!(code == 1 && complaint.contains("no poisoned write [nobody]"), "{complaint}");
    let (code, forced, complaint) = run(&["force", "killer", "--data-dir", data]);
    assert!(code == 0 && forced.contains("killer-forced"), "{forced}{complaint}");
    let sent = cluster.transaction("killer-forced", 60_000).await.expect(200).json();
    assert_eq!(sent["state"], "committed", "nothing disguises it now: {sent}");
    assert_eq!(api.ids(&id).await, ["before", "after", "bad"]);
    assert_eq!(run(&["poisoned", "--data-dir", data]).1, "no write was withdrawn\n");
}
