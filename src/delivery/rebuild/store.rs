//! `repair.db`: the ids that rebuilds are to copy, and how far they are. One commit at a time; whatever a crash takes is
//! done again, and an id that was copied twice is the same record.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::chroma::ids::{CollectionId, InstanceId};
use crate::wal::record::Lsn;

/// Version of the store, in SQLite's `user_version`. It holds nothing that can't be made again: one with another version
/// is begun anew.
const FORMAT: u32 = 1;

const SCHEMA: &str = "
DROP TABLE IF EXISTS chunk;
DROP TABLE IF EXISTS task;
CREATE TABLE task (number INTEGER PRIMARY KEY, collection BLOB NOT NULL, target INTEGER NOT NULL,
    listed INTEGER NOT NULL, description TEXT NOT NULL, UNIQUE (collection, target));
CREATE TABLE chunk (task INTEGER, place INTEGER, ids TEXT NOT NULL, count INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, claim TEXT, heartbeat_ms INTEGER, tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task, place)) WITHOUT ROWID;
";

/// Names a task: the collection, the instance it is copied to, and the entry that the list of ids stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskKey {
    pub collection: CollectionId,
    pub target: InstanceId,
    pub from: Lsn,
}

/// A chunk of ids that is to be copied next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its place in the list, counted in chunks.
    pub place: u64,
    pub ids: Vec<String>,
    /// Ids from it on that are not copied yet, with its own.
    pub left: u64,
    /// How often it was begun before.
    pub tries: u64,
}

/// What is to be copied next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Chunk(Chunk),
    /// Everything is copied.
    Nothing,
    /// There is no such task.
    NoTask,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    conn: Mutex<Connection>,
    /// Names this run of the process in the chunks that it begins.
    run: String,
}

/// Why the store could not be used, in words.
#[derive(Debug, thiserror::Error)]
#[error("repair.db: {0}")]
pub struct StoreError(#[from] rusqlite::Error);

impl Store {
    /// Opens `repair.db` in the data directory, or makes it.
    ///
    /// # Errors
    /// [`StoreError`] where the file can't be used.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let conn = Connection::open(dir.join("repair.db"))?;
        conn.busy_timeout(Duration::from_secs(5))?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        let format: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if format != FORMAT {
            let make = conn.unchecked_transaction()?;
            make.execute_batch(SCHEMA)?;
            make.pragma_update(None, "user_version", FORMAT)?;
            make.commit()?;
        }
        Ok(Self { conn: Mutex::new(conn), run: uuid::Uuid::new_v4().to_string() })
    }

    /// Begins a task in place of any other for the same collection and target. `ids` come in the order of the collection.
    ///
    /// # Errors
    /// [`StoreError`]; then the task is not there.
    pub fn begin(
        &self,
        key: TaskKey,
        description: &str,
        ids: &[String],
        chunk: usize,
    ) -> Result<(), StoreError> {
        let mut conn = self.conn();
        let change = conn.transaction()?;
        remove(&change, key.collection, key.target)?;
        change.execute(
            "INSERT INTO task (collection, target, listed, description) VALUES (?1, ?2, ?3, ?4)",
            params![key.collection.0.to_be_bytes(), key.target.0, key.from.0, description],
        )?;
        let task = change.last_insert_rowid();
        {
            let mut insert =
                change.prepare("INSERT INTO chunk (task, place, ids, count) VALUES (?1, ?2, ?3, ?4)")?;
            for (place, ids) in ids.chunks(chunk.max(1)).enumerate() {
                let text = Value::from(ids.to_vec()).to_string();
                insert.execute(params![task, place, text, ids.len()])?;
            }
        }
        Ok(change.commit()?)
    }

    /// The description of the source as of the list; `None` where there is no such task.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn description(&self, key: TaskKey) -> Result<Option<String>, StoreError> {
        let conn = self.conn();
        let select = "SELECT description FROM task WHERE collection = ?1 AND target = ?2 AND listed = ?3";
        let found = conn.query_row(
            select,
            params![key.collection.0.to_be_bytes(), key.target.0, key.from.0],
            |row| row.get(0),
        );
        Ok(found.optional()?)
    }

    /// Claims the first chunk that is not copied, or the first of those after a place: one that a run which ended had claimed
    /// is taken over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim(&self, key: TaskKey, after: Option<u64>, now_ms: u64) -> Result<Next, StoreError> {
        let mut conn = self.conn();
        let change = conn.transaction()?;
        let Some(task) = task(&change, key)? else { return Ok(Next::NoTask) };
        let from = after.map_or(0, |after| after.saturating_add(1));
        let left = "SELECT coalesce(sum(count), 0) FROM chunk WHERE task = ?1 AND place >= ?2 AND NOT done";
        let left: u64 = change.query_row(left, params![task, from], |row| row.get(0))?;
        let first = "SELECT place, ids, tries FROM chunk WHERE task = ?1 AND place >= ?2 AND NOT done \
                     ORDER BY place LIMIT 1";
        let first = change.query_row(first, params![task, from], |row| {
            let ids: String = row.get(1)?;
            Ok(Chunk {
                place: row.get(0)?,
                ids: serde_json::from_str(&ids).unwrap_or_default(),
                left,
                tries: row.get(2)?,
            })
        });
        let Some(chunk) = first.optional()? else { return Ok(Next::Nothing) };
        change.execute(
            "UPDATE chunk SET claim = ?3, heartbeat_ms = ?4, tries = tries + 1 WHERE task = ?1 AND place = ?2",
            params![task, chunk.place, self.run, now_ms],
        )?;
        change.commit()?;
        Ok(Next::Chunk(chunk))
    }

    /// A chunk is copied: its ids are not needed any more.
    ///
    /// # Errors
    /// [`StoreError`]; then it counts as not copied.
    pub fn done(&self, key: TaskKey, place: u64) -> Result<(), StoreError> {
        let conn = self.conn();
        let Some(task) = task(&conn, key)? else { return Ok(()) };
        let done = "UPDATE chunk SET done = 1, ids = '', claim = NULL WHERE task = ?1 AND place = ?2";
        conn.execute(done, params![task, place])?;
        Ok(())
    }

    /// A task ended.
    ///
    /// # Errors
    /// [`StoreError`]; then it stays until the next one of the collection begins.
    pub fn end(&self, collection: CollectionId, target: InstanceId) -> Result<(), StoreError> {
        let mut conn = self.conn();
        let change = conn.transaction()?;
        remove(&change, collection, target)?;
        Ok(change.commit()?)
    }

    fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn task(conn: &Connection, key: TaskKey) -> Result<Option<i64>, StoreError> {
    let select = "SELECT number FROM task WHERE collection = ?1 AND target = ?2 AND listed = ?3";
    let found =
        conn.query_row(select, params![key.collection.0.to_be_bytes(), key.target.0, key.from.0], |row| {
            row.get(0)
        });
    Ok(found.optional()?)
}

fn remove(conn: &Connection, collection: CollectionId, target: InstanceId) -> Result<(), StoreError> {
    let own = "SELECT number FROM task WHERE collection = ?1 AND target = ?2";
    let key = params![collection.0.to_be_bytes(), target.0];
    conn.execute(&format!("DELETE FROM chunk WHERE task IN ({own})"), key)?;
    conn.execute("DELETE FROM task WHERE collection = ?1 AND target = ?2", key)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: TaskKey = TaskKey { collection: CollectionId(7), target: InstanceId(1), from: Lsn(5) };

    fn claimed(store: &Store, key: TaskKey) -> Chunk {
        match store.claim(key, None, 1).unwrap() {
            Next::Chunk(chunk) => chunk,
            other => panic!("{other:?}"),
        }
    }

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("r\"{n}")).collect()
    }

    #[test]
    fn chunks_come_in_order_and_none_is_missed_or_copied_twice_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap().begin(KEY, "{}", &ids(7), 3).unwrap();
        let mut copied = Vec::new();
        for left in [7, 4, 1] {
            let store = Store::open(dir.path()).unwrap();
            let lost = claimed(&store, KEY);
            let store = Store::open(dir.path()).unwrap();
            let chunk = claimed(&store, KEY);
            assert_eq!(chunk, Chunk { tries: 1, ..lost }, "what a dead run had claimed is taken over");
            assert_eq!(chunk.left, left);
            store.done(KEY, chunk.place).unwrap();
            copied.extend(chunk.ids);
        }
        assert_eq!(copied, ids(7));
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.claim(KEY, None, 3).unwrap(), Next::Nothing);
        assert_eq!(store.description(KEY).unwrap().as_deref(), Some("{}"));
    }

    #[test]
    fn one_is_claimed_while_the_one_before_it_is_not_copied_yet() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.begin(KEY, "{}", &ids(7), 3).unwrap();
        let first = claimed(&store, KEY);
        let Next::Chunk(ahead) = store.claim(KEY, Some(first.place), 1).unwrap() else {
            panic!("there are three")
        };
        assert_eq!((ahead.ids, ahead.left), (ids(7)[3..6].to_vec(), 4));
        store.done(KEY, ahead.place).unwrap();
        assert_eq!(claimed(&store, KEY).ids, ids(3), "what was not copied comes first");
        assert_eq!(store.claim(KEY, Some(2), 1).unwrap(), Next::Nothing);
    }

    #[test]
    fn a_new_list_takes_the_place_of_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.begin(KEY, "old", &ids(3), 1).unwrap();
        let newer = TaskKey { from: Lsn(6), ..KEY };
        store.begin(newer, "new", &ids(1), 1).unwrap();
        assert_eq!(
            (store.claim(KEY, None, 1).unwrap(), store.description(KEY).unwrap()),
            (Next::NoTask, None)
        );
        assert_eq!(claimed(&store, newer).left, 1);
        store.end(KEY.collection, KEY.target).unwrap();
        assert_eq!(store.claim(newer, None, 1).unwrap(), Next::NoTask);
    }
}
