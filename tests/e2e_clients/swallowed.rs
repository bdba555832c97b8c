//! A server answers writes with success and does nothing: the next comparison names what is missing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::api::records;
use crate::support::proxy::{Fault, Rule, answer_bytes};
use crate::verify::{named, verify};

#[tokio::test]
async fn writes_that_a_server_answers_and_does_not_do_are_named_by_the_next_comparison() {
    let cluster = Cluster::behind_proxies(|setup| setup.variable("ISOCHROME_VERIFY_EVERY_S", "1"));
    let api = cluster.api();
    let id = api.new_collection("docs").await;
    api.add(&id, &records(&["a", "b", "c"])).await.expect(201);
    cluster.settle().await;
    cluster.await_identical(&api).await;
    let success = |status: &str, body: &str| Fault::Intercept(answer_bytes(status, "application/json", body));
    for (verb, answer) in [
        ("add", success("201 Created", "{}")),
        ("update", success("200 OK", "{}")),
        ("delete", success("200 OK", r#"{"deleted":1}"#)),
    ] {
        let there = crate::support::api::id_of(&cluster.direct(&api)[1].describe("docs").await);
        cluster.proxies[1].rule(Rule::once(&format!("{there}/{verb}"), answer));
    }
    api.add(&id, &records(&["d"])).await.expect(201);
    api.post(&id, "update", &json!({ "ids": ["b"], "documents": ["another"] })).await.success();
    api.post(&id, "delete", &json!({ "ids": ["a"] })).await.success();
    cluster.settle().await;
    assert_eq!(cluster.proxies[1].faults(), 3, "each was swallowed");

    let status = cluster.await_status("the differences", |status| status["verify"]["differences"] == 3).await;
    assert_eq!(status["verify"]["verdict"], "different");
    let metrics = cluster.page("/metrics").await.text();
    assert!(metrics.contains("isochrome_verify_last_verdict{verdict=\"different\"} 1"), "{metrics}");
    assert!(cluster.isochrome.log().contains("the instances differed"), "it is told");
    let (code, report) = verify(&cluster, &[]).await;
    let expected = ["docs a record", "docs b document", "docs d record"].map(str::to_owned);
    assert_eq!((code, named(&report)), (1, BTreeSet::from(expected)), "{report:#}");
    let (code, report) = verify(&cluster, &["--repair"]).await;
    assert_eq!((code, &report["repairs"][0]["why_not"]), (0, &Value::Null), "{report:#}");
    assert_eq!(cluster.await_identical(&api).await.records, 3);
}
