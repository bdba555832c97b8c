//! How many requests and how many bytes of their bodies are held at once (invariant I11).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{error::Elapsed, timeout};

use super::answer::{Code, Refusal};
use crate::config::Config;
use crate::metrics::Counter;
use crate::resources::Budget;

/// Requests under way at once.
const MAX_REQUESTS: usize = 1_024;
/// How long a request waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests under way at once.
    pub(crate) requests: usize,
    /// Bytes of bodies held at once.
    pub(crate) body_bytes: usize,
    /// How long a request waits for either.
    pub(crate) wait: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        // At least one body of any permitted size fits.
        let in_memory = (Budget::of(&config.resources).memory_bytes / 4).max(config.write.max_body_bytes);
        let body_bytes = usize::try_from(config.write.max_pending_bytes.min(in_memory)).unwrap_or(usize::MAX);
        Self { requests: MAX_REQUESTS, body_bytes: body_bytes.min(Semaphore::MAX_PERMITS), wait: WAIT }
    }
}

/// Lets requests in.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    /// Of bodies that may be held; `limits` tells what it was at the start.
    body_bytes: Mutex<usize>,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    waiting: AtomicU64,
    /// Waits so far, those under way too.
    waits: Counter,
    refused: AtomicU64,
}

/// What is let in at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionView {
    pub requests: usize,
    pub max_requests: usize,
    pub body_bytes: usize,
    pub max_body_bytes: usize,
    /// How often a request had to wait, since the start.
    pub waits: u64,
}

/// A request's place. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _request: OwnedSemaphorePermit,
    bytes: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            body_bytes: Mutex::new(limits.body_bytes),
            requests: Arc::new(Semaphore::new(limits.requests)),
            bytes: Arc::new(Semaphore::new(limits.body_bytes)),
            waiting: AtomicU64::new(0),
            waits: Counter::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// 503 where none became free in time.
    pub(crate) async fn enter(&self) -> Result<Place, Refusal> {
        let request = self.wait_for(&self.requests, 1, "requests").await?;
        Ok(Place { _request: request, bytes: None })
    }

    /// Waits until a place may hold so many bytes more.
    ///
    /// # Errors
    /// 503 where that did not happen in time.
    pub(crate) async fn hold(&self, place: &mut Place, bytes: u32) -> Result<(), Refusal> {
        let more = self.wait_for(&self.bytes, bytes, "bytes of request bodies").await?;
        match &mut place.bytes {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    /// Lets bodies hold so many bytes from now on; what is held beyond that stays until it is done with.
    pub(crate) fn set_body_bytes(&self, bytes: usize) {
        let mut before = self.body_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        self.bytes.add_permits(bytes.saturating_sub(*before));
        let less = before.saturating_sub(bytes);
        let held = less - self.bytes.forget_permits(less);
        *before = bytes;
        if held > 0 {
            tokio::spawn(give_up(Arc::clone(&self.bytes), held));
        }
    }

    /// What is let in now.
    pub(crate) fn view(&self) -> AdmissionView {
        let max_body_bytes = *self.body_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        AdmissionView {
            requests: self.limits.requests - self.requests.available_permits().min(self.limits.requests),
            max_requests: self.limits.requests,
            body_bytes: max_body_bytes.saturating_sub(self.bytes.available_permits()),
            max_body_bytes,
            waits: self.waits.get(),
        }
    }

    /// Requests that wait for their turn, and those refused since the start.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (self.waiting.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Requests that may be under way at once.
    pub(crate) fn max_requests(&self) -> usize {
        self.limits.requests
    }

    async fn wait_for(
        &self,
        semaphore: &Arc<Semaphore>,
        count: u32,
        what: &str,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(permit) = Arc::clone(semaphore).try_acquire_many_owned(count) {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(&self.waiting);
        self.waits.add();
        let permit: Result<Result<_, AcquireError>, Elapsed> =
            timeout(self.limits.wait, Arc::clone(semaphore).acquire_many_owned(count)).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Refusal::unavailable(Code::Overloaded, format!("Too many {what} are under way; try again later"))
        })
    }
}

/// Takes permits out for good as they come back.
async fn give_up(semaphore: Arc<Semaphore>, mut count: usize) {
    while count > 0 {
        let part = u32::try_from(count).unwrap_or(u32::MAX).min(1 << 20);
        let Ok(permit) = semaphore.acquire_many(part).await else {
            return;
        };
        permit.forget();
        count -= part as usize;
    }
}

/// Counts one who waits, also where the wait is cut short.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(requests: usize, body_bytes: usize) -> Admission {
        Admission::new(Limits { requests, body_bytes, wait: Duration::ZERO })
    }

    #[tokio::test]
    async fn who_finds_no_place_in_time_is_told_to_come_again() {
        let admission = admission(1, 10);
        let first = admission.enter().await.unwrap();
        let refused = admission.enter().await.unwrap_err();
        assert_eq!((refused.error.status, refused.code), (503, Some(Code::Overloaded)));
        assert!(refused.retry_after_s.is_some());
        assert_eq!(admission.figures(), (0, 1));
        drop(first);
        assert!(admission.enter().await.is_ok());
    }

    #[tokio::test]
    async fn another_limit_holds_from_now_on_and_takes_nothing_from_those_who_are_in() {
        let admission = admission(3, 10);
        let (mut first, mut second) = (admission.enter().await.unwrap(), admission.enter().await.unwrap());
        admission.hold(&mut first, 8).await.unwrap();
        admission.set_body_bytes(5);
        assert!(admission.hold(&mut second, 1).await.is_err(), "8 of 5 are held");
        drop(first);
        // The task that takes back what was held too much comes in between.
        tokio::task::yield_now().await;
        assert!(admission.hold(&mut second, 6).await.is_err());
        assert!(admission.hold(&mut second, 5).await.is_ok());
        admission.set_body_bytes(7);
        assert!(admission.hold(&mut second, 2).await.is_ok());
        assert!(admission.hold(&mut second, 1).await.is_err());
    }

    #[tokio::test]
    async fn bytes_are_given_back_with_the_place() {
        let admission = admission(2, 10);
        let mut first = admission.enter().await.unwrap();
        admission.hold(&mut first, 4).await.unwrap();
        admission.hold(&mut first, 5).await.unwrap();
        let mut second = admission.enter().await.unwrap();
        assert!(admission.hold(&mut second, 2).await.is_err());
        drop(first);
        assert!(admission.hold(&mut second, 10).await.is_ok());
    }
}
