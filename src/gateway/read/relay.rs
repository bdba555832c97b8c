//! An answer too large to hold: it goes to the client as it comes from the instance.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::attempt::unavailable;
use super::forward::Forward;
use crate::chroma::ids::InstanceId;
use crate::delivery::handle::Replication;
use crate::gateway::admission::Place;
use crate::replication::board::Stamp;
use crate::replication::event::{Level, ReadScope};

/// Tells the core that a read ends.
#[derive(Clone)]
pub(super) struct EndOfRead {
    replication: Replication,
    instance: InstanceId,
    scope: ReadScope,
    level: Level,
    stamp: Option<Stamp>,
}

impl EndOfRead {
    pub(super) fn new(
        replication: Replication,
        instance: InstanceId,
        what: &Forward,
        stamp: Option<Stamp>,
    ) -> Self {
        Self { replication, instance, scope: what.scope.clone(), level: what.level, stamp }
    }

    /// To be called before the last byte goes to the client.
    fn tell(self) {
        self.replication.read_ended(self.instance, &self.scope, self.level, self.stamp);
    }
}

/// What is still to come of an answer.
pub(super) struct Rest {
    /// What was held so far.
    pub(super) beginning: Option<Bytes>,
    /// Bytes of the whole body, where they were announced.
    pub(super) left: Option<u64>,
    pub(super) rest: Incoming,
    pub(super) available: watch::Receiver<bool>,
    pub(super) end: EndOfRead,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("left", &self.left).finish_non_exhaustive()
    }
}

/// An answer broke off. The connection to the client is aborted, so that it can't take a part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer of the instance broke off: {0}")]
pub(super) struct Broken(String);

/// The body of a relayed answer.
pub(super) struct Relay<B = Incoming> {
    beginning: Option<Bytes>,
    left: Option<u64>,
    rest: B,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
    end: Option<Box<dyn FnOnce() + Send>>,
    _place: Option<Place>,
}

impl Relay {
    /// The body of this answer; the request keeps its place as long.
    pub(super) fn new(rest: Rest, place: Place) -> Self {
        let mut available = rest.available;
        Self {
            beginning: rest.beginning,
            left: rest.left,
            rest: rest.rest,
            gone: Box::pin(async move { unavailable(&mut available).await }),
            end: Some(Box::new(move || rest.end.tell())),
            _place: Some(place),
        }
    }
}

impl<B> Relay<B> {
    fn tell_end(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }

    /// A part on its way to the client; the last one is announced first.
    fn pass(&mut self, bytes: Bytes) -> Frame<Bytes> {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
            if *left == 0 {
                self.tell_end();
            }
        }
        Frame::data(bytes)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Relay<B>
where
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(beginning) = this.beginning.take() {
            return Poll::Ready(Some(Ok(this.pass(beginning))));
        }
        match Pin::new(&mut this.rest).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = match frame.into_data() {
                    Ok(bytes) => this.pass(bytes),
                    Err(trailers) => trailers,
                };
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Broken(error.to_string())))),
            Poll::Ready(None) if this.left.is_some_and(|left| left > 0) => {
                Poll::Ready(Some(Err(Broken("it is shorter than announced".to_owned()))))
            }
            Poll::Ready(None) => {
                this.tell_end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.gone.as_mut().poll(context));
                Poll::Ready(Some(Err(Broken("the instance became unavailable".to_owned()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use http_body_util::BodyExt;

    use super::*;

    /// A part of a body; `None` hangs.
    type Part = Option<Result<&'static str, &'static str>>;

    /// A body of given parts.
    struct Parts(VecDeque<Part>);

    impl Body for Parts {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.get_mut().0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(part)) => Poll::Ready(Some(part.map(|text| Frame::data(text.into())))),
            }
        }
    }

    fn relay(left: Option<u64>, parts: &[Part], gone: bool) -> (Relay<Parts>, Arc<AtomicBool>) {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let relay = Relay {
            beginning: Some("ab".into()),
            left,
            rest: Parts(parts.iter().copied().collect()),
            gone: if gone { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) },
            end: Some(Box::new(move || flag.store(true, Ordering::SeqCst))),
            _place: None,
        };
        (relay, ended)
    }

    #[tokio::test]
    async fn the_end_is_told_before_the_last_part_goes_out() {
        let (mut relay, ended) = relay(Some(4), &[Some(Ok("c")), Some(Ok("d"))], false);
        for (part, is_end) in [("ab", false), ("c", false), ("d", true)] {
            let frame = relay.frame().await.unwrap().unwrap();
            assert_eq!((frame.into_data().unwrap(), ended.load(Ordering::SeqCst)), (part.into(), is_end));
        }
        assert!(relay.frame().await.is_none());
    }

    #[tokio::test]
    async fn without_a_length_the_end_is_told_before_the_body_ends() {
        let (mut relay, ended) = relay(None, &[Some(Ok("c"))], false);
        while let Some(frame) = relay.frame().await {
            assert!(frame.is_ok() && !ended.load(Ordering::SeqCst));
        }
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_never_ends_cleanly() {
        let broken: [(&[Part], bool); 3] = [(&[Some(Err("reset"))], false), (&[], false), (&[None], true)];
        for (parts, gone) in broken {
            let (mut relay, ended) = relay(Some(4), parts, gone);
            assert!(relay.frame().await.unwrap().is_ok());
            assert!(relay.frame().await.unwrap().is_err());
            assert!(!ended.load(Ordering::SeqCst));
        }
    }
}
