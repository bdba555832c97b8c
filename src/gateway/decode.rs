//! Request bodies that come compressed.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, header};
use tower::{ServiceExt, service_fn};
use tower_http::decompression::{DecompressionBody, RequestDecompression};

use super::answer::{Code, Refusal};
use crate::chroma::error::{ApiError, CHROMA};

/// What we take. Their decoders need little memory, whatever a sender makes of the body.
const ACCEPTED: &str = "gzip, deflate";

/// The encoding of a body, where it has one.
///
/// # Errors
/// 415 for one that we don't take.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Option<&'static str>, Refusal> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let name = if values.next().is_none() { value.to_str().unwrap_or("?").trim() } else { "a list" };
    match name.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => Ok(Some("gzip")),
        "deflate" => Ok(Some("deflate")),
        "identity" | "" => Ok(None),
        _ => {
            let message = format!("Unsupported Content-Encoding: {name}; send one of {ACCEPTED}, or none");
            Err(Refusal::own(Code::UnsupportedEncoding, ApiError::new(415, CHROMA, message)))
        }
    }
}

/// What the body is when decoded, as it comes. Instances get it plain, so the headers no longer speak of the encoding.
pub(super) async fn decode(encoding: &'static str, headers: &mut HeaderMap, body: Body) -> Body {
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    let mut request = Request::new(body);
    request.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    let give_back = service_fn(|request: Request<DecompressionBody<Body>>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let Ok(decoded) = RequestDecompression::new(give_back).oneshot(request).await;
    Body::new(decoded.into_body())
}
