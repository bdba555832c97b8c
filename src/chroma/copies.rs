//! What is asked for when a collection is copied to another server.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ids::CollectionId;

/// Names that collections have while one takes the place of the other.
const REPLACED: &str = "isochrome-replaced-";
const COPY: &str = "isochrome-copy-";

/// The name of a collection that is to be replaced by its copy, or deleted.
#[must_use]
pub fn replaced(id: CollectionId) -> String {
    format!("{REPLACED}{:032x}", id.0)
}

/// The name of a copy that is not complete.
#[must_use]
pub fn copy_name(id: CollectionId) -> String {
    format!("{COPY}{:032x}", id.0)
}

/// True for a name that [`replaced`] or [`copy_name`] makes.
#[must_use]
pub fn is_put_aside(name: &str) -> bool {
    let id = [REPLACED, COPY].iter().find_map(|own| name.strip_prefix(own));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A get of a page of ids.
#[must_use]
pub fn page_of_ids_body(limit: usize, offset: usize) -> Vec<u8> {
    format!("{{\"limit\":{limit},\"offset\":{offset},\"include\":[]}}").into_bytes()
}

/// A get of everything that these records have. Its answer is the body of an `add` that makes them: the members have
/// the same names, and Chroma ignores those that an `add` does not know.
#[must_use]
pub fn records_body(ids: &[String]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Get<'a> {
        ids: &'a [String],
        include: [&'a str; 4],
    }
    let include = ["embeddings", "documents", "metadatas", "uris"];
    serde_json::to_vec(&Get { ids, include }).unwrap_or_default()
}

/// How many records the answer to a get holds; `None` where it is no such answer.
#[must_use]
pub fn count_records(answer: &[u8]) -> Option<usize> {
    #[derive(Deserialize)]
    struct Got<'a> {
        #[serde(borrow)]
        ids: Vec<&'a RawValue>,
    }
    serde_json::from_slice::<Got<'_>>(answer).ok().map(|got| got.ids.len())
}

#[derive(Deserialize)]
struct Described<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    configuration_json: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// The create of a copy under this name. The schema holds the configuration and every metadata key that was ever seen;
/// Chroma takes one of the two. Metadata come later: some of the older keys in it say the same, and are refused beside a
/// schema. `None` where the description can't be read.
#[must_use]
pub fn create_copy_body(name: &str, description: &str) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Create<'a> {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        configuration: Option<&'a RawValue>,
    }
    let described: Described<'_> = serde_json::from_str(description).ok()?;
    let schema = described.schema.filter(|schema| schema.get() != "null");
    let configuration = described.configuration_json.filter(|_| schema.is_none());
    serde_json::to_vec(&Create { name, schema, configuration }).ok()
}

/// The modify that gives a copy its name and metadata. `None` where the description can't be read.
#[must_use]
pub fn name_copy_body(description: &str) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Modify<'a> {
        new_name: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        new_metadata: Option<&'a RawValue>,
    }
    let described: Described<'_> = serde_json::from_str(description).ok()?;
    let new_metadata = described.metadata.filter(|metadata| metadata.get() != "null");
    serde_json::to_vec(&Modify { new_name: described.name, new_metadata }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = r#"{"id":"x","name":"a\"b","configuration_json":{"hnsw":{"space":"l2"}},
        "schema":{"keys":{"k":1.50}},"metadata":{"f":1.0},"dimension":3}"#;

    fn text(body: Option<Vec<u8>>) -> String {
        String::from_utf8(body.unwrap()).unwrap()
    }

    #[test]
    fn a_copy_is_made_with_the_schema_and_named_with_the_metadata() {
        assert_eq!(text(create_copy_body("c", DESCRIPTION)), r#"{"name":"c","schema":{"keys":{"k":1.50}}}"#);
        assert_eq!(text(name_copy_body(DESCRIPTION)), r#"{"new_name":"a\"b","new_metadata":{"f":1.0}}"#);
        let older = r#"{"name":"a","configuration_json":{"hnsw":null},"schema":null,"metadata":null}"#;
        assert_eq!(text(create_copy_body("c", older)), r#"{"name":"c","configuration":{"hnsw":null}}"#);
        assert_eq!(text(name_copy_body(older)), r#"{"new_name":"a"}"#);
        assert_eq!(create_copy_body("c", "{}"), None);
    }

    #[test]
    fn records_are_asked_for_and_counted_without_reading_a_number() {
        let body = String::from_utf8(records_body(&["a\"".to_owned()])).unwrap();
        assert_eq!(body, r#"{"ids":["a\""],"include":["embeddings","documents","metadatas","uris"]}"#);
        assert_eq!(count_records(br#"{"ids":["a","b"],"embeddings":[[1],[2]]}"#), Some(2));
        assert_eq!(count_records(br#"{"error":"x"}"#), None);
    }

    #[test]
    fn names_of_ours_fit_chroma_and_differ() {
        let id = CollectionId(7);
        assert_ne!(replaced(id), copy_name(id));
        assert!(is_put_aside(&replaced(id)) && is_put_aside(&copy_name(id)));
        assert!(!is_put_aside("isochrome-copy-of-mine"), "one may be called so");
        assert!(replaced(id).bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    }
}
