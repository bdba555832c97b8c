//! Answers with real ids replaced by public ones.

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::ids::CollectionId;

/// The description of a collection with its `id` replaced, every other byte as it was; `None` where
/// `json` is no such description.
#[must_use]
pub fn collection_with_id(json: &[u8], public: CollectionId) -> Option<Vec<u8>> {
    let id = id_member(json)?;
    let start = id.get().as_ptr() as usize - json.as_ptr() as usize;
    let mut rewritten = Vec::with_capacity(json.len());
    rewritten.extend_from_slice(json.get(..start)?);
    rewritten.extend_from_slice(format!("\"{public}\"").as_bytes());
    rewritten.extend_from_slice(json.get(start + id.get().len()..)?);
    Some(rewritten)
}

/// The real id in the description of a collection.
#[must_use]
pub fn collection_id(json: &[u8]) -> Option<Uuid> {
    serde_json::from_str(id_member(json)?.get()).ok()
}

/// The name and the dimension in the description of a collection; the dimension is null until it is fixed.
#[must_use]
pub fn collection_name_and_dimension(json: &[u8]) -> Option<(String, Option<u32>)> {
    #[derive(Deserialize)]
    struct Collection {
        name: String,
        dimension: Option<u32>,
    }
    let collection: Collection = serde_json::from_slice(json).ok()?;
    Some((collection.name, collection.dimension))
}

fn id_member(json: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Collection<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    serde_json::from_slice::<Collection<'_>>(json).ok().map(|collection| collection.id)
}

/// One element of a list of collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListItem<'a> {
    pub real_id: Uuid,
    /// The description as it was sent.
    pub json: &'a [u8],
}

/// Splits the answer to a list of collections; `None` where it is no such answer.
#[must_use]
pub fn list_items(answer: &[u8]) -> Option<Vec<ListItem<'_>>> {
    let items: Vec<&RawValue> = serde_json::from_slice(answer).ok()?;
    let read = |item: &'_ RawValue| collection_id(item.get().as_bytes());
    items
        .into_iter()
        .map(|item| Some(ListItem { real_id: read(item)?, json: item.get().as_bytes() }))
        .collect()
}

/// Puts descriptions together as the answer to a list.
#[must_use]
pub fn join_list<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut list = b"[".to_vec();
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            list.push(b',');
        }
        list.extend_from_slice(item);
    }
    list.push(b']');
    list
}

/// An error body with the real id replaced wherever it is quoted.
#[must_use]
pub fn mend_message(body: &[u8], real: Uuid, public: CollectionId) -> Vec<u8> {
    let (real, public) = (real.to_string(), public.to_string());
    let mut mended = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(place) = rest.windows(real.len()).position(|window| window == real.as_bytes()) {
        mended.extend_from_slice(&rest[..place]);
        mended.extend_from_slice(public.as_bytes());
        rest = &rest[place + real.len()..];
    }
    mended.extend_from_slice(rest);
    mended
}

/// The answer to a delete of records.
#[must_use]
pub fn deleted_body(count: u64) -> Vec<u8> {
    format!("{{\"deleted\":{count}}}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = "46149fb2-8508-40ed-8523-e11e86ac9345";

    #[test]
    fn only_the_id_of_the_collection_itself_changes() {
        let json = format!(r#"{{"metadata":{{"id":"{REAL}"}}, "id" : "{REAL}","name":"{REAL}"}}"#);
        let rewritten = collection_with_id(json.as_bytes(), CollectionId(1)).unwrap();
        let expected = format!(
            r#"{{"metadata":{{"id":"{REAL}"}}, "id" : "00000000-0000-0000-0000-000000000001","name":"{REAL}"}}"#
        );
        assert_eq!(String::from_utf8(rewritten).unwrap(), expected);
        assert_eq!(collection_with_id(b"[]", CollectionId(1)), None);
    }

    #[test]
    fn a_list_comes_apart_and_together() {
        let answer = format!(r#"[ {{"id":"{REAL}","a":1}} , {{"b":2,"id":"{REAL}"}} ]"#);
        let items = list_items(answer.as_bytes()).unwrap();
        assert_eq!(items[1].real_id.to_string(), REAL);
        let joined = join_list(items.iter().map(|item| item.json));
        assert_eq!(
            String::from_utf8(joined).unwrap(),
            answer.replace("[ ", "[").replace(" ]", "]").replace(" , ", ",")
        );
    }

    #[test]
    fn messages_show_the_public_id() {
        let real = REAL.parse().unwrap();
        let body = format!(r#"{{"message":"Collection [{REAL}] does not exist."}}"#);
        let mended = mend_message(body.as_bytes(), real, CollectionId(2));
        assert_eq!(
            String::from_utf8(mended).unwrap(),
            r#"{"message":"Collection [00000000-0000-0000-0000-000000000002] does not exist."}"#
        );
    }
}
