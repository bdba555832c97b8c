//! SIGTERM under load: what was answered is kept, and the process ends well.

use std::time::Duration;

use super::ledger::{Writers, judge};
use super::support::api::Api;
use super::support::chroma::Chroma;
use super::support::compare::Comparer;
use super::support::isochrome::Setup;
use super::support::process::End;

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_ends_well_and_keeps_what_was_answered() {
    let servers = Chroma::start_many(2);
    let mut isochrome = Setup::over(&servers).start();
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    let writers = Writers::start(&api, &docs, 8);
    for _ in 0..3 {
        writers.more(40).await;
        assert_eq!(isochrome.terminate(Duration::from_secs(60)), End::Code(0));
        isochrome.restart();
    }
    writers.more(10).await;
    let ledger = writers.stop().await;
    Comparer::of(&servers).await_identical(Duration::from_secs(60)).await;
    for server in &servers {
        judge(&api, &ledger, &api.at(&server.url()), "docs").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_with_an_instance_that_hangs_still_ends() {
    let mut servers = Chroma::start_many(2);
    let mut isochrome = Setup::over(&servers).start();
    let api = Api::new(&isochrome.url());
    let docs = api.new_collection("docs").await;
    let writers = Writers::start(&api, &docs, 8);
    writers.more(20).await;
    servers[0].stop();
    writers.more(5).await;
    assert_eq!(isochrome.terminate(Duration::from_secs(60)), End::Code(0));
    servers[0].cont();
    isochrome.restart();
    writers.more(10).await;
    let ledger = writers.stop().await;
    Comparer::of(&servers).await_identical(Duration::from_secs(60)).await;
    judge(&api, &ledger, &api.at(&servers[0].url()), "docs").await;
}
