//! Bodies that we make ourselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::copies::is_put_aside;
use super::scan::delete_members;

/// An id that no record has: the scan refuses it in every write of a client.
pub const DIMENSION_ID: &str = "\u{0}isochrome:dimension";

/// What a collection is called between the two steps of its drop.
const GRAVE: &str = "isochrome-dropped-";

/// The name that a collection gets on its way out, made from the number of its drop.
#[must_use]
pub fn grave(lsn: u64) -> String {
    format!("{GRAVE}{lsn}")
}

/// True for a name that [`grave`] makes.
#[must_use]
pub fn is_grave(name: &str) -> bool {
    name.strip_prefix(GRAVE).is_some_and(|number| number.parse::<u64>().is_ok())
}

/// True for a name that only we give to a collection, for a while.
#[must_use]
pub fn is_passing_name(name: &str) -> bool {
    is_grave(name) || is_put_aside(name)
}

/// A delete of these ids.
#[must_use]
pub fn delete_ids_body(ids: &[String]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Delete<'a> {
        ids: &'a [String],
    }
    serde_json::to_vec(&Delete { ids }).unwrap_or_default()
}

/// An update that changes no record and fixes the dimension of a collection that has none yet: Chroma ignores
/// the record, which does not exist, but not the length of its embedding.
#[must_use]
pub fn fix_dimension_body(dimension: u32) -> Vec<u8> {
    #[derive(Serialize)]
    struct Update<'a> {
        ids: [&'a str; 1],
        embeddings: [Vec<u8>; 1],
    }
    let ones = vec![1; dimension as usize];
    serde_json::to_vec(&Update { ids: [DIMENSION_ID], embeddings: [ones] }).unwrap_or_default()
}

/// The get that finds what a delete by predicate would remove, in the collection's order; `None` for a
/// body that is no such delete.
#[must_use]
pub fn get_ids_body_for_delete(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Get<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        ids: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none", rename = "where")]
        predicate: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        where_document: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<&'a RawValue>,
        include: [&'a str; 0],
    }
    let members = delete_members(body)?;
    if members.predicate.is_none() && members.where_document.is_none() {
        return None;
    }
    serde_json::to_vec(&Get {
        ids: members.ids,
        predicate: members.predicate,
        where_document: members.where_document,
        limit: members.limit,
        include: [],
    })
    .ok()
}

/// A get of everything that these records are.
#[must_use]
pub fn get_records_body(ids: &[String]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Get<'a> {
        ids: &'a [String],
        include: [&'a str; 4],
    }
    let include = ["documents", "metadatas", "uris", "embeddings"];
    serde_json::to_vec(&Get { ids, include }).unwrap_or_default()
}

/// Records as a write carries them; each list has a place for each of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecordsBody<'a> {
    pub ids: Vec<&'a str>,
    pub embeddings: Vec<Option<&'a [f32]>>,
    pub documents: Vec<Option<&'a str>>,
    pub uris: Vec<Option<&'a str>>,
    pub metadatas: Vec<Option<BTreeMap<String, Value>>>,
}

impl RecordsBody<'_> {
    /// The body of an add or an update.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The ids in the answer to a get; `None` where it is no such answer.
#[must_use]
pub fn parse_get_ids(answer: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Got {
        ids: Vec<String>,
    }
    serde_json::from_slice::<Got>(answer).ok().map(|got| got.ids)
}

/// A modify that only renames.
#[must_use]
pub fn rename_body(name: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Modify<'a> {
        new_name: &'a str,
    }
    serde_json::to_vec(&Modify { new_name: name }).unwrap_or_default()
}

/// The body of a create of a tenant or a database.
#[must_use]
pub fn named_body(name: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Create<'a> {
        name: &'a str,
    }
    serde_json::to_vec(&Create { name }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bodies_are_what_chroma_reads() {
        assert_eq!(delete_ids_body(&["a\"".to_owned()]), br#"{"ids":["a\""]}"#);
        let fix = String::from_utf8(fix_dimension_body(3)).unwrap();
        assert_eq!(fix, r#"{"ids":["\u0000isochrome:dimension"],"embeddings":[[1,1,1]]}"#);
        assert_eq!(rename_body("x"), br#"{"new_name":"x"}"#);
    }

    #[test]
    fn a_delete_by_predicate_becomes_the_get_that_finds_it() {
        let delete = br#"{"limit":2,"x":1,"where":{"a":1.50},"offset":9,"ids":["b"]}"#;
        let get = String::from_utf8(get_ids_body_for_delete(delete).unwrap()).unwrap();
        assert_eq!(get, r#"{"ids":["b"],"where":{"a":1.50},"limit":2,"include":[]}"#);
        assert_eq!(get_ids_body_for_delete(br#"{"ids":["b"],"where":null}"#), None);
    }
}
