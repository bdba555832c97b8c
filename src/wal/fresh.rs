//! Transactions that the checkpoint does not hold yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::error::LogError;
use super::lock_unpoisoned;
use super::record::{Answer, Lsn, Record, Verdict};
use super::state::{StoredTransaction, TransactionState};

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answered {
    state: TransactionState,
    decided_ms: u64,
    answer: Answer,
}

#[derive(Debug)]
enum Noted {
    Logged(String),
    Answered(Lsn),
}

/// An overlay over the checkpoint's transactions, fed by the writer, shortened by the checkpointer.
#[derive(Debug, Default)]
pub struct Fresh {
    logged: HashMap<String, StoredTransaction>,
    answered: HashMap<Lsn, Answered>,
    noted: VecDeque<(u64, Noted)>,
    /// Rises whenever something is forgotten, so that a reader of both can tell that it read across that.
    generation: u64,
}

impl Fresh {
    /// Takes in a durable record.
    pub fn note(&mut self, seq: u64, at_ms: u64, record: &Record) {
        match record {
            Record::Entry(entry) => {
                if let Some(transaction) = StoredTransaction::logged(entry.lsn, &entry.head)
                    && !self.logged.contains_key(&transaction.id)
                {
                    self.noted.push_back((seq, Noted::Logged(transaction.id.clone())));
                    self.logged.insert(transaction.id.clone(), transaction);
                }
            }
            Record::Outcome(outcome) => {
                for decision in &outcome.decisions {
                    self.answer(seq, decision.lsn, at_ms, &decision.verdict);
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, seq: u64, lsn: Lsn, decided_ms: u64, verdict: &Verdict) {
        if self.answered.contains_key(&lsn) {
            return;
        }
        self.noted.push_back((seq, Noted::Answered(lsn)));
        let (state, answer) = (TransactionState::of(verdict), verdict.answer().clone());
        self.answered.insert(lsn, Answered { state, decided_ms, answer });
    }

    /// A transaction logged after the checkpoint, as far as it has come.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<StoredTransaction> {
        let mut transaction = self.logged.get(id)?.clone();
        self.complete(&mut transaction);
        Some(transaction)
    }

    /// Adds to a transaction from the checkpoint what happened since.
    pub fn complete(&self, transaction: &mut StoredTransaction) {
        if transaction.decided_ms.is_none()
            && let Some(answered) = self.answered.get(&transaction.lsn)
        {
            transaction.state = answered.state;
            transaction.decided_ms = Some(answered.decided_ms);
            transaction.answer = Some(answered.answer.clone());
        }
    }

    /// Forgets what the checkpoint holds now.
    pub fn forget(&mut self, covered_seq: u64) {
        while self.noted.front().is_some_and(|(seq, _)| *seq <= covered_seq) {
            match self.noted.pop_front() {
                Some((_, Noted::Logged(id))) => drop(self.logged.remove(&id)),
                Some((_, Noted::Answered(lsn))) => drop(self.answered.remove(&lsn)),
                None => break,
            }
        }
        self.generation += 1;
    }
}

/// Looks a transaction up here and, through `find`, in the checkpoint, which may be written meanwhile.
///
/// # Errors
/// Those of `find`.
pub fn look_up(
    fresh: &Mutex<Fresh>,
    id: &str,
    find: impl Fn(&str) -> Result<Option<StoredTransaction>, LogError>,
) -> Result<Option<StoredTransaction>, LogError> {
    loop {
        let generation = {
            let fresh = lock_unpoisoned(fresh);
            if let Some(transaction) = fresh.get(id) {
                return Ok(Some(transaction));
            }
            fresh.generation
        };
        let mut found = find(id)?;
        let fresh = lock_unpoisoned(fresh);
        // The checkpoint may have taken over, in between, what we did not see in either place.
        if fresh.generation == generation {
            if let Some(transaction) = found.as_mut() {
                fresh.complete(transaction);
            }
            return Ok(found);
        }
    }
}
