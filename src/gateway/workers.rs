//! Threads that serve connections of clients, each with a runtime of its own.
//!
//! A connection stays on the thread that it was given to, and its reads use the connections to instances that were
//! opened there (`instances/wires.rs`). So a read that passes through wakes no other thread. What the whole process has
//! only once, like the core's task, runs on the runtime of many threads that starts it.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Threads for blocking work of all workers together: tokio's limit for one runtime.
const BLOCKING_THREADS: usize = 512;

/// The threads. They end some time after this is dropped, and what runs there with them.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Every task holds a clone.
    busy: Arc<()>,
    _until_dropped: oneshot::Sender<()>,
}

impl Workers {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    /// What the system says where it gives us no more threads or files.
    pub fn start(count: usize) -> io::Result<Self> {
        (0..count.max(1))
            .map(|number| Worker::start(number, BLOCKING_THREADS / count.max(1)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Runs a task of the set on the thread that has the fewest.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        tasks: &mut JoinSet<T>,
        task: impl Future<Output = T> + Send + 'static,
    ) {
        let Some(worker) = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.busy)) else {
            return;
        };
        let busy = Arc::clone(&worker.busy);
        let counted = async move {
            let ended = task.await;
            drop(busy);
            ended
        };
        tasks.spawn_on(counted, &worker.runtime);
    }
}

impl Worker {
    fn start(number: usize, blocking_threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(blocking_threads.max(1))
            .build()?;
        let handle = runtime.handle().clone();
        let (until_dropped, dropped) = oneshot::channel();
        let run = move || _ = runtime.block_on(dropped);
        std::thread::Builder::new().name(format!("clients-{number}")).spawn(run)?;
        Ok(Self { runtime: handle, busy: Arc::default(), _until_dropped: until_dropped })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[tokio::test]
    async fn each_thread_gets_its_share_and_keeps_what_it_got() {
        let workers = Workers::start(3).unwrap();
        let mut tasks = JoinSet::new();
        let (go, _) = tokio::sync::broadcast::channel::<()>(1);
        for _ in 0..12 {
            let mut go = go.subscribe();
            workers.spawn(&mut tasks, async move {
                let before = std::thread::current().id();
                _ = go.recv().await;
                (before, std::thread::current().id())
            });
        }
        _ = go.send(());
        let mut shares = HashMap::new();
        while let Some(task) = tasks.join_next().await {
            let (before, after) = task.unwrap();
            assert_eq!(before, after);
            *shares.entry(before).or_insert(0) += 1;
        }
        assert_eq!(shares.into_values().collect::<Vec<_>>(), [4, 4, 4]);
    }

    #[tokio::test]
    async fn a_thread_ends_when_nobody_needs_it_any_more() {
        let workers = Workers::start(1).unwrap();
        let (held, dropped) = oneshot::channel::<()>();
        workers.0[0].runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(workers);
        assert!(dropped.await.is_err());
    }
}
