//! Deletes of records: by ids, by predicate, or of nothing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::json::first_byte;
use super::scan_ids;
use crate::wal::record::{Encoding, RecordKind, RecordWrite};

/// What a delete asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteRequest {
    /// These ids, whatever they hold.
    Ids(RecordWrite),
    /// What a `where` or `where_document` matches (among given ids, up to a limit). The predicate itself may
    /// still be wrong.
    Where,
    /// Chroma answers it, with a success or an error, and changes nothing: no ids and no predicate, a limit
    /// without a predicate, wrong types.
    Nothing,
}

/// The members of a delete as raw JSON; null counts as absent, as it does in Chroma.
#[derive(Deserialize)]
pub(in super::super) struct DeleteMembers<'a> {
    #[serde(borrow)]
    pub(in super::super) ids: Option<&'a RawValue>,
    #[serde(borrow, rename = "where")]
    pub(in super::super) predicate: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(in super::super) where_document: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(in super::super) limit: Option<&'a RawValue>,
}

/// Reads the body of a delete.
#[must_use]
pub fn scan_delete(body: &[u8]) -> DeleteRequest {
    let Some(members) = delete_members(body) else {
        return DeleteRequest::Nothing;
    };
    // What has a wrong type is shown to a server as it was sent, because the refusal names the place.
    let limit = members.limit.is_none_or(|limit| serde_json::from_str::<u32>(limit.get()).is_ok());
    if !limit || members.ids.is_some_and(|ids| scan_ids(ids).is_none()) {
        return DeleteRequest::Nothing;
    }
    if members.predicate.is_some() || members.where_document.is_some() {
        return DeleteRequest::Where;
    }
    let (Some(raw), None) = (members.ids, members.limit) else {
        return DeleteRequest::Nothing;
    };
    match scan_ids(raw) {
        Some(ids) if ids.count > 0 => DeleteRequest::Ids(RecordWrite {
            kind: RecordKind::Delete,
            encoding: Encoding::None,
            count: u32::try_from(ids.count).unwrap_or(u32::MAX),
            dimension: None,
            ids: ids.hashes,
            provable: true,
        }),
        _ => DeleteRequest::Nothing,
    }
}

pub(in super::super) fn delete_members(body: &[u8]) -> Option<DeleteMembers<'_>> {
    let object = first_byte(body) == Some(b'{');
    object.then(|| serde_json::from_slice(body).ok()).flatten()
}
