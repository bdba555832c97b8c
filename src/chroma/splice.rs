//! Several record writes as one request, joined as raw slices of JSON.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json::{each, first_byte};
use super::scan::Members;
use crate::wal::record::RecordKind;

/// Why bodies cannot be joined; they go one by one then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    #[error("body {0} of the run is not one that was found provable")]
    Unreadable(usize),
    #[error("the run mixes lists and base64")]
    MixedEncodings,
}

/// Joins bodies of one kind, each found provable by a scan, in order. A member that some of them lack is
/// filled with nulls for their records, which Chroma reads as absence.
///
/// # Errors
/// [`SpliceError`] where the bodies do not fit together.
pub fn splice(kind: RecordKind, bodies: &[&[u8]]) -> Result<Vec<u8>, SpliceError> {
    let mut parts = Vec::with_capacity(bodies.len());
    for (place, body) in bodies.iter().enumerate() {
        parts.push(Part::read(kind, body).ok_or(SpliceError::Unreadable(place))?);
    }
    check_encodings(&parts)?;
    let mut joined = Vec::with_capacity(bodies.iter().map(|body| body.len() + 8).sum());
    joined.push(b'{');
    for field in Field::ALL {
        if parts.iter().any(|part| part.list(field).is_some()) {
            join_field(&mut joined, field, &parts);
        }
    }
    joined.push(b'}');
    Ok(joined)
}

/// The number of ids in a record write, repeated ones counted; `None` where there is no list of ids.
#[must_use]
pub fn count_of(body: &[u8]) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Ids<'a> {
        #[serde(borrow)]
        ids: &'a RawValue,
    }
    if first_byte(body) != Some(b'{') {
        return None;
    }
    count(serde_json::from_slice::<Ids<'_>>(body).ok()?.ids)
}

fn count(list: &RawValue) -> Option<u32> {
    let mut count = 0;
    each(list.get(), |_: IgnoredAny| count += 1).then_some(count)
}

#[derive(Clone, Copy)]
enum Field {
    Ids,
    Embeddings,
    Documents,
    Metadatas,
    Uris,
}

impl Field {
    const ALL: [Self; 5] = [Self::Ids, Self::Embeddings, Self::Documents, Self::Metadatas, Self::Uris];

    fn key(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Embeddings => "embeddings",
            Self::Documents => "documents",
            Self::Metadatas => "metadatas",
            Self::Uris => "uris",
        }
    }
}

struct Part<'a> {
    members: Members<'a>,
    count: u32,
}

impl<'a> Part<'a> {
    fn read(kind: RecordKind, body: &'a [u8]) -> Option<Self> {
        if first_byte(body) != Some(b'{') {
            return None;
        }
        let members: Members<'a> = serde_json::from_slice(body).ok()?;
        let needs_embeddings = matches!(kind, RecordKind::Add | RecordKind::Upsert);
        if needs_embeddings && members.embeddings.is_none() {
            return None;
        }
        let count = count(members.ids)?;
        Some(Self { members, count })
    }

    /// What stands between the brackets of the field's list; `None` if the body lacks it.
    fn list(&self, field: Field) -> Option<&'a str> {
        let raw = match field {
            Field::Ids => Some(self.members.ids),
            Field::Embeddings => self.members.embeddings,
            Field::Documents => self.members.documents,
            Field::Metadatas => self.members.metadatas,
            Field::Uris => self.members.uris,
        };
        Some(raw?.get().strip_prefix('[')?.strip_suffix(']')?.trim())
    }
}

fn join_field(joined: &mut Vec<u8>, field: Field, parts: &[Part<'_>]) {
    if joined.len() > 1 {
        joined.push(b',');
    }
    joined.push(b'"');
    joined.extend_from_slice(field.key().as_bytes());
    joined.extend_from_slice(b"\":[");
    let start = joined.len();
    for part in parts.iter().filter(|part| part.count > 0) {
        if joined.len() > start {
            joined.push(b',');
        }
        match part.list(field) {
            Some(list) => joined.extend_from_slice(list.as_bytes()),
            None => join_nulls(joined, part.count),
        }
    }
    joined.push(b']');
}

fn join_nulls(joined: &mut Vec<u8>, count: u32) {
    joined.extend_from_slice(b"null");
    for _ in 1..count {
        joined.extend_from_slice(b",null");
    }
}

fn check_encodings(parts: &[Part<'_>]) -> Result<(), SpliceError> {
    let mut openings = parts
        .iter()
        .filter_map(|part| part.list(Field::Embeddings))
        .filter_map(|list| list.bytes().find(|byte| matches!(byte, b'[' | b'"')));
    let first = openings.next();
    if openings.all(|opening| Some(opening) == first) { Ok(()) } else { Err(SpliceError::MixedEncodings) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(kind: RecordKind, bodies: &[&str]) -> String {
        let bodies: Vec<&[u8]> = bodies.iter().map(|body| body.as_bytes()).collect();
        String::from_utf8(splice(kind, &bodies).unwrap()).unwrap()
    }

    #[test]
    fn what_a_body_lacks_becomes_nulls_and_numbers_stay_as_they_are() {
        let one = r#"{ "ids" : [ "a" , "b" ] , "embeddings" : [[1.50],[2e-1]], "x": 1 }"#;
        let two = r#"{"embeddings":[[3]],"ids":["c"],"documents":["d"],"metadatas":null}"#;
        assert_eq!(
            joined(RecordKind::Add, &[one, two]),
            r#"{"ids":["a" , "b","c"],"embeddings":[[1.50],[2e-1],[3]],"documents":[null,null,"d"]}"#
        );
    }

    #[test]
    fn updates_may_lack_embeddings() {
        let bodies = [r#"{"ids":["a"],"uris":["u"]}"#, r#"{"ids":["b"],"embeddings":[[1]]}"#];
        assert_eq!(
            joined(RecordKind::Update, &bodies),
            r#"{"ids":["a","b"],"embeddings":[null,[1]],"uris":["u",null]}"#
        );
    }

    #[test]
    fn deletes_are_ids_only() {
        let bodies = [r#"{"ids":["a","b"]}"#, r#"{"ids":["a"],"limit":null}"#];
        assert_eq!(joined(RecordKind::Delete, &bodies), r#"{"ids":["a","b","a"]}"#);
        assert_eq!(count_of(bodies[0].as_bytes()), Some(2));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let lists = br#"{"ids":["a"],"embeddings":[null,[1]]}"#.as_slice();
        let base64 = br#"{"ids":["a"],"embeddings":["AACAPw=="]}"#.as_slice();
        assert_eq!(splice(RecordKind::Update, &[lists, base64]), Err(SpliceError::MixedEncodings));
        let bare = br#"{"ids":["a"]}"#.as_slice();
        assert_eq!(splice(RecordKind::Add, &[lists, bare]), Err(SpliceError::Unreadable(1)));
    }
}
