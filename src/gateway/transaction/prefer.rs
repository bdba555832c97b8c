//! `Prefer: respond-async` (RFC 7240): a sender that does not want to wait for the verdict.

use http::{HeaderMap, HeaderName};

use crate::delivery::handle::Until;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The preference in its answer.
pub(super) const RESPOND_ASYNC: &str = "respond-async";

/// How far a write must come before its sender is answered. Preferences that are not known are ignored.
pub(in crate::gateway) fn until(headers: &HeaderMap) -> Until {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    // A value or parameters mean nothing to this preference.
    let word = |preference: &str| preference.split([';', '=']).next().unwrap_or("").trim().to_owned();
    if preferences.any(|preference| word(preference).eq_ignore_ascii_case(RESPOND_ASYNC)) {
        Until::Logged
    } else {
        Until::Answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until_of(values: &[&'static str]) -> Until {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, http::HeaderValue::from_static(value));
        }
        until(&headers)
    }

    #[test]
    fn the_preference_is_found_among_others() {
        for values in [
            &["respond-async"][..],
            &["Respond-Async"],
            &["return=minimal, respond-async; x=1"],
            &["handling=lenient", "wait=10 ,respond-async"],
        ] {
            assert_eq!(until_of(values), Until::Logged, "{values:?}");
        }
        for values in [&[][..], &["respond-asynchronous"], &["return=respond-async"], &["wait=5"]] {
            assert_eq!(until_of(values), Until::Answered, "{values:?}");
        }
    }
}
