//! From the answer to a write until every instance shows it.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;

use crate::setting;
use crate::subject::starters;
use crate::support::api::{Api, id_of};
use crate::support::http::{Http, request};
use crate::support::load::percentile;
use crate::table::{millis, print};
use crate::work::Work;

const COLLECTION: &str = "seen";
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// One writer; after each answer every instance is asked until it shows the record.
pub async fn measure() {
    let writes: u64 = setting("ISOCHROME_BENCH_WRITES", 500);
    let mut rows = Vec::new();
    for starter in starters(&["isochrome"]) {
        let subject = (starter.start)();
        let (mut answered, mut seen) = (Vec::new(), Vec::new());
        let work = Work::on_new_collection(&subject.url, COLLECTION).await;
        let mut instances = Vec::new();
        for server in &subject.servers {
            instances.push(copy_of(&Api::new(&server.url())).await);
        }
        let http = Http::default();
        for number in 0..writes {
            let job = work.add(number);
            let sent = Instant::now();
            http.send(job.request).await.expect("an answer").success();
            answered.push(sent.elapsed());
            seen.push(until_seen(&instances, &job.label).await);
        }
        rows.push(vec![
            subject.name.to_owned(),
            writes.to_string(),
            millis(percentile(answered.clone(), 50.0)),
            millis(percentile(answered, 99.0)),
            millis(percentile(seen.clone(), 50.0)),
            millis(percentile(seen.clone(), 99.0)),
            millis(percentile(seen, 100.0)),
        ]);
    }
    let head =
        ["subject", "writes", "answer p50", "answer p99", "seen p50", "seen p99 (wanted: 100 ms)", "worst"];
    print("From answer to visible on every instance, one writer", &head, &rows);
}

/// An instance's own copy of the collection, once it has it: where to `get`.
async fn copy_of(api: &Api) -> (Http, String) {
    let deadline = Instant::now() + SEEN_WITHIN;
    loop {
        let described = api.describe(COLLECTION).await;
        if described.is_success() {
            return (api.http.clone(), api.collections(&format!("/{}/get", id_of(&described))));
        }
        assert!(Instant::now() < deadline, "{} has no collection: {described}", api.base);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The time from now until the last of the instances shows the record.
async fn until_seen(instances: &[(Http, String)], id: &str) -> Duration {
    let answered = Instant::now();
    let wanted = json!({ "ids": [id], "include": [] });
    for (http, url) in instances {
        loop {
            let answer =
                http.send(request(Method::POST, url, Some(&wanted))).await.expect("an answer").success();
            if answer.json()["ids"] == json!([id]) {
                break;
            }
            assert!(answered.elapsed() < SEEN_WITHIN, "{id} does not appear at {url}");
        }
    }
    answered.elapsed()
}
