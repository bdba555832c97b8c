//! One execution per transaction id at a time: whoever comes second waits for the first and gets its answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::outcome::Told;
use crate::chroma::error::{ApiError, INVALID_ARGUMENT};
use crate::gateway::answer::{Code, Refusal};

/// Transactions under way, by id.
#[derive(Debug)]
pub(in crate::gateway) struct UnderWay {
    most: usize,
    transactions: Mutex<HashMap<String, Transaction>>,
}

#[derive(Debug)]
struct Transaction {
    fingerprint: u128,
    told: watch::Receiver<Option<Told>>,
}

/// How one enters.
enum Entrance {
    First(First),
    /// The same request is under way.
    Second(watch::Receiver<Option<Told>>),
    /// Another request is under way under this id.
    Mismatch,
    Full,
}

/// The right to execute a transaction; given back when dropped.
struct First {
    under_way: Arc<UnderWay>,
    id: String,
    told: watch::Sender<Option<Told>>,
}

impl UnderWay {
    /// At most `most` transactions at once.
    pub(in crate::gateway) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, transactions: Mutex::default() })
    }

    /// Executes `work` unless the same transaction is under way; gives the answer and whether it is that of
    /// another. `work` looks the id up in the log before it executes anything; since only one works on an id at
    /// a time, nothing slips between the two. It goes on when the caller goes away.
    pub(in crate::gateway) async fn once(
        self: &Arc<Self>,
        id: &str,
        fingerprint: u128,
        work: impl Future<Output = Told> + Send + 'static,
    ) -> (Told, bool) {
        match self.enter(id, fingerprint) {
            Entrance::First(first) => {
                let told = first.told.subscribe();
                tokio::spawn(async move {
                    let answer = work.await;
                    first.told.send_replace(Some(answer));
                });
                (answer_of(told).await, false)
            }
            Entrance::Second(told) => (answer_of(told).await, true),
            Entrance::Mismatch => (Told::Refused(mismatch(id)), true),
            Entrance::Full => (Told::Refused(full()), false),
        }
    }

    /// Transactions under way now.
    pub(in crate::gateway) fn len(&self) -> usize {
        self.lock().len()
    }

    fn enter(self: &Arc<Self>, id: &str, fingerprint: u128) -> Entrance {
        let mut transactions = self.lock();
        let full = transactions.len() >= self.most;
        match transactions.entry(id.to_owned()) {
            Entry::Occupied(known) if known.get().fingerprint == fingerprint => {
                Entrance::Second(known.get().told.clone())
            }
            Entry::Occupied(_) => Entrance::Mismatch,
            Entry::Vacant(_) if full => Entrance::Full,
            Entry::Vacant(place) => {
                let (told, receiver) = watch::channel(None);
                place.insert(Transaction { fingerprint, told: receiver });
                Entrance::First(First { under_way: Arc::clone(self), id: id.to_owned(), told })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Transaction>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.id);
    }
}

async fn answer_of(mut told: watch::Receiver<Option<Told>>) -> Told {
    match told.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(answer)) => answer.clone(),
        // The first ended without an answer: only while the process stops.
        _ => Told::Refused(Refusal::unavailable(
            Code::Stopping,
            "The write ended without an answer; ask for its transaction",
        )),
    }
}

/// The refusal of an id that belongs to another request.
pub(in crate::gateway) fn mismatch(id: &str) -> Refusal {
    let message = format!("Transaction [{id}] belongs to another request");
    Refusal::own(Code::TransactionMismatch, ApiError::new(422, INVALID_ARGUMENT, message))
}

fn full() -> Refusal {
    Refusal::unavailable(Code::Overloaded, "Too many transactions are under way; try again later")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::sync::Notify;

    use super::*;
    use crate::wal::record::Answer;

    /// A log that counts what it executes, and holds executions until it is told to go on.
    #[derive(Default)]
    struct Log {
        written: Mutex<HashSet<u128>>,
        executions: Mutex<u64>,
        go_on: Notify,
    }

    impl Log {
        async fn execute(self: Arc<Self>, fingerprint: u128) -> Told {
            let known = self.written.lock().unwrap().contains(&fingerprint);
            if !known {
                *self.executions.lock().unwrap() += 1;
                self.go_on.notified().await;
                self.written.lock().unwrap().insert(fingerprint);
            }
            Told::Answer(Answer { status: 201, body: fingerprint.to_string().into_bytes() })
        }

        fn executions(&self) -> u64 {
            *self.executions.lock().unwrap()
        }
    }

    async fn send(under_way: &Arc<UnderWay>, log: &Arc<Log>, id: &str, fingerprint: u128) -> (Told, bool) {
        under_way.once(id, fingerprint, Arc::clone(log).execute(fingerprint)).await
    }

    fn status(told: &Told) -> u16 {
        match told {
            Told::Answer(answer) => answer.status,
            Told::Refused(refusal) => refusal.error.status,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_same_request_is_executed_once_however_many_send_it() {
        let (under_way, log) = (UnderWay::new(10), Arc::new(Log::default()));
        let (first, second, ()) =
            tokio::join!(send(&under_way, &log, "a", 1), send(&under_way, &log, "a", 1), async {
                log.go_on.notify_one();
            });
        assert_eq!((first.1, second.1), (false, true));
        assert_eq!((status(&first.0), status(&second.0)), (201, 201));
        let later = send(&under_way, &log, "a", 1).await;
        assert_eq!((status(&later.0), log.executions()), (201, 1));
        assert_eq!(under_way.len(), 0);
    }

    #[tokio::test]
    async fn another_request_under_the_same_id_is_refused() {
        let (under_way, log) = (UnderWay::new(10), Arc::new(Log::default()));
        let (first, other) = tokio::join!(send(&under_way, &log, "a", 1), async {
            let other = send(&under_way, &log, "a", 2).await;
            log.go_on.notify_one();
            other
        });
        assert_eq!((status(&first.0), status(&other.0), log.executions()), (201, 422, 1));
    }

    #[tokio::test]
    async fn the_execution_goes_on_when_its_sender_goes_away() {
        let (under_way, log) = (UnderWay::new(10), Arc::new(Log::default()));
        {
            let gone = send(&under_way, &log, "a", 1);
            tokio::pin!(gone);
            tokio::select! {
                biased;
                _ = &mut gone => panic!("nobody told it to go on"),
                () = tokio::task::yield_now() => {}
            }
        }
        let (second, ()) = tokio::join!(send(&under_way, &log, "a", 1), async {
            log.go_on.notify_one();
        });
        assert_eq!((status(&second.0), second.1, log.executions()), (201, true, 1));
    }

    #[test]
    fn there_is_a_bound() {
        let under_way = UnderWay::new(1);
        let first = under_way.enter("a", 1);
        assert!(matches!(under_way.enter("b", 2), Entrance::Full));
        drop(first);
        assert!(matches!(under_way.enter("b", 2), Entrance::First(_)));
    }
}
