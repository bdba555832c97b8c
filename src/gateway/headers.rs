//! Headers: ours, and which of others pass.

use http::{HeaderMap, HeaderName, header};

/// The id of a write, in its answer.
pub(crate) const TRANSACTION_ID: HeaderName = HeaderName::from_static("transaction-id");
/// How fresh a read must be.
pub(super) const CONSISTENCY: HeaderName = HeaderName::from_static("isochrome-consistency");
/// Who answered a read.
pub(super) const INSTANCE: HeaderName = HeaderName::from_static("isochrome-instance");
/// `hit` where an answer was given before and is still what an instance would say.
pub(super) const CACHE: HeaderName = HeaderName::from_static("isochrome-cache");
/// What is wrong, where an error is ours.
pub(super) const ERROR_CODE: HeaderName = HeaderName::from_static("isochrome-error");
/// Chroma's mark on errors.
pub(super) const TRACE_ID: HeaderName = HeaderName::from_static("chroma-trace-id");

/// Where a request belongs in its sender's trace.
pub(super) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Headers that belong to one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers of a request that are made anew where it is sent on.
const MADE_ANEW: [HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::EXPECT];

/// What passes of the headers of a request whose body is held whole.
pub(super) fn of_request(headers: &HeaderMap) -> HeaderMap {
    let mut passing = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !MADE_ANEW.contains(name)) {
        passing.append(name, value.clone());
    }
    end_to_end(passing)
}

/// What passes of the headers of an answer.
pub(super) fn of_answer(headers: HeaderMap) -> HeaderMap {
    end_to_end(headers)
}

fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    // Comparing a few names costs less than looking for each of the others.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return headers;
    }
    let listed: Vec<_> = headers.get_all(header::CONNECTION).iter().cloned().collect();
    for names in &listed {
        for name in names.to_str().unwrap_or("").split(',') {
            headers.remove(name.trim());
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn what_belongs_to_a_connection_stays_there() {
        let sent = headers(&[
            ("connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "2"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("host", "a"),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("x-chroma-token", "secret"),
            ("x-chroma-token", "twice"),
            ("authorization", "Bearer x"),
        ]);
        let expected = headers(&[
            ("x-chroma-token", "secret"),
            ("x-chroma-token", "twice"),
            ("authorization", "Bearer x"),
        ]);
        assert_eq!(of_request(&sent), expected);
    }

    #[test]
    fn an_answer_keeps_its_length_and_encoding() {
        let sent = headers(&[
            ("content-length", "5"),
            ("content-encoding", "br"),
            ("keep-alive", "timeout=5"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        let expected = headers(&[
            ("content-length", "5"),
            ("content-encoding", "br"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        assert_eq!(of_answer(sent), expected);
    }
}
