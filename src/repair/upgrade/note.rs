//! What an upgrade must remember over a restart: one note in `jobs.db`, from before the first server is touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::request::Request;
use crate::instances::managed::Chosen;
use crate::repair::store::{Store, StoreError};

/// The second step of the file.
pub const SCHEMA: &str =
    "CREATE TABLE upgrade (one INTEGER PRIMARY KEY CHECK (one = 1), note TEXT NOT NULL);";

/// An upgrade that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub request: Request,
    pub to: Chosen,
    /// The instances in the order in which they are upgraded: the one that decides first is the last.
    pub order: Vec<String>,
    /// What was chosen for each of them before; `None`: the executable of the configuration.
    pub from: BTreeMap<String, Option<Chosen>>,
    /// Set before anything is taken back.
    pub back: Option<Back>,
}

/// What is taken back, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Back {
    pub instances: Vec<String>,
    /// For people.
    pub why: String,
}

impl Note {
    /// What a cancelled upgrade takes back, of those that the new executable has opened: these, and the next one, which may
    /// have been stopped already. `None` where it has opened all of them, and there is nothing to be filled from.
    pub fn to_take_back(&self, is_opened: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        let next = self.order.iter().position(|name| !is_opened(name))?;
        Some(self.order.iter().take(next + 1).cloned().collect())
    }

    /// What was chosen for an instance before.
    pub fn before(&self, name: &str) -> Option<Chosen> {
        self.from.get(name).cloned().flatten()
    }
}

/// The order of an upgrade: whoever decides first comes last, the others in theirs.
pub(super) fn order<'a>(names: &[&'a str], decides_first: &str) -> Vec<&'a str> {
    let (last, mut order): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| **name == decides_first);
    order.extend(last);
    order
}

/// The note of an upgrade of this request.
///
/// # Errors
/// [`StoreError`] where it can't be read.
pub(super) async fn find(store: &Arc<Store>, request: &Request) -> Result<Option<Note>, StoreError> {
    let text = with(store, |conn| {
        let found = conn.query_row("SELECT note FROM upgrade", [], |row| row.get::<_, String>(0));
        found.optional()
    });
    let note: Option<Note> = text.await?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(note.filter(|note| note.request == *request))
}

/// Keeps a note instead of the one before; durable when this returns.
///
/// # Errors
/// [`StoreError`] where it can't be written.
pub(super) async fn keep(store: &Arc<Store>, note: &Note) -> Result<(), StoreError> {
    let text = serde_json::to_string(note).unwrap_or_default();
    with(store, move |conn| {
        conn.execute("INSERT OR REPLACE INTO upgrade (one, note) VALUES (1, ?1)", [text]).map(|_| ())
    })
    .await
}

/// Forgets the note of an upgrade that is over.
///
/// # Errors
/// [`StoreError`] where that can't be written.
pub(super) async fn forget(store: &Arc<Store>) -> Result<(), StoreError> {
    with(store, |conn| conn.execute("DELETE FROM upgrade", []).map(|_| ())).await
}

async fn with<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || store.with(work)).await;
    done.unwrap_or_else(|_| Err(StoreError::stopping()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_decides_first_comes_last() {
        assert_eq!(order(&["a", "b"], "a"), ["b", "a"]);
        assert_eq!(order(&["a", "b"], "b"), ["a", "b"]);
        assert_eq!(order(&["a", "b", "c"], "b"), ["a", "c", "b"]);
    }

    fn note(request: Request) -> Note {
        let to = Chosen { command: "/new/chroma".into(), version: request.version.clone() };
        let before = Chosen { command: "/old/chroma".into(), version: None };
        let from = BTreeMap::from([("a".to_owned(), None), ("b".to_owned(), Some(before))]);
        Note { request, to, order: vec!["b".to_owned(), "a".to_owned()], from, back: None }
    }

    #[test]
    fn what_is_cancelled_is_taken_back_while_one_is_left_that_was_not_opened() {
        let note = note(Request::default());
        let taken = |opened: &[&str]| note.to_take_back(|name| opened.contains(&name));
        assert_eq!(taken(&[]).unwrap(), ["b"]);
        assert_eq!(taken(&["b"]).unwrap(), ["b", "a"], "the second may have been stopped");
        assert_eq!(taken(&["b", "a"]), None);
    }

    #[tokio::test]
    async fn a_note_is_found_by_its_request_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let request = Request { version: Some("1.5.9".to_owned()), ..Request::default() };
        assert_eq!(find(&store, &request).await.unwrap(), None);
        let mut note = note(request.clone());
        keep(&store, &note).await.unwrap();
        note.back = Some(Back { instances: vec!["b".to_owned()], why: "it did not start".to_owned() });
        keep(&store, &note).await.unwrap();
        drop(store);

        let store = Arc::new(Store::open(dir.path()).unwrap());
        assert_eq!(find(&store, &request).await.unwrap(), Some(note.clone()));
        assert_eq!(note.before("a"), None);
        assert_eq!(note.before("b").unwrap().to_string(), "/old/chroma");
        let other = Request { canary_s: Some(1), ..request.clone() };
        assert_eq!(find(&store, &other).await.unwrap(), None, "it belongs to another upgrade");
        forget(&store).await.unwrap();
        assert_eq!(find(&store, &request).await.unwrap(), None);
    }
}
