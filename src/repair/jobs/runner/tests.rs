use serde_json::json;
use tokio::sync::Semaphore;

use super::super::job::{EndFuture, Outcome, WorkFuture};
use super::*;

/// Work that goes on as often as it is let.
struct Stepwise {
    steps: Arc<Semaphore>,
    begun: Arc<Semaphore>,
}

impl Work for Stepwise {
    fn kind(&self) -> &'static str {
        "stepwise"
    }

    fn run(&self, request: Value, progress: Arc<Progress>) -> WorkFuture {
        let (steps, begun) = (Arc::clone(&self.steps), Arc::clone(&self.begun));
        Box::pin(async move {
            progress.expect(1);
            begun.add_permits(1);
            steps.acquire().await.map_err(|error| error.to_string())?.forget();
            progress.advance(1);
            if request["fail"] == true {
                return Err("told to".to_owned());
            }
            Ok(Outcome { summary: "well".to_owned(), result: json!({ "of": request }) })
        })
    }

    fn cancelled(&self, request: Value, _progress: Arc<Progress>) -> EndFuture {
        let (steps, begun) = (Arc::clone(&self.steps), Arc::clone(&self.begun));
        Box::pin(async move {
            let summary = if request["tidy"] == true {
                begun.add_permits(1);
                steps.acquire().await.unwrap().forget();
                Some("tidied".to_owned())
            } else {
                None
            };
            End { state: JobState::Cancelled, summary, result: Value::Null }
        })
    }
}

struct World {
    jobs: Jobs,
    steps: Arc<Semaphore>,
    begun: Arc<Semaphore>,
}

impl World {
    fn over(dir: &std::path::Path) -> Self {
        let (steps, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let work = Stepwise { steps: Arc::clone(&steps), begun: Arc::clone(&begun) };
        let store = Arc::new(Store::open(dir).unwrap());
        Self { jobs: Jobs::new(store, vec![Arc::new(work)]), steps, begun }
    }

    async fn begun(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    async fn ended(&self, id: JobId) -> Job {
        loop {
            let job = self.jobs.get(id).await.unwrap().unwrap();
            if job.state.is_over() {
                return job;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_job_tells_its_progress_and_keeps_its_result() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over(dir.path());
    let id = world.jobs.start("stepwise", json!({ "a": 1 })).await.unwrap().id;
    world.begun().await;
    let job = world.jobs.get(id).await.unwrap().unwrap();
    let progress = job.progress.unwrap();
    assert_eq!((job.state, progress.done, progress.total), (JobState::Running, 0, Some(1)));
    world.steps.add_permits(1);
    let job = world.ended(id).await;
    assert_eq!((job.state, job.summary.as_deref()), (JobState::Done, Some("well")));
    assert_eq!((job.progress.unwrap().done, job.result), (1, json!({ "of": { "a": 1 } })));
    assert_eq!(world.jobs.list().await.unwrap()[0].result, Value::Null, "lists are short");
    assert_eq!(world.jobs.last_done("stepwise").await.unwrap().unwrap().id, id);
}

#[tokio::test]
async fn jobs_of_a_kind_run_one_after_the_other_and_a_failure_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over(dir.path());
    let first = world.jobs.start("stepwise", json!({ "fail": true })).await.unwrap().id;
    world.begun().await;
    let second = world.jobs.start("stepwise", json!({})).await.unwrap().id;
    assert_eq!(world.jobs.get(second).await.unwrap().unwrap().state, JobState::Queued);
    world.steps.add_permits(2);
    let failed = world.ended(first).await;
    assert_eq!((failed.state, failed.summary.as_deref()), (JobState::Failed, Some("told to")));
    assert_eq!(world.ended(second).await.state, JobState::Done);
}

#[tokio::test]
async fn a_job_is_cancelled_while_it_runs_and_while_it_waits() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over(dir.path());
    let running = world.jobs.start("stepwise", json!({})).await.unwrap().id;
    world.begun().await;
    let waiting = world.jobs.start("stepwise", json!({})).await.unwrap().id;
    assert_eq!(world.jobs.cancel(waiting).await.unwrap().state, JobState::Cancelled);
    assert_eq!(world.jobs.cancel(running).await.unwrap().state, JobState::Cancelled);
    assert!(matches!(world.jobs.cancel(running).await, Ok(job) if job.state == JobState::Cancelled));
    assert!(matches!(world.jobs.cancel(JobId(99)).await, Err(NotCancelled::Unknown)));
    world.steps.add_permits(1);
    let third = world.jobs.start("stepwise", json!({})).await.unwrap().id;
    assert_eq!(world.ended(third).await.state, JobState::Done);
    assert!(matches!(world.jobs.cancel(third).await, Err(NotCancelled::Over)));
}

#[tokio::test]
async fn a_job_that_is_cancelled_ends_when_it_has_tidied_up() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over(dir.path());
    let id = world.jobs.start("stepwise", json!({ "tidy": true })).await.unwrap().id;
    world.begun().await;
    let jobs = world.jobs.clone();
    let cancelling = tokio::spawn(async move { jobs.cancel(id).await });
    world.begun().await;
    assert_eq!(world.jobs.get(id).await.unwrap().unwrap().state, JobState::Running);
    world.steps.add_permits(1);
    let job = cancelling.await.unwrap().unwrap();
    assert_eq!((job.state, job.summary.as_deref()), (JobState::Cancelled, Some("tidied")));
}

#[tokio::test]
async fn what_a_stop_interrupted_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over(dir.path());
    let running = world.jobs.start("stepwise", json!({})).await.unwrap().id;
    world.begun().await;
    let waiting = world.jobs.start("stepwise", json!({})).await.unwrap().id;
    world.jobs.stop();
    drop(world);

    let world = World::over(dir.path());
    world.jobs.resume().await.unwrap();
    world.begun().await;
    world.steps.add_permits(2);
    let (first, second) = (world.ended(running).await, world.ended(waiting).await);
    assert_eq!((first.state, first.interruptions), (JobState::Done, 1));
    assert_eq!((second.state, second.interruptions), (JobState::Done, 0));
}

#[tokio::test]
async fn history_and_what_is_open_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::over(dir.path());
    for _ in 0..MAX_OPEN {
        world.jobs.start("stepwise", json!({})).await.unwrap();
    }
    assert!(matches!(world.jobs.start("stepwise", json!({})).await, Err(NotStarted::TooMany)));
    world.steps.add_permits(1_000);
    for _ in 0..100 {
        let id = loop {
            match world.jobs.start("stepwise", json!({})).await {
                Ok(job) => break job.id,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        world.ended(id).await;
    }
    assert_eq!(world.jobs.list().await.unwrap().len(), 100);
}
