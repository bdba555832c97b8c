//! Which id a write has.

use http::HeaderMap;
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use crate::chroma::error::ApiError;
use crate::gateway::answer::{Code, Refusal};

/// Headers that may give the id.
const NAMES: [&str; 3] = ["transaction-id", "x-transaction-id", "idempotency-key"];
/// Longest id in characters.
const MAX_LENGTH: usize = 200;

/// A write's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct TransactionId {
    pub(in crate::gateway) id: String,
    /// True where the sender chose it, so that it may come again.
    pub(in crate::gateway) given: bool,
}

impl TransactionId {
    /// The id that the sender gave, or one of ours.
    ///
    /// # Errors
    /// 400 where the headers contradict each other or hold what is no id.
    pub(in crate::gateway) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut given: Option<&[u8]> = None;
        for value in NAMES.iter().flat_map(|name| headers.get_all(*name)) {
            let value = value.as_bytes();
            if given.is_some_and(|other| other != value) {
                return Err(refuse(format!("{} name different transactions", NAMES.join(", "))));
            }
            given = Some(value);
        }
        let Some(given) = given else {
            return Ok(Self { id: Uuid::new_v4().to_string(), given: false });
        };
        match std::str::from_utf8(given) {
            Ok(id) if is_id(id) => Ok(Self { id: id.to_owned(), given: true }),
            _ => Err(refuse(format!("A transaction id is 1 to {MAX_LENGTH} visible ASCII characters"))),
        }
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn refuse(message: String) -> Refusal {
    Refusal::own(Code::InvalidTransactionId, ApiError::invalid(message))
}

/// How the same request is known again.
pub(in crate::gateway) fn fingerprint(method: &str, path_and_query: &str, body: &[u8]) -> u128 {
    let mut hash = Xxh3::new();
    for part in [method.as_bytes(), path_and_query.as_bytes(), body] {
        // The length keeps parts from flowing into each other.
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Result<TransactionId, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        TransactionId::of(&headers)
    }

    #[test]
    fn any_of_the_headers_gives_the_id() {
        for name in NAMES {
            let id = of(&[(name, "order-1")]).unwrap();
            assert_eq!((id.id.as_str(), id.given), ("order-1", true), "{name}");
        }
        assert!(of(&[("transaction-id", "a"), ("idempotency-key", "a")]).is_ok());
    }

    #[test]
    fn contradicting_headers_are_refused() {
        for pair in [
            [("transaction-id", "a"), ("idempotency-key", "b")],
            [("x-transaction-id", "a"), ("x-transaction-id", "b")],
        ] {
            let refusal = of(&pair).unwrap_err();
            assert_eq!((refusal.error.status, refusal.code), (400, Some(Code::InvalidTransactionId)));
        }
    }

    #[test]
    fn an_id_is_visible_and_short() {
        let longest = "x".repeat(MAX_LENGTH);
        assert!(of(&[("transaction-id", &longest)]).is_ok());
        for id in ["", "a b", "zoë", "a\tb", &format!("{longest}x")] {
            assert!(of(&[("transaction-id", id)]).is_err(), "{id}");
        }
    }

    #[test]
    fn without_a_header_every_write_has_its_own_id() {
        let (one, two) = (of(&[]).unwrap(), of(&[]).unwrap());
        assert!(one.id != two.id && !one.given);
    }

    #[test]
    fn the_parts_of_a_request_do_not_flow_into_each_other() {
        let one = fingerprint("POST", "/a", b"b");
        assert_eq!(one, fingerprint("POST", "/a", b"b"));
        assert_ne!(one, fingerprint("POST", "/", b"ab"));
        assert_ne!(one, fingerprint("PUT", "/a", b"b"));
    }
}
