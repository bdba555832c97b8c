//! Transactions as the checkpoint keeps them.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{State, decoded, unreadable};
use crate::wal::codec::encode;
use crate::wal::error::LogError;
use crate::wal::record::{Answer, EntryHead, Lane, Lsn, Verdict};

/// How far a write has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TransactionState {
    /// Durable here; its outcome is open.
    Logged,
    /// Decided: withdrawn, because instances died or stopped writing under it (invariant I12).
    Poisoned,
    /// Decided: done.
    Committed,
    /// Decided: refused.
    Rejected,
    /// Decided: taken back by its sender.
    Cancelled,
}

impl TransactionState {
    /// The state that a verdict brings.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Committed(_) | Verdict::Unchanged(_) => Self::Committed,
            Verdict::Rejected { .. } => Self::Rejected,
            Verdict::Cancelled(_) => Self::Cancelled,
            Verdict::Poisoned(_) => Self::Poisoned,
        }
    }

    fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Result<Self, LogError> {
        [Self::Logged, Self::Poisoned, Self::Committed, Self::Rejected, Self::Cancelled]
            .into_iter()
            .find(|state| state.code() == code)
            .ok_or_else(|| LogError::Damaged(format!("a transaction has the unknown state {code}")))
    }
}

/// A logged write as its sender may ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTransaction {
    pub id: String,
    pub lsn: Lsn,
    pub lane: Lane,
    pub fingerprint: u128,
    pub method: String,
    pub path: String,
    /// Unix time in milliseconds.
    pub accepted_ms: u64,
    pub state: TransactionState,
    /// Unix time of the durable verdict in milliseconds.
    pub decided_ms: Option<u64>,
    /// What the sender got, or would have got: set in every state but `Logged`.
    pub answer: Option<Answer>,
}

impl StoredTransaction {
    /// The transaction of an entry just logged, where it has one.
    #[must_use]
    pub fn logged(lsn: Lsn, head: &EntryHead) -> Option<Self> {
        let transaction = head.transaction.as_ref()?;
        Some(Self {
            id: transaction.id.clone(),
            lsn,
            lane: head.lane.clone(),
            fingerprint: transaction.fingerprint,
            method: transaction.method.clone(),
            path: transaction.path.clone(),
            accepted_ms: transaction.accepted_ms,
            state: TransactionState::Logged,
            decided_ms: None,
            answer: None,
        })
    }
}

/// Keeps a newly logged transaction. An id that is known already keeps its first owner.
pub fn insert(conn: &Transaction<'_>, transaction: &StoredTransaction) -> Result<(), LogError> {
    let mut insert = conn.prepare_cached(
        "INSERT OR IGNORE INTO txn (lsn, id, fingerprint, method, path, lane, accepted_ms, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.execute(params![
        transaction.lsn.0,
        transaction.id,
        transaction.fingerprint.to_be_bytes(),
        transaction.method,
        transaction.path,
        encode(&transaction.lane)?,
        transaction.accepted_ms,
        transaction.state.code(),
    ])?;
    Ok(())
}

/// Notes what became of the transaction of an entry, if it has one. The first verdict is final.
pub fn answer(conn: &Transaction<'_>, lsn: Lsn, decided_ms: u64, verdict: &Verdict) -> Result<(), LogError> {
    let update =
        "UPDATE txn SET state = ?2, decided_ms = ?3, answer = ?4 WHERE lsn = ?1 AND decided_ms IS NULL";
    let (state, answer) = (TransactionState::of(verdict).code(), encode(verdict.answer())?);
    conn.prepare_cached(update)?.execute(params![lsn.0, state, decided_ms, answer])?;
    Ok(())
}

/// Looks a transaction up by its id.
///
/// # Errors
/// The checkpoint cannot be read, or holds what we did not write.
pub fn find(conn: &Connection, id: &str) -> Result<Option<StoredTransaction>, LogError> {
    let found = conn.query_row(
        "SELECT id, lsn, fingerprint, method, path, lane, accepted_ms, state, decided_ms, answer
         FROM txn WHERE id = ?1",
        [id],
        read,
    );
    Ok(found.optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredTransaction> {
    let answer: Option<Vec<u8>> = row.get(9)?;
    Ok(StoredTransaction {
        id: row.get(0)?,
        lsn: Lsn(row.get(1)?),
        fingerprint: u128::from_be_bytes(row.get(2)?),
        method: row.get(3)?,
        path: row.get(4)?,
        lane: decoded(row, 5)?,
        accepted_ms: row.get(6)?,
        state: TransactionState::from_code(row.get(7)?).map_err(|error| unreadable(7, error))?,
        decided_ms: row.get(8)?,
        answer: answer.map(|_| decoded(row, 9)).transpose()?,
    })
}

/// Transactions dropped at most in one go, so that no pass takes long.
const PRUNE_LIMIT: u64 = 20_000;

impl State {
    /// Drops decided transactions that are older than `before_ms`, and the oldest above `keep`. Undecided
    /// ones stay for ever.
    pub fn prune(&mut self, before_ms: u64, keep: u64) -> Result<(), LogError> {
        let decided: u64 =
            self.conn
                .query_row("SELECT count(*) FROM txn WHERE decided_ms IS NOT NULL", [], |row| row.get(0))?;
        let surplus = decided.saturating_sub(keep).min(PRUNE_LIMIT);
        let oldest = "SELECT lsn FROM txn WHERE decided_ms IS NOT NULL";
        self.conn.execute(
            &format!("DELETE FROM txn WHERE lsn IN ({oldest} ORDER BY decided_ms LIMIT ?1)"),
            [surplus],
        )?;
        self.conn.execute(
            &format!(
                "DELETE FROM txn WHERE lsn IN ({oldest} AND decided_ms < ?1 ORDER BY decided_ms LIMIT ?2)"
            ),
            [before_ms, PRUNE_LIMIT],
        )?;
        Ok(())
    }
}
