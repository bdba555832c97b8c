//! The official clients, unmodified.

use crate::cluster::Cluster;
use crate::support::chroma::Chroma;
use crate::support::scripts::OfficialClient;

/// Each client meets servers without a past: Chroma shows lists in the metadata of deleted records again, in whatever
/// record takes their place.
async fn sees_the_same(client: OfficialClient, reset: bool) {
    let (settings, arguments): (&[&str], &[&str]) =
        if reset { (&["allow_reset: true"], &["--allow-reset"]) } else { (&[], &[]) };
    let direct = Chroma::start_with(settings);
    let expected = client.run(&direct.url(), reset);
    expected.assert_passed();
    let cluster = Cluster::start_as(|setup| setup.arguments(arguments));
    let seen = client.run(&cluster.isochrome.url(), reset);
    seen.assert_passed();
    assert!(seen.transcript.len() > 35, "{} steps", seen.transcript.len());
    for (step, expected) in seen.transcript.iter().zip(&expected.transcript) {
        assert_eq!(step, expected);
    }
    assert_eq!(seen.transcript.len(), expected.transcript.len());
    cluster.await_identical(&cluster.api()).await;
}

#[tokio::test]
async fn the_python_client_lives_its_whole_life_as_with_one_server() {
    sees_the_same(OfficialClient::Python, false).await;
}

#[tokio::test]
async fn the_node_client_lives_its_whole_life_as_with_one_server() {
    sees_the_same(OfficialClient::Node, false).await;
}

#[tokio::test]
async fn the_rust_client_lives_its_whole_life_as_with_one_server() {
    sees_the_same(OfficialClient::Rust, false).await;
}

#[tokio::test]
async fn the_python_client_may_reset_where_that_is_allowed() {
    sees_the_same(OfficialClient::Python, true).await;
}

#[tokio::test]
async fn the_node_client_may_reset_where_that_is_allowed() {
    sees_the_same(OfficialClient::Node, true).await;
}
