//! A whole model server.
//!
//! A request takes effect in two steps that a fault can part: [`Instance::log`] makes it durable
//! and tells its answer, [`Instance::show`] makes it visible; only afterwards is it answered. A
//! request whose connection is lost in between stays logged and invisible until the next write of
//! its collection, or until the server starts again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::collection::{Collection, refuse_types};
use super::request::{Metadata, RealId, Request, Response};

/// The database that a fresh server has.
pub(crate) const DEFAULT_DATABASE: &str = "default_database";

/// In the words of the 500 of a collection whose index does not load.
pub(crate) const BROKEN_INDEX: &str = "Error loading hnsw index";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instance {
    databases: BTreeSet<String>,
    /// Shared with older snapshots of the server until one of them changes.
    collections: BTreeMap<RealId, Arc<Collection>>,
    /// The id of the next collection.
    pub(crate) next_id: RealId,
    /// The counter last written into our marker; `None` on a server that does not carry it.
    pub(crate) marker: Option<u64>,
}

impl Instance {
    /// A fresh server. Its ids start at `first_id`, so that servers with different starts never share one.
    pub(crate) fn new(first_id: RealId) -> Self {
        Self {
            databases: BTreeSet::from([DEFAULT_DATABASE.to_owned()]),
            collections: BTreeMap::new(),
            next_id: first_id,
            marker: None,
        }
    }

    /// An empty server with these databases.
    pub(crate) fn with_databases(first_id: RealId, databases: Vec<String>) -> Self {
        Self { databases: databases.into_iter().collect(), ..Self::new(first_id) }
    }

    /// Somebody writes to a collection behind our back.
    pub(crate) fn spoil(&mut self, collection: RealId) {
        if let Some(found) = self.collection_mut(collection) {
            found.spoil();
        }
    }

    /// The index of a collection does not load any more.
    pub(crate) fn break_index(&mut self, collection: RealId) {
        self.collection_mut(collection).into_iter().for_each(Collection::break_index);
    }

    /// What a write of a collection gets whose index does not load, though it is logged.
    pub(crate) fn index_error(&self, collection: RealId) -> Option<Response> {
        self.collection(collection).filter(|found| found.is_broken()).map(|_| broken_index())
    }

    /// Executes a request whole and gives its answer.
    pub(crate) fn execute(&mut self, request: &Request) -> Response {
        let response = self.log(request);
        if let Some(collection) = request.queue() {
            self.show(collection);
        }
        response
    }

    /// Executes a request up to where it is durable. Record writes are not visible yet.
    pub(crate) fn log(&mut self, request: &Request) -> Response {
        if let Some(refusal) = refused_at_sight(request) {
            return refusal;
        }
        match request {
            Request::CreateDatabase { database } => {
                if self.databases.insert(database.clone()) {
                    Response::Done
                } else {
                    Response::refused(409, format!("Database [{database}] already exists"))
                }
            }
            Request::DropDatabase { database } => self.drop_database(database),
            Request::CreateCollection { database, name, metadata, get_or_create } => {
                self.create(database, name, metadata.clone(), *get_or_create)
            }
            Request::ModifyCollection { collection, new_name, new_metadata } => {
                self.modify(*collection, new_name.as_ref(), new_metadata.as_ref())
            }
            Request::DropCollection { database, name } => match self.named(database, name) {
                Some(id) => {
                    self.collections.remove(&id);
                    Response::Done
                }
                None => absent(),
            },
            Request::Describe { database, name } => match self.named(database, name) {
                Some(id) => Response::Collection(self.collections[&id].describe()),
                None => absent(),
            },
            Request::List { database } => {
                let own = self.collections.values().filter(|found| found.database == *database);
                Response::Collections(own.map(|found| found.describe()).collect())
            }
            Request::DescribeById { collection, .. }
            | Request::Write { collection, .. }
            | Request::Delete { collection, .. }
            | Request::Get { collection, .. }
            | Request::Count { collection } => match self.collection_mut(*collection) {
                Some(found) => in_collection(found, request),
                None => absent(),
            },
        }
    }

    /// Executes a record write only as far as the check of its dimension, where a lost connection
    /// can also end it: a dimension may be fixed, nothing is logged.
    pub(crate) fn abandon(&mut self, request: &Request) {
        if refused_at_sight(request).is_none()
            && let Some(found) = request.queue().and_then(|id| self.collection_mut(id))
        {
            let mut scratch = found.clone();
            in_collection(&mut scratch, request);
            found.dimension = scratch.dimension;
        }
    }

    /// Makes what is logged for a collection visible.
    pub(crate) fn show(&mut self, collection: RealId) {
        if let Some(found) = self.collection_mut(collection) {
            found.show();
        }
    }

    /// The server ends and starts again: it keeps what was logged, and shows it.
    pub(crate) fn restart(&mut self) {
        for found in self.collections.values_mut() {
            Arc::make_mut(found).show();
        }
    }

    /// All collections in the order of their ids here.
    pub(crate) fn collections(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values().map(AsRef::as_ref)
    }

    pub(crate) fn collection(&self, id: RealId) -> Option<&Collection> {
        self.collections.get(&id).map(AsRef::as_ref)
    }

    fn collection_mut(&mut self, id: RealId) -> Option<&mut Collection> {
        self.collections.get_mut(&id).map(Arc::make_mut)
    }

    fn named(&self, database: &str, name: &str) -> Option<RealId> {
        let mut all = self.collections.values();
        let found = all.find(|found| found.database == database && found.name == name);
        found.map(|found| found.id)
    }

    fn create(
        &mut self,
        database: &str,
        name: &str,
        metadata: Option<Metadata>,
        get_or_create: bool,
    ) -> Response {
        if !self.databases.contains(database) {
            return Response::refused(400, format!("Database [{database}] does not exist"));
        }
        match self.named(database, name) {
            Some(id) if get_or_create => Response::Collection(self.collections[&id].describe()),
            Some(_) => Response::refused(409, format!("Collection [{name}] already exists")),
            None => {
                let id = self.next_id;
                self.next_id += 1;
                let created = Collection::new(id, database.to_owned(), name.to_owned(), metadata);
                let description = created.describe();
                self.collections.insert(id, Arc::new(created));
                Response::Collection(description)
            }
        }
    }

    fn modify(&mut self, id: RealId, new_name: Option<&String>, new_metadata: Option<&Metadata>) -> Response {
        let Some(database) = self.collections.get(&id).map(|found| found.database.clone()) else {
            return absent();
        };
        if let Some(name) = new_name
            && self.named(&database, name).is_some_and(|holder| holder != id)
        {
            return Response::refused(500, "UNIQUE constraint failed: collections.name");
        }
        if let Some(found) = self.collection_mut(id) {
            found.name = new_name.unwrap_or(&found.name).clone();
            found.metadata = new_metadata.or(found.metadata.as_ref()).cloned();
        }
        Response::Done
    }

    fn drop_database(&mut self, database: &str) -> Response {
        if !self.databases.remove(database) {
            return Response::refused(404, format!("Database [{database}] not found"));
        }
        self.collections.retain(|_, collection| collection.database != database);
        Response::Done
    }
}

fn refused_at_sight(request: &Request) -> Option<Response> {
    match request {
        Request::Write { kind, parts, .. } => refuse_types(*kind, parts),
        _ => None,
    }
}

fn in_collection(found: &mut Collection, request: &Request) -> Response {
    match request {
        Request::Get { .. } | Request::Count { .. } if found.is_broken() => broken_index(),
        Request::Write { kind, parts, .. } => found.log_write(*kind, parts),
        Request::Delete { ids, filter, limit, .. } => {
            found.log_delete(ids.as_deref(), filter.as_ref(), *limit)
        }
        Request::Get { embeddings: true, .. } if found.lacks_index() => {
            Response::refused(500, "Nothing found on disk")
        }
        Request::Get { ids, filter, limit, offset, .. } => {
            Response::Records(found.get(ids.as_deref(), filter.as_ref(), *limit, *offset))
        }
        Request::Count { .. } => Response::Count(found.records().len()),
        _ => Response::Collection(found.describe()),
    }
}

fn broken_index() -> Response {
    Response::refused(500, BROKEN_INDEX)
}

fn absent() -> Response {
    Response::refused(404, "does not exist")
}
