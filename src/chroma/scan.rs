//! What a record write or delete contains, as far as ordering, coalescing and safety need it.
//!
//! Embeddings are counted, never parsed. A body that Chroma will refuse for its syntax or types comes
//! back as a write that must go alone, so that Chroma can say so in its exact words; what would harm a server,
//! or change it although it is refused, never gets that far.

mod base64;
mod delete;
mod embeddings;
mod metadata;
mod number;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::error::ApiError;
use super::json::{Text, each, first_byte};
use super::requests::DIMENSION_ID;
use crate::wal::record::{Encoding, RecordKind, RecordWrite};

pub(super) use delete::delete_members;
pub use delete::{DeleteRequest, scan_delete};
pub use metadata::MAX_METADATA_ROWS;

/// More distinct ids than this are not listed in a [`RecordWrite`].
pub const MAX_IDS: usize = 4096;

/// The members of a record write as raw JSON; null counts as absent, as it does in Chroma.
#[derive(Deserialize)]
pub(super) struct Members<'a> {
    #[serde(borrow)]
    pub(super) ids: &'a RawValue,
    #[serde(borrow)]
    pub(super) embeddings: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) documents: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) metadatas: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) uris: Option<&'a RawValue>,
}

/// Reads the body of an add, upsert or update. (A delete goes to [`scan_delete`].)
///
/// # Errors
/// The answer to what must not reach a server: with Chroma's words for empty ids, unequal lengths and
/// sparse vectors; with ours for records that would stop it from writing.
pub fn scan_records(kind: RecordKind, body: &[u8]) -> Result<RecordWrite, ApiError> {
    if first_byte(body) == Some(b'[') {
        return Err(ApiError::positional_body());
    }
    let Ok(members) = serde_json::from_slice::<Members<'_>>(body) else {
        return Ok(unreadable(kind));
    };
    match scan_members(kind, &members) {
        Some(scanned) => scanned,
        None => Ok(unreadable(kind)),
    }
}

/// What is known of a body that Chroma refuses.
fn unreadable(kind: RecordKind) -> RecordWrite {
    RecordWrite { kind, encoding: Encoding::None, count: 0, dimension: None, ids: None, provable: false }
}

/// `None` where a member has the wrong type.
fn scan_members(kind: RecordKind, members: &Members<'_>) -> Option<Result<RecordWrite, ApiError>> {
    let ids = scan_ids(members.ids)?;
    let embeddings = match members.embeddings {
        Some(raw) => Some(embeddings::scan(raw.get(), kind == RecordKind::Update)?),
        None if kind == RecordKind::Update => None,
        None => return None,
    };
    let documents = count_texts(members.documents)?;
    let uris = count_texts(members.uris)?;
    let extra_rows = usize::from(documents.is_some()) + usize::from(uris.is_some());
    let metadatas = match members.metadatas {
        Some(raw) => Some(metadata::scan(raw.get(), kind != RecordKind::Add, extra_rows)?),
        None => None,
    };
    if let Some(metadatas) = metadatas.as_ref().filter(|metadatas| !metadatas.readable) {
        return metadatas.harmful.clone().map(Err);
    }
    let lengths =
        [embeddings.as_ref().map(|e| e.count), documents, uris, metadatas.as_ref().map(|m| m.count)];
    if lengths.into_iter().flatten().any(|length| length != ids.count) {
        return Some(Err(ApiError::unequal_lengths()));
    }
    let refused = metadatas.as_ref().and_then(|m| m.harmful.clone().or_else(|| m.sparse.clone()));
    if let Some(error) = ids.refusal.or(refused) {
        return Some(Err(error));
    }
    let provable = ids.count > 0
        && embeddings.as_ref().is_none_or(|e| e.sound)
        && metadatas.as_ref().is_none_or(|m| m.sound);
    Some(Ok(RecordWrite {
        kind,
        encoding: embeddings.as_ref().map_or(Encoding::None, |e| e.encoding),
        count: u32::try_from(ids.count).ok()?,
        dimension: embeddings.and_then(|e| e.dimension),
        ids: ids.hashes,
        provable,
    }))
}

struct Ids {
    count: usize,
    /// Sorted and distinct; `None` when too many.
    hashes: Option<Vec<u64>>,
    refusal: Option<ApiError>,
}

fn scan_ids(raw: &RawValue) -> Option<Ids> {
    let mut hashes = Vec::new();
    let (mut empty, mut reserved) = (false, false);
    let readable = each(raw.get(), |Text(id)| {
        empty |= id.is_empty();
        reserved |= id == DIMENSION_ID;
        hashes.push(hash_id(&id));
    });
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    let refusal = if empty {
        Some(ApiError::empty_id())
    } else {
        reserved.then(|| ApiError::invalid(format!("ID {DIMENSION_ID:?} is reserved")))
    };
    readable.then(|| Ids { count, hashes: (hashes.len() <= MAX_IDS).then_some(hashes), refusal })
}

/// The hash by which a record's id is compared in a [`RecordWrite`].
#[must_use]
pub fn hash_id(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// How many texts or nulls the member holds; the outer `None` is a wrong type.
#[allow(clippy::option_option, reason = "absent and unreadable are different answers")]
fn count_texts(raw: Option<&RawValue>) -> Option<Option<usize>> {
    let Some(raw) = raw else { return Some(None) };
    let mut count = 0;
    each(raw.get(), |_: Option<Text<'_>>| count += 1).then_some(Some(count))
}

/// The text of a JSON string, quotes included in `json`; `None` where its escapes are no text.
fn text(json: &str) -> Option<Cow<'_, str>> {
    if json.contains('\\') {
        return serde_json::from_str::<Text<'_>>(json).ok().map(|Text(text)| text);
    }
    json.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

#[cfg(test)]
mod tests;
