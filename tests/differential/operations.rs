//! Path by path: every operation, with a success where a single server can succeed, and with an error.

use crate::openapi::Operations;
use crate::pair::Pair;
use crate::play::play;
use crate::stories::{self, Story};

/// What a single server never answers with a success.
const NEVER_SUCCEED: &[&str] =
    &["crn", "indexing_status", "search", "fork", "fork_count", "functions", "detach"];

/// What has no input that could be wrong.
const NEVER_FAIL: &[&str] = &["heartbeat", "healthcheck", "version", "pre-flight-checks", "identity"];

/// Plays stories and collects every difference that is not listed.
async fn play_all(pair: &Pair, stories: &[Story], operations: &mut Operations) -> Vec<String> {
    let mut wrong = Vec::new();
    for story in stories {
        let played = play(pair, "story", &story.steps, operations).await;
        let told = played
            .differences
            .iter()
            .map(|(place, what)| format!("{}: {}\n  {what}", story.name, story.steps[*place].line()));
        wrong.extend(told);
    }
    wrong
}

#[tokio::test]
async fn every_operation_is_answered_as_one_server_answers_it() {
    let pair = Pair::start(&[], &[]);
    let mut operations = Operations::of(&pair.bases()[1]).await;
    let mut wrong = play_all(&pair, &stories::of_default_servers(), &mut operations).await;
    let resettable = Pair::start(&["allow_reset: true"], &["--allow-reset"]);
    wrong.extend(play_all(&resettable, &stories::of_resettable_servers(), &mut operations).await);
    pair.assert_instances_identical().await;
    resettable.assert_instances_identical().await;
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
    assert_all_seen(&operations);
}

fn assert_all_seen(operations: &Operations) {
    let is = |operation: &str, names: &[&str]| names.iter().any(|name| operation.contains(name));
    let mut missing = Vec::new();
    for (operation, seen) in &operations.seen {
        if seen.successes == 0 && !is(operation, NEVER_SUCCEED) {
            missing.push(format!("no success of {operation}"));
        }
        if seen.errors == 0 && !is(operation, NEVER_FAIL) {
            missing.push(format!("no error of {operation}"));
        }
        if seen.successes + seen.errors == 0 {
            missing.push(format!("nothing of {operation}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
