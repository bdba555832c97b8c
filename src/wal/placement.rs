//! Threads that write large bodies, so that neither the appender nor the shared commit waits for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use crossbeam_channel::Receiver;

use super::error::LogError;
use super::queue::{Item, Pending};
use super::record::Record;
use super::shared::Shared;

/// True when some body of the group gets a file of its own.
#[must_use]
pub fn needs_files(group: &[Pending], large_body_bytes: usize) -> bool {
    group.iter().any(|pending| pending.body.len() >= large_body_bytes)
}

/// Writes the large bodies of each group that comes and passes the group on. Ends when no more can come.
pub fn run(shared: &Arc<Shared>, groups: &Receiver<Vec<Pending>>, writer: &Sender<Item>) {
    for mut group in groups {
        let placed = catch_unwind(AssertUnwindSafe(|| place(shared, &mut group)));
        let item = match placed.unwrap_or(Err(LogError::Closed)) {
            Ok(()) => Item::Group(group),
            Err(error) => Item::Failed(group, error),
        };
        if writer.send(item).is_err() {
            return;
        }
    }
}

fn place(shared: &Shared, group: &mut [Pending]) -> Result<(), LogError> {
    for pending in group {
        if let Record::Entry(entry) = &mut pending.record
            && pending.body.len() >= shared.options.large_body_bytes
        {
            entry.body = shared.bodies.write(&pending.body)?;
        }
    }
    Ok(())
}
