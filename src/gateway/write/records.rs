//! add, upsert, update and delete of records.

use std::sync::Arc;

use super::off_thread;
use super::submission::Sender;
use crate::chroma::error::ApiError;
use crate::chroma::route::RecordOp;
use crate::chroma::scan::{DeleteRequest, scan_delete, scan_records};
use crate::gateway::answer::Refusal;
use crate::gateway::entry::Received;
use crate::gateway::read;
use crate::gateway::resolve::Place;
use crate::gateway::state::AppState;
use crate::gateway::transaction::outcome::Told;
use crate::wal::record::{Encoding, Lane, Op, RecordKind, RecordWrite};

pub(super) async fn write(
    app: &AppState,
    request: &Arc<Received>,
    place: Place<'_>,
    op: RecordOp,
    sender: Sender,
) -> Result<Told, Refusal> {
    let target = match app.replication.with_catalog(|catalog| place.id_or_name(catalog)) {
        Ok(target) => target,
        Err(missing) => return read::judge_missing(app, place, op.segment(), missing, request).await,
    };
    let body = request.body.clone();
    let op = off_thread(body.len(), move || scan(op, &body)).await??;
    let submission = sender.submission(Lane::Collection(target.id), op, request.body.clone());
    Ok(sender.log(app, vec![submission]).await)
}

fn scan(op: RecordOp, body: &[u8]) -> Result<Op, ApiError> {
    let kind = match op {
        RecordOp::Add => RecordKind::Add,
        RecordOp::Upsert => RecordKind::Upsert,
        RecordOp::Update => RecordKind::Update,
        RecordOp::Delete | RecordOp::Count | RecordOp::Get | RecordOp::Query => {
            return Ok(scan_a_delete(body));
        }
    };
    scan_records(kind, body).map(Op::Records)
}

fn scan_a_delete(body: &[u8]) -> Op {
    match scan_delete(body) {
        DeleteRequest::Ids(write) => Op::Records(write),
        DeleteRequest::Where => Op::DeleteWhere,
        // Only a server has the exact words; it goes alone and changes nothing.
        DeleteRequest::Nothing => Op::Records(RecordWrite {
            kind: RecordKind::Delete,
            encoding: Encoding::None,
            count: 0,
            dimension: None,
            ids: None,
            provable: false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_is_by_ids_by_predicate_or_of_nothing() {
        let by_ids = scan(RecordOp::Delete, br#"{"ids":["a","b"]}"#).unwrap();
        assert!(matches!(by_ids, Op::Records(RecordWrite { count: 2, provable: true, .. })));
        assert_eq!(scan(RecordOp::Delete, br#"{"ids":["a"],"where":{"x":1}}"#), Ok(Op::DeleteWhere));
        let nothing = scan(RecordOp::Delete, b"{}").unwrap();
        assert!(matches!(nothing, Op::Records(RecordWrite { count: 0, provable: false, .. })));
    }

    #[test]
    fn what_would_harm_a_server_goes_no_further() {
        let poison = br#"{"ids":["a"],"embeddings":[[1]],"metadatas":[{"chroma:document":5}]}"#;
        assert!(scan(RecordOp::Add, poison).is_err());
        assert!(scan(RecordOp::Upsert, br#"{"ids":[""],"embeddings":[[1]]}"#).is_err());
    }
}
