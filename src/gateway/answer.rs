//! Answers in Chroma's shape, and our own errors.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::headers::{ERROR_CODE, TRACE_ID};
use crate::chroma::error::{ApiError, INTERNAL, PAYLOAD_TOO_LARGE};
use crate::instances::fence::Fenced;
use crate::wal::record::Answer;

/// Chroma's trace id, which every error of a single node carries.
const NO_TRACE: HeaderValue = HeaderValue::from_static("00000000000000000000000000000000");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// When a client should come again after a short trouble, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// What is wrong, in `Isochrome-Error`, where an error is ours and not Chroma's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A write is logged, and its outcome is open.
    Undecided,
    /// The write was withdrawn because instances died or stopped writing under it.
    Poisoned,
    /// The log cannot be written, and nothing was applied.
    LogUnavailable,
    /// Too much is under way.
    Overloaded,
    /// We are stopping.
    Stopping,
    /// Another Isochrome may be writing: this one neither writes nor reads.
    Fenced,
    /// No instance is up.
    NoInstance,
    /// No instance has caught up in time.
    NotCaughtUp,
    /// No instance gave an answer in time.
    NoAnswer,
    /// The write was taken back by its sender.
    Cancelled,
    /// The write can't be taken back.
    NotCancelled,
    /// The transaction id belongs to another request.
    TransactionMismatch,
    /// The level of a read is none.
    InvalidConsistency,
    /// The transaction id is not usable.
    InvalidTransactionId,
    /// No such transaction.
    UnknownTransaction,
    /// The name is ours.
    Reserved,
    /// An operator's change came where clients come in.
    SocketOnly,
    /// The request's body is in an encoding that we don't take.
    UnsupportedEncoding,
    /// The request's body came too slowly.
    SlowBody,
}

impl Code {
    /// Every code, for those who count them.
    pub const ALL: [Self; 16] = [
        Self::Undecided,
        Self::Poisoned,
        Self::LogUnavailable,
        Self::Overloaded,
        Self::Stopping,
        Self::Fenced,
        Self::NoInstance,
        Self::NotCaughtUp,
        Self::NoAnswer,
        Self::Cancelled,
        Self::NotCancelled,
        Self::TransactionMismatch,
        Self::InvalidConsistency,
        Self::InvalidTransactionId,
        Self::UnknownTransaction,
        Self::Reserved,
    ];

    /// The value of the header.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Undecided => "UNDECIDED",
            Self::Poisoned => "POISONED",
            Self::LogUnavailable => "LOG_UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::Stopping => "STOPPING",
            Self::Fenced => "FENCED",
            Self::NoInstance => "NO_INSTANCE",
            Self::NotCaughtUp => "NOT_CAUGHT_UP",
            Self::NoAnswer => "NO_ANSWER",
            Self::Cancelled => "CANCELLED",
            Self::NotCancelled => "NOT_CANCELLED",
            Self::TransactionMismatch => "TRANSACTION_MISMATCH",
            Self::InvalidConsistency => "INVALID_CONSISTENCY",
            Self::InvalidTransactionId => "INVALID_TRANSACTION_ID",
            Self::UnknownTransaction => "UNKNOWN_TRANSACTION",
            Self::Reserved => "RESERVED",
            Self::SocketOnly => "SOCKET_ONLY",
            Self::UnsupportedEncoding => "UNSUPPORTED_ENCODING",
            Self::SlowBody => "SLOW_BODY",
        }
    }
}

/// An error that goes to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: ApiError,
    /// `None` where Chroma would say the same.
    pub code: Option<Code>,
    /// Seconds after which trying again makes sense.
    pub retry_after_s: Option<u32>,
}

impl Refusal {
    /// An error of ours that trying again won't change.
    #[must_use]
    pub fn own(code: Code, error: ApiError) -> Self {
        Self { error, code: Some(code), retry_after_s: None }
    }

    /// 503: nothing goes through this Isochrome until an operator chooses. Whoever balances load finds another.
    #[must_use]
    pub fn fenced(fenced: &Fenced) -> Self {
        let message =
            format!("This Isochrome is fenced, and kept nothing of this request: {}", fenced.detail);
        Self::own(Code::Fenced, ApiError::new(503, INTERNAL, message))
    }

    /// 503: a trouble that passes.
    #[must_use]
    pub fn unavailable(code: Code, message: impl Into<String>) -> Self {
        Self::passing(code, 503, message)
    }

    /// A trouble that passes, with another status.
    #[must_use]
    pub fn passing(code: Code, status: u16, message: impl Into<String>) -> Self {
        let error = ApiError::new(status, INTERNAL, message);
        Self { error, code: Some(code), retry_after_s: Some(RETRY_AFTER_S) }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self { error, code: None, retry_after_s: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.error.status, self.error.body());
        let headers = response.headers_mut();
        if let Some(code) = self.code {
            headers.insert(ERROR_CODE, HeaderValue::from_static(code.word()));
        }
        if let Some(retry_after_s) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        response
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: u16, body: impl Into<Body>) -> Response {
    let mut response = empty(status);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    *response.body_mut() = body.into();
    response
}

/// An answer without a body; with Chroma's trace id where it is an error.
pub(super) fn empty(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status >= 400 {
        response.headers_mut().insert(TRACE_ID, NO_TRACE);
    }
    response
}

/// Wrong method.
pub(super) fn method_not_allowed(allow: &'static str) -> Response {
    with_header(empty(405), header::ALLOW, HeaderValue::from_static(allow))
}

/// Chroma's few answers in plain text, which have no content type.
pub(super) fn text(status: u16, words: &'static str) -> Response {
    let mut response = empty(status);
    *response.body_mut() = Body::from(words);
    response
}

/// An instance's answer as the log keeps it.
pub(super) fn from_log(answer: &Answer) -> Response {
    let body = Bytes::copy_from_slice(&answer.body);
    if answer.status == 413 && body.first() != Some(&b'{') {
        return text(413, PAYLOAD_TOO_LARGE);
    }
    json(answer.status, body)
}

/// The response with one header set.
pub(super) fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}
