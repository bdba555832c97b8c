//! Request bodies: held whole, within bounds.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::admission::{Admission, Place};
use super::answer::Refusal;
use crate::chroma::error::ApiError;

/// What a body whose length is not announced may grow by before it asks for more room.
const STEP_BYTES: u32 = 1 << 20;
/// What is read and thrown away of a body that is refused, so that its sender gets to read the answer.
const DRAIN_BYTES: usize = 256 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Why a body is not there.
#[derive(Debug)]
pub(super) enum NoBody {
    /// It is over the limit.
    TooLarge,
    /// There is no room for it now.
    Refused(Refusal),
    /// The client went away, or did not keep to HTTP.
    Broken(String),
}

/// Reads a body of at most `max_bytes`, counted against the place.
pub(super) async fn collect(
    admission: &Admission,
    place: &mut Place,
    headers: &HeaderMap,
    body: Body,
    max_bytes: usize,
) -> Result<Bytes, NoBody> {
    let announced = content_length(headers);
    if announced.is_some_and(|bytes| bytes > max_bytes) {
        drain(headers, body);
        return Err(NoBody::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match read(admission, place, body, announced, max_bytes).await {
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
    max_bytes: usize,
) -> Result<Bytes, (NoBody, Body)> {
    let first = announced.and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(STEP_BYTES);
    if let Err(refusal) = admission.hold(place, first).await {
        return Err((NoBody::Refused(refusal), body));
    }
    let mut room = first as usize;
    let mut bytes = BytesMut::with_capacity(room.min(STEP_BYTES as usize));
    while let Some(frame) = body.frame().await {
        let data = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return Err((NoBody::Broken(error.to_string()), Body::empty())),
        };
        if bytes.len() + data.len() > max_bytes {
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
    Ok(bytes.freeze())
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
            Self::Broken(error) => ApiError::invalid(format!("The request body ended early: {error}")).into(),
        }
    }
}
