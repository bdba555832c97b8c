//! Writers and readers that note every request: when it began and ended and what came back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::http::Http;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Write,
    Read,
}

/// A request to be made, and the word under which the test knows it again.
pub struct Job {
    pub label: String,
    pub request: Request<Bytes>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Sample {
    pub kind: Kind,
    pub label: String,
    pub started: Instant,
    pub ended: Instant,
    /// 0 when there was no whole answer.
    pub status: u16,
    /// The answer, or why there is none.
    pub body: Bytes,
    /// The answer's `Transaction-ID`.
    pub transaction: Option<String>,
}

impl Sample {
    /// True for a whole 2xx answer.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// From sending to the whole answer.
    pub fn latency(&self) -> Duration {
        self.ended - self.started
    }

    /// One line for a failing test.
    pub fn describe(&self) -> String {
        let body = String::from_utf8_lossy(&self.body).chars().take(200).collect::<String>();
        format!("{:?} {} after {:?}: {} {body}", self.kind, self.label, self.latency(), self.status)
    }
}

/// The labels of the writes that have been acknowledged so far.
#[derive(Clone, Default)]
pub struct Acknowledged(Arc<Mutex<Vec<String>>>);

impl Acknowledged {
    fn note(&self, label: &str) {
        self.0.lock().expect("labels").push(label.to_owned());
    }

    /// Any of them; `None` before the first.
    pub fn any(&self) -> Option<String> {
        let labels = self.0.lock().expect("labels");
        (!labels.is_empty()).then(|| labels[fastrand::usize(..labels.len())].clone())
    }

    /// The latest; `None` before the first.
    pub fn latest(&self) -> Option<String> {
        self.0.lock().expect("labels").last().cloned()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().expect("labels").len()
    }
}

/// Where a request's sample goes.
#[derive(Clone)]
struct Notes {
    samples: mpsc::UnboundedSender<Sample>,
    acknowledged: Acknowledged,
}

/// Load that runs until it is stopped. Belongs to the runtime in which it is started.
pub struct Load {
    stop: Arc<AtomicBool>,
    started: Instant,
    workers: JoinSet<()>,
    samples: mpsc::UnboundedReceiver<Sample>,
    notes: Notes,
}

impl Load {
    /// No load yet.
    pub fn start() -> Self {
        let (sender, samples) = mpsc::unbounded_channel();
        let notes = Notes { samples: sender, acknowledged: Acknowledged::default() };
        let stop = Arc::new(AtomicBool::new(false));
        Self { stop, started: Instant::now(), workers: JoinSet::new(), samples, notes }
    }

    /// The writes acknowledged so far; goes on growing while the load runs.
    pub fn acknowledged(&self) -> Acknowledged {
        self.notes.acknowledged.clone()
    }

    /// Sends `per_second` requests a second, whether or not earlier ones have been answered.
    /// `make` gives the n-th request, counted from 0.
    pub fn at_rate(&mut self, kind: Kind, per_second: u32, make: impl Fn(u64) -> Job + Send + 'static) {
        let (stop, notes) = (Arc::clone(&self.stop), self.notes.clone());
        let http = Http::default();
        self.workers.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut under_way = JoinSet::new();
            for number in 0.. {
                ticks.tick().await;
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                under_way.spawn(execute(http.clone(), kind, make(number), notes.clone()));
                while under_way.try_join_next().is_some() {}
            }
            under_way.join_all().await;
        });
    }

    /// `clients` clients that each send the next request when the last is answered.
    /// `make` gives the n-th request of all, counted from 0.
    pub fn closed(&mut self, kind: Kind, clients: usize, make: impl Fn(u64) -> Job + Send + Sync + 'static) {
        let make = Arc::new(make);
        let next = Arc::new(AtomicU64::new(0));
        let http = Http::default();
        for _ in 0..clients {
            let (stop, notes, http) = (Arc::clone(&self.stop), self.notes.clone(), http.clone());
            let (make, next) = (Arc::clone(&make), Arc::clone(&next));
            self.workers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let job = make(next.fetch_add(1, Ordering::Relaxed));
                    execute(http.clone(), kind, job, notes.clone()).await;
                }
            });
        }
    }

    /// Lets it run for a time, then [`Self::stop`]s it.
    pub async fn run_for(self, time: Duration) -> Report {
        tokio::time::sleep(time).await;
        self.stop().await
    }

    /// Sends nothing new, waits for what is under way, and tells what happened.
    pub async fn stop(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let stopped = Instant::now();
        self.workers.join_all().await;
        drop(self.notes);
        let mut samples = Vec::new();
        while let Some(sample) = self.samples.recv().await {
            samples.push(sample);
        }
        samples.sort_by_key(|sample: &Sample| sample.ended);
        Report { started: self.started, stopped, samples }
    }
}

async fn execute(http: Http, kind: Kind, job: Job, notes: Notes) {
    let started = Instant::now();
    let answer = http.send(job.request).await;
    let ended = Instant::now();
    let (status, body, transaction) = match answer {
        Ok(answer) => {
            let transaction = answer.header("transaction-id").map(str::to_owned);
            (answer.status, answer.body, transaction)
        }
        Err(error) => (0, Bytes::from(error), None),
    };
    let sample = Sample { kind, label: job.label, started, ended, status, body, transaction };
    if kind == Kind::Write && sample.is_success() {
        notes.acknowledged.note(&sample.label);
    }
    // The receiver lives as long as the load; a test that fails drops both.
    let _ = notes.samples.send(sample);
}

/// What a load saw, in the order of the answers.
#[derive(Debug)]
pub struct Report {
    pub started: Instant,
    pub stopped: Instant,
    pub samples: Vec<Sample>,
}

impl Report {
    /// The requests of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.kind == kind)
    }

    /// What got no 2xx.
    pub fn failed(&self, kind: Kind) -> Vec<&Sample> {
        self.of(kind).filter(|sample| !sample.is_success()).collect()
    }

    /// The longest time without a successful answer, from the start to the stop.
    pub fn longest_pause(&self, kind: Kind) -> Duration {
        let ends = self.of(kind).filter(|sample| sample.is_success()).map(|sample| sample.ended);
        let (mut last, mut longest) = (self.started, Duration::ZERO);
        for end in ends.chain([self.stopped]) {
            longest = longest.max(end.saturating_duration_since(last));
            last = last.max(end);
        }
        longest
    }

    /// Successful answers a second while the load ran.
    pub fn per_second(&self, kind: Kind) -> f64 {
        let in_time = self.of(kind).filter(|s| s.is_success() && s.ended <= self.stopped).count();
        in_time as f64 / (self.stopped - self.started).as_secs_f64()
    }

    /// The latency that `percent` of the successful requests did not exceed; zero without any.
    pub fn latency(&self, kind: Kind, percent: f64) -> Duration {
        percentile(self.of(kind).filter(|s| s.is_success()).map(Sample::latency).collect(), percent)
    }

    /// Panics with the first failures when there are any.
    pub fn assert_none_failed(&self, kind: Kind) {
        let failed = self.failed(kind);
        let shown: Vec<_> = failed.iter().take(5).map(|sample| sample.describe()).collect();
        assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), shown.join("\n"));
        assert!(self.of(kind).next().is_some(), "there was no {kind:?} at all");
    }
}

/// The value that `percent` of the values do not exceed; zero without any.
pub fn percentile(mut values: Vec<Duration>, percent: f64) -> Duration {
    values.sort();
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.max(1) - 1).copied().unwrap_or_default()
}
