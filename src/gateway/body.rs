//! Request bodies: held whole, within bounds.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use super::admission::{Admission, Place};
use super::answer::{Code, Refusal};
use crate::chroma::error::{ApiError, INTERNAL};

/// What a body whose length is not announced may grow by before it asks for more room.
const STEP_BYTES: u32 = 1 << 20;
/// What is read and thrown away of a body that is refused, so that its sender gets to read the answer.
const DRAIN_BYTES: usize = 256 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The rate below which a body is late, in bytes a second.
const LEAST_RATE: u64 = 64 << 10;

/// What a body must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_bytes: usize,
    /// How far it may be behind [`LEAST_RATE`].
    pub(super) late: Duration,
}

/// Why a body is not there.
#[derive(Debug)]
pub(super) enum NoBody {
    /// It is over the limit.
    TooLarge,
    /// There is no room for it now.
    Refused(Refusal),
    /// It came too slowly.
    Late,
    /// The client went away, or did not keep to HTTP, or to the encoding that it named.
    Broken(String),
}

/// The body, unless its announced length is over the limit.
pub(super) fn not_too_large(headers: &HeaderMap, body: Body, max_bytes: usize) -> Result<Body, NoBody> {
    if content_length(headers).is_some_and(|bytes| bytes > max_bytes) {
        drain(headers, body);
        return Err(NoBody::TooLarge);
    }
    Ok(body)
}

/// Reads a body, counted against the place.
pub(super) async fn collect(
    admission: &Admission,
    place: &mut Place,
    headers: &HeaderMap,
    body: Body,
    limits: Limits,
) -> Result<Bytes, NoBody> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match read(admission, place, body, content_length(headers), limits).await {
        Ok(bytes) => Ok(bytes),
        Err((error, rest)) => {
            drain(headers, rest);
            Err(error)
        }
    }
}

async fn read(
    admission: &Admission,
    place: &mut Place,
    mut body: Body,
    announced: Option<usize>,
    limits: Limits,
) -> Result<Bytes, (NoBody, Body)> {
    let first = announced.and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(STEP_BYTES);
    if let Err(refusal) = admission.hold(place, first).await {
        return Err((NoBody::Refused(refusal), body));
    }
    let mut room = first as usize;
    let mut bytes = BytesMut::with_capacity(room.min(STEP_BYTES as usize));
    let mut patience = limits.late;
    loop {
        if body.is_end_stream() {
            return Ok(bytes.freeze());
        }
        let asked = Instant::now();
        let Ok(frame) = timeout(patience, body.frame()).await else {
            return Err((NoBody::Late, Body::empty()));
        };
        let data = match frame {
            None => return Ok(bytes.freeze()),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Err((NoBody::Broken(describe(&error)), Body::empty())),
        };
        // What we took to find room is not the sender's fault.
        patience = patience.saturating_sub(asked.elapsed()).saturating_add(time_for(data.len()));
        if bytes.len() + data.len() > limits.max_bytes {
            return Err((NoBody::TooLarge, body));
        }
        while bytes.len() + data.len() > room {
            if let Err(refusal) = admission.hold(place, STEP_BYTES).await {
                return Err((NoBody::Refused(refusal), body));
            }
            room += STEP_BYTES as usize;
        }
        bytes.extend_from_slice(&data);
    }
}

/// How long bytes may take at the least rate.
fn time_for(bytes: usize) -> Duration {
    Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / LEAST_RATE)
}

fn describe(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Reads the rest of a refused body in the background. A connection that is closed with unread bytes in it is
/// reset, and the reset can overtake the answer. One who asks before sending needs no draining.
pub(super) fn drain(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(timeout(DRAIN_TIME, async move {
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained > DRAIN_BYTES {
                return;
            }
        }
    }));
}

impl NoBody {
    /// The refusal, where Chroma's words do not depend on the operation.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::TooLarge => ApiError::payload_too_large().into(),
            Self::Refused(refusal) => refusal,
            Self::Late => {
                let message = "The request body came too slowly; nothing was applied";
                Refusal::own(Code::SlowBody, ApiError::new(408, INTERNAL, message))
            }
            Self::Broken(error) => {
                ApiError::invalid(format!("The request body could not be read: {error}")).into()
            }
        }
    }
}
