//! Answers, compressed for clients that ask for it.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body::Body as _;
use tower::{ServiceExt, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::Compression;

/// What the sender of a request takes, where its answer may be compressed at all.
#[derive(Debug)]
pub(super) struct Wish {
    accepts: HeaderValue,
    min_bytes: u64,
}

impl Wish {
    /// `min_bytes`: see `http.compress_min_bytes`.
    pub(super) fn of(method: &Method, headers: &HeaderMap, min_bytes: u64) -> Option<Self> {
        if min_bytes == 0 || method == Method::HEAD {
            return None;
        }
        let accepts = headers.get(header::ACCEPT_ENCODING)?.clone();
        Some(Self { accepts, min_bytes })
    }

    /// The answer, compressed if it is text and large enough. Bytes go out as they come in.
    pub(super) async fn fulfil(self, response: Response) -> Response {
        if !self.is_worth_it(&response) {
            return response;
        }
        let mut request = Request::new(());
        request.headers_mut().insert(header::ACCEPT_ENCODING, self.accepts);
        let status = response.status();
        let mut held = Some(response);
        let given = service_fn(move |_: Request<()>| {
            let response = held.take().unwrap_or_default();
            async move { Ok::<_, Infallible>(response) }
        });
        let compression = Compression::new(given).quality(CompressionLevel::Fastest).compress_when(always);
        let Ok(mut response) = compression.oneshot(request).await;
        // The layer answers 406 to one who takes nothing at all, also where a write was executed.
        *response.status_mut() = status;
        response.map(Body::new)
    }

    fn is_worth_it(&self, response: &Response) -> bool {
        let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let is_text = kind.starts_with(b"application/json") || kind.starts_with(b"text/");
        // An answer of unknown length is one that was too large to hold.
        is_text && response.body().size_hint().upper().is_none_or(|bytes| bytes >= self.min_bytes)
    }
}

fn always(_: http::StatusCode, _: http::Version, _: &HeaderMap, _: &http::Extensions) -> bool {
    true
}
