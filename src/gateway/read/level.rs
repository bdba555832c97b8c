//! `Isochrome-Consistency`: how fresh a read wants to be.

use http::HeaderMap;

use crate::chroma::error::ApiError;
use crate::gateway::answer::{Code, Refusal};
use crate::gateway::headers::CONSISTENCY;
use crate::replication::event::Level;

/// The level that the headers ask for; strong where they ask for none.
///
/// # Errors
/// 400 where the header is not one of the levels, or comes with different ones.
pub(super) fn of(headers: &HeaderMap) -> Result<Level, Refusal> {
    let mut asked = None;
    for value in headers.get_all(CONSISTENCY) {
        let level = value.to_str().ok().and_then(parse);
        let level = level.ok_or_else(|| refuse(&String::from_utf8_lossy(value.as_bytes())))?;
        if asked.is_some_and(|other| other != level) {
            return Err(refuse(&String::from_utf8_lossy(value.as_bytes())));
        }
        asked = Some(level);
    }
    Ok(asked.unwrap_or(Level::Strong))
}

fn parse(value: &str) -> Option<Level> {
    let (word, parameter) = match value.split_once(';') {
        Some((word, parameter)) => (word.trim(), Some(parameter)),
        None => (value.trim(), None),
    };
    let is = |level: &str| word.eq_ignore_ascii_case(level);
    match parameter {
        None if is("strong") => Some(Level::Strong),
        None if is("any") => Some(Level::Any),
        Some(parameter) if is("bounded") => {
            let (name, number) = parameter.split_once('=')?;
            let digits = number.trim();
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let named = name.trim().eq_ignore_ascii_case("max-lag-ms") && is_number;
            Some(Level::Bounded { max_lag_ms: digits.parse().ok().filter(|_| named)? })
        }
        _ => None,
    }
}

fn refuse(value: &str) -> Refusal {
    let message = format!(
        "Isochrome-Consistency is \"strong\", \"bounded; max-lag-ms=N\" with N in milliseconds, or \"any\", and not \
         \"{value}\""
    );
    Refusal::own(Code::InvalidConsistency, ApiError::invalid(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_values(values: &[&str]) -> Result<Level, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONSISTENCY, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        of(&headers)
    }

    #[test]
    fn each_level_has_its_spelling_and_none_is_strong() {
        assert_eq!(of_values(&[]), Ok(Level::Strong));
        assert_eq!(of_values(&["strong"]), Ok(Level::Strong));
        assert_eq!(of_values(&[" ANY "]), Ok(Level::Any));
        for bounded in ["bounded; max-lag-ms=250", "bounded;max-lag-ms=250", "Bounded ; Max-Lag-Ms = 250"] {
            assert_eq!(of_values(&[bounded]), Ok(Level::Bounded { max_lag_ms: 250 }), "{bounded}");
        }
        assert_eq!(of_values(&["any", "any"]), Ok(Level::Any));
    }

    #[test]
    fn anything_else_is_refused_and_told_what_is_allowed() {
        for value in [
            "",
            "weak",
            "bounded",
            "bounded;",
            "bounded; max-lag-ms",
            "bounded; max-lag-ms=",
            "bounded; max-lag-ms=-1",
            "bounded; max-lag-ms=+1",
            "bounded; max-lag-ms=1.5",
            "bounded; max-lag-ms=99999999999999999999",
            "bounded; max-lag-s=1",
            "bounded; max-lag-ms=1; x",
            "any; max-lag-ms=1",
            "strong, any",
            "stark\u{e9}",
        ] {
            let refusal = of_values(&[value]).unwrap_err();
            assert_eq!(
                (refusal.error.status, refusal.code),
                (400, Some(Code::InvalidConsistency)),
                "{value}"
            );
            assert!(refusal.error.message.contains("max-lag-ms=N"), "{}", refusal.error.message);
        }
        assert!(of_values(&["any", "strong"]).is_err());
    }
}
