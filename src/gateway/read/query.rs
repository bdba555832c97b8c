//! What of a get decides where it may be answered.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chroma::scan::{MAX_IDS, hash_id};

/// What is known of a get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Get {
    /// Sorted, distinct hashes of the ids, where nothing but ids chooses the records.
    pub(super) ids: Option<Vec<u64>>,
    /// True where the place of the records in the collection chooses them.
    pub(super) is_page: bool,
}

/// Reads the body of a get. What Chroma will refuse counts as a get that sees everything.
pub(super) fn read_get(body: &[u8]) -> Get {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        ids: Option<Vec<Text<'a>>>,
        #[serde(borrow, rename = "where")]
        predicate: Option<&'a RawValue>,
        #[serde(borrow)]
        where_document: Option<&'a RawValue>,
    }
    let Ok(get) = serde_json::from_slice::<Body<'_>>(body) else {
        return Get::default();
    };
    let Some(ids) = get.ids.filter(|ids| !ids.is_empty()) else {
        return Get { ids: None, is_page: true };
    };
    let by_ids_alone = get.predicate.is_none() && get.where_document.is_none() && ids.len() <= MAX_IDS;
    let hashes = by_ids_alone.then(|| {
        let mut hashes: Vec<u64> = ids.iter().map(|Text(id)| hash_id(id)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    });
    Get { ids: hashes, is_page: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(ids: &[&str]) -> Vec<u64> {
        let mut hashes: Vec<u64> = ids.iter().map(|id| hash_id(id)).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn a_get_by_ids_sees_only_those() {
        let get = read_get(br#"{"ids":["b","\u0061","b"],"where":null,"limit":5}"#);
        assert_eq!(get, Get { ids: Some(hashes(&["a", "b"])), is_page: false });
    }

    #[test]
    fn with_a_predicate_it_sees_everything() {
        for body in [
            r#"{"ids":["a"],"where":{"x":1}}"#,
            r#"{"ids":["a"],"where_document":{"$contains":"x"}}"#,
            r#"{"ids":[5]}"#,
            "{",
        ] {
            assert_eq!(read_get(body.as_bytes()), Get::default(), "{body}");
        }
    }

    #[test]
    fn without_ids_it_is_a_page() {
        for body in ["{}", r#"{"ids":[],"limit":1}"#, r#"{"where":{"x":1},"offset":2}"#] {
            assert_eq!(read_get(body.as_bytes()), Get { ids: None, is_page: true }, "{body}");
        }
    }
}
