//! Random stories: always the same ones, unless `ISOCHROME_SEED` or `ISOCHROME_SEEDS` asks for others; a failing one is made short and printed, one request a line,
//! and `ISOCHROME_REPLAY=FILE` plays such lines again.

use std::env;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::generate;
use crate::openapi::Operations;
use crate::pair::Pair;
use crate::play::{lines, play};
use crate::request::Step;

/// Stories by default.
const STORIES: u64 = 150;
/// Stories that are played at once.
const AT_ONCE: usize = 4;
/// Servers slow down with all that stories leave behind, so there are new ones after so many.
const STORIES_PER_PAIR: u64 = 250;
/// Plays that are spent on making a failing story short.
const SHORTENINGS: u32 = 200;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn random_requests_are_answered_as_one_server_answers_them() {
    if let Ok(file) = env::var("ISOCHROME_REPLAY") {
        return replay(&file).await;
    }
    let (seed, stories) = match (number("ISOCHROME_SEED"), number("ISOCHROME_SEEDS")) {
        (None, None) => (1, STORIES),
        (seed, stories) => (seed.unwrap_or_else(|| fastrand::u64(..)), stories.unwrap_or(STORIES)),
    };
    println!("to run this again: ISOCHROME_SEED={seed} ISOCHROME_SEEDS={stories}");
    let (mut done, mut requests, mut wrong) = (0, 0, Vec::new());
    while done < stories {
        let count = STORIES_PER_PAIR.min(stories - done);
        let (played, found) = play_some(seed.wrapping_add(done), count).await;
        done += count;
        requests += played;
        wrong.extend(found);
        println!("{done} stories, {requests} requests, {} differences", wrong.len());
    }
    assert!(wrong.is_empty(), "{} differences, shown above", wrong.len());
}

/// Plays stories on a new pair: the number of requests, and what differed.
async fn play_some(seed: u64, stories: u64) -> (usize, Vec<String>) {
    let pair = Arc::new(Pair::start(&[], &[]));
    let (mut requests, mut wrong) = (0, Vec::new());
    let mut seeds = (0..stories).map(|number| seed.wrapping_add(number));
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(seed) = seeds.next()
        {
            under_way.spawn(play_one(Arc::clone(&pair), seed));
        }
        let Some(played) = under_way.join_next().await else { break };
        let (count, difference) = played.expect("a story was played");
        requests += count;
        wrong.extend(difference);
    }
    pair.assert_instances_identical().await;
    (requests, wrong)
}

async fn play_one(pair: Arc<Pair>, seed: u64) -> (usize, Option<String>) {
    let steps = generate::story(seed);
    let played = play(&pair, &format!("seed-{seed}"), &steps, &mut Operations::default()).await;
    let Some((place, what)) = played.differences.into_iter().next() else {
        return (steps.len(), None);
    };
    let short = shorten(&pair, steps[..=place].to_vec()).await;
    let told = format!("ISOCHROME_SEED={seed} ISOCHROME_SEEDS=1\n  {what}\n{}", lines(&short));
    println!("{told}\n");
    (steps.len(), Some(told))
}

/// Leaves out requests as long as the last one still differs.
async fn shorten(pair: &Pair, mut steps: Vec<Step>) -> Vec<Step> {
    let mut left = SHORTENINGS;
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut start = 0;
        while start + size < steps.len() && left > 0 {
            left -= 1;
            let mut shorter = steps.clone();
            shorter.drain(start..start + size);
            let last = shorter.len() - 1;
            let played = play(pair, "shorter", &shorter, &mut Operations::default()).await;
            if played.differences.iter().any(|(place, _)| *place == last) {
                steps = shorter;
            } else {
                start += size;
            }
        }
        size /= 2;
    }
    steps
}

async fn replay(file: &str) {
    let text = std::fs::read_to_string(file).expect("the requests");
    let steps: Vec<Step> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let pair = Pair::start(&[], &[]);
    let played = play(&pair, "replay", &steps, &mut Operations::default()).await;
    let wrong: Vec<String> = played
        .differences
        .iter()
        .map(|(place, what)| format!("{}\n  {what}", steps[*place].line()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
