//! Comparisons that nobody has to ask for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{KIND, Request};
use crate::delivery::handle::Replication;
use crate::repair::jobs::{Jobs, NotStarted, now_ms};

/// Pause after a start, so that the first requests are not slowed down by what is overdue.
const AFTER_START: Duration = Duration::from_secs(60);
/// Pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// How long the comparison of a copy that is made again waits at most for others that are being made.
const TOGETHER: Duration = Duration::from_secs(600);
/// Pause between looks whether copies are being made.
const REBUILDING_PAUSE: Duration = Duration::from_millis(200);

/// Asks for a comparison of everything each time the pause since the last one is over; zero: never. For the life of
/// the process.
pub async fn run(jobs: Jobs, mut every: watch::Receiver<Duration>) {
    let born_ms = now_ms();
    loop {
        let pause = *every.borrow_and_update();
        let wait = match (pause, jobs.last_created_ms(KIND).await) {
            (Duration::ZERO, _) => Duration::MAX,
            (_, Err(_)) => AFTER_FAILURE,
            (_, Ok(last_ms)) => wait(pause, last_ms, born_ms),
        };
        tokio::select! {
            changed = every.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = sleep(wait) => {}
        }
        if let Err(error) = start(&jobs, &Request::default()).await {
            tracing::error!(%error, "the comparison that is due can't be started");
            sleep(AFTER_FAILURE).await;
        }
    }
}

/// Asks for a comparison of the collections whose copies were made again, as soon as none is being made, or after a
/// while. For the life of the process.
pub async fn run_after_rebuilds(jobs: Jobs, replication: Replication) {
    loop {
        let mut rebuilt = replication.rebuilt().await;
        let deadline = Instant::now() + TOGETHER;
        while is_rebuilding(&replication).await && Instant::now() < deadline {
            sleep(REBUILDING_PAUSE).await;
        }
        rebuilt.extend(replication.rebuilt_so_far());
        let collections = rebuilt.iter().map(ToString::to_string).collect();
        let request = Request { collections, ..Request::default() };
        while let Err(error) = start(&jobs, &request).await {
            tracing::warn!(%error, "what was copied again can't be compared yet");
            sleep(AFTER_FAILURE).await;
        }
    }
}

async fn is_rebuilding(replication: &Replication) -> bool {
    let view = replication.view().await;
    view.is_some_and(|view| view.instances.iter().any(|there| !there.rebuilds.is_empty()))
}

async fn start(jobs: &Jobs, request: &Request) -> Result<(), NotStarted> {
    jobs.start(KIND, serde_json::to_value(request).unwrap_or_default()).await.map(|_| ())
}

/// How long the next one is away: a pause at most, also where the clock was set back since the last one.
fn wait(pause: Duration, last_ms: Option<u64>, born_ms: u64) -> Duration {
    let first = born_ms + ms(pause.min(AFTER_START));
    let due = last_ms.unwrap_or(born_ms).saturating_add(ms(pause)).max(first);
    let due = UNIX_EPOCH + Duration::from_millis(due);
    due.duration_since(SystemTime::now()).unwrap_or_default().min(pause)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_comes_a_pause_after_the_last_and_not_right_after_a_start() {
        let (now, day) = (now_ms(), Duration::from_secs(86_400));
        let about = |wait: Duration| (wait.as_millis() + 500) / 1_000;
        assert_eq!(about(wait(day, None, now)), 86_400);
        assert_eq!(about(wait(day, Some(now - 3_600_000), now - 7_200_000)), 82_800);
        assert_eq!(about(wait(day, Some(now - 2 * 86_400_000), now)), 60, "overdue at the start");
        assert_eq!(about(wait(Duration::from_secs(1), Some(now - 5_000), now - 2_000)), 0);
        assert_eq!(about(wait(day, Some(now + 10 * 86_400_000), now)), 86_400, "the clock was set back");
    }
}
