//! The next segment, made ready before it is needed: created, and its write-ahead file filled with zeros and synced, so that
//! commits write in place. One that makes its file grow costs the disk a commit of the file system's own journal, too.
//!
//! SQLite takes nothing of what stands beyond the last commit for a frame, whatever it is: salts and checksums do not fit.

use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::disk::disk;
use super::error::LogError;
use super::options::WalOptions;
use super::segment::{beside, create, path_of, remove};
use super::stats::free_bytes;

/// Nothing is made ready where the disk would not hold so many more segments above what stays free.
const ROOM_SEGMENTS: u64 = 4;
/// No more than this is filled of one segment.
const MOST_BYTES: u64 = 64 << 20;
/// Filled and synced at once: a commit elsewhere may wait for one piece, not for all.
const PIECE_BYTES: usize = 1 << 20;

/// A segment without a record.
#[derive(Debug)]
pub struct Ready {
    pub number: u64,
    pub conn: Connection,
}

/// Makes one segment at a time ready, in a thread of its own that ends with this.
#[derive(Debug)]
pub struct Spares {
    dir: PathBuf,
    /// `None` where there is no thread.
    asks: Option<Sender<u64>>,
    made: Receiver<Option<Ready>>,
    thread: Option<JoinHandle<()>>,
    /// One is asked for, and did not come yet.
    asked: bool,
}

impl Spares {
    /// Nothing is made before it is asked for.
    #[must_use]
    pub fn new(dir: &Path, options: &WalOptions) -> Self {
        let (asks, asked) = bounded::<u64>(1);
        let (makes, made) = bounded(1);
        let bytes = options.segment_bytes.min(MOST_BYTES);
        let least_free_bytes = options.min_free_bytes.saturating_add(ROOM_SEGMENTS * bytes);
        let place = dir.to_owned();
        let work = move || {
            for number in asked {
                if makes.send(make(&place, number, bytes, least_free_bytes)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("wal-spare".to_owned()).spawn(work).ok();
        let asks = thread.is_some().then_some(asks);
        Self { dir: dir.to_owned(), asks, made, thread, asked: false }
    }

    /// True where one may be asked for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.asks.is_some() && !self.asked
    }

    /// Asks for a segment of this number. It may fail, or find no room; then none comes.
    pub fn ask(&mut self, number: u64) {
        self.asked = self.asks.as_ref().is_some_and(|asks| asks.try_send(number).is_ok());
    }

    /// The segment that was asked for, if it is ready and comes after all that were in use.
    pub fn take(&mut self, last_number: u64) -> Option<Ready> {
        let ready = self.made.try_recv().ok()?;
        self.asked = false;
        match ready {
            Some(ready) if ready.number > last_number => Some(ready),
            late => {
                if let Some(late) = late {
                    self.remove(late);
                }
                None
            }
        }
    }

    fn remove(&self, Ready { number, conn }: Ready) {
        drop(conn);
        if let Err(error) = remove(&self.dir, number) {
            tracing::debug!(number, %error, "a segment that was not used stays until the next start");
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        drop(self.asks.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            _ = thread.join();
        }
        self.made.try_iter().flatten().for_each(|unused| self.remove(unused));
    }
}

fn make(dir: &Path, number: u64, bytes: u64, least_free_bytes: u64) -> Option<Ready> {
    if free_bytes(dir).is_some_and(|free| free < least_free_bytes) {
        return None;
    }
    let made = create(dir, number).and_then(|conn| {
        fill(&beside(&path_of(dir, number), "-wal"), bytes)?;
        Ok(Ready { number, conn })
    });
    match made {
        Ok(ready) => Some(ready),
        Err(error) => {
            tracing::debug!(number, %error, "no segment could be made ready; one is created when it is needed");
            // What stays behind has no record, and goes at the next start at the latest.
            _ = remove(dir, number);
            None
        }
    }
}

/// Makes a file so long with zeros that are really written.
fn fill(path: &Path, bytes: u64) -> Result<(), LogError> {
    let mut file = disk().open(path)?;
    let piece = vec![0; PIECE_BYTES];
    let mut at = disk().len(path)?;
    file.seek(SeekFrom::Start(at))?;
    while at < bytes {
        let next = (bytes - at).min(PIECE_BYTES as u64);
        disk().write(path, &mut file, &piece[..usize::try_from(next).unwrap_or(PIECE_BYTES)])?;
        disk().sync(path, &file)?;
        at += next;
    }
    Ok(())
}
