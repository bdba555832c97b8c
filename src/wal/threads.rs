//! Starting and ending the threads of the log.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, unbounded};

use super::checkpointer::{Checkpointer, Request};
use super::engine::Engine;
use super::lock::DirLock;
use super::placement;
use super::queue::{Item, Pending};
use super::shared::Shared;
use super::state::State;
use super::writer::{OnCommit, Writer};

/// Threads that write large bodies.
const BODY_THREADS: usize = 2;

/// Where the log takes things in; its threads end when this is gone.
pub struct Inputs {
    pub writer: mpsc::Sender<Item>,
    pub large: Sender<Vec<Pending>>,
    pub checkpointer: Sender<Request>,
    /// Records handed over since the start.
    pub recorded: u64,
}

/// The running threads and the lock of the directory. Joined in this order: each ends when those before it have.
pub struct Threads {
    bodies: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    lock: DirLock,
}

impl Threads {
    /// Waits until all have ended, then releases the directory. The inputs must be gone.
    pub fn join(self) {
        for thread in self.bodies.into_iter().chain([self.writer, self.checkpointer]) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log ended by a panic");
            }
        }
        drop(self.lock);
    }
}

/// Starts the threads.
///
/// # Errors
/// The system has no room for another thread.
pub fn start(
    shared: &Arc<Shared>,
    engine: Box<dyn Engine>,
    checkpoint: State,
    lock: DirLock,
    on_commit: OnCommit,
) -> io::Result<(Inputs, Threads)> {
    let (writer_in, writer_out) = mpsc::channel();
    let (large_in, large_out) = unbounded();
    let (requests_in, requests_out) = unbounded();
    let spawn = |name: &str| thread::Builder::new().name(format!("wal-{name}"));
    let mut bodies = Vec::new();
    for _ in 0..BODY_THREADS {
        let (shared, groups, writer) = (Arc::clone(shared), large_out.clone(), writer_in.clone());
        bodies.push(spawn("bodies").spawn(move || placement::run(&shared, &groups, &writer))?);
    }
    let writer = Writer::new(Arc::clone(shared), engine, on_commit, writer_out, requests_in.clone());
    let writer = spawn("writer").spawn(move || writer.run())?;
    let checkpointer = Checkpointer::new(Arc::clone(shared), checkpoint, requests_out);
    let checkpointer = spawn("checkpoint").spawn(move || checkpointer.run())?;
    let inputs = Inputs { writer: writer_in, large: large_in, checkpointer: requests_in, recorded: 0 };
    let threads = Threads { bodies, writer, checkpointer, lock };
    Ok((inputs, threads))
}
