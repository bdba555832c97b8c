//! What every instance must come to: the durable writes, executed one after the other in log order
//! on one model server whose collections carry the public ids.

use std::collections::BTreeSet;

use isochrome::wal::record::{EntryHead, Lane, Lsn, Op};

use crate::model::{Collection, Instance, RealId, Request, Response};

/// What one write must come to.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) response: Response,
    /// The ids that a delete by predicate stands for.
    pub(crate) resolved: Option<Vec<String>>,
}

pub(crate) struct Reference {
    /// The server after each LSN; the first is the empty one.
    states: Vec<Instance>,
    expected: Vec<Expected>,
    entries: Vec<(EntryHead, Request)>,
    /// Suspects that were refused in the end because their collection was dropped behind them.
    withdrawn: BTreeSet<Lsn>,
}

/// The public id of a collection's lane.
pub(crate) fn public_id(lane: &Lane) -> Option<RealId> {
    match lane {
        Lane::Collection(id) => Some(id.0),
        Lane::Database { .. } | Lane::Tenant { .. } => None,
    }
}

impl Reference {
    pub(crate) fn new() -> Self {
        Self {
            states: vec![Instance::new(1)],
            expected: Vec::new(),
            entries: Vec::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    /// The last write that it holds.
    pub(crate) fn last(&self) -> Lsn {
        Lsn(self.entries.len() as u64)
    }

    /// Takes the next durable write.
    pub(crate) fn fold(&mut self, lsn: Lsn, head: &EntryHead, request: &Request) {
        assert_eq!(lsn.0, self.last().0 + 1, "LSNs follow each other");
        self.entries.push((head.clone(), request.clone()));
        self.execute_last();
    }

    fn execute_last(&mut self) {
        let index = self.states.len() - 1;
        let (head, request) = &self.entries[index];
        let mut state = self.states[index].clone();
        let expected = if self.withdrawn.contains(&Lsn(self.states.len() as u64)) {
            let response = Response::refused(404, "does not exist");
            Expected { status: 404, response, resolved: None }
        } else {
            execute(&mut state, head, request)
        };
        self.states.push(state);
        self.expected.push(expected);
    }

    /// A suspect was refused because of a drop behind it: everything after it happened without it.
    pub(crate) fn withdraw(&mut self, lsn: Lsn) {
        self.withdrawn.insert(lsn);
        let keep = lsn.0 as usize;
        self.states.truncate(keep);
        self.expected.truncate(keep - 1);
        while self.states.len() <= self.entries.len() {
            self.execute_last();
        }
    }

    pub(crate) fn expected(&self, lsn: Lsn) -> &Expected {
        &self.expected[lsn.0 as usize - 1]
    }

    /// The whole server after a write.
    pub(crate) fn state(&self, lsn: Lsn) -> &Instance {
        &self.states[lsn.0 as usize]
    }

    /// A collection after a write; `None` before its create and after its drop.
    pub(crate) fn collection(&self, id: RealId, lsn: Lsn) -> Option<&Collection> {
        self.state(lsn).collection(id)
    }
}

fn execute(state: &mut Instance, head: &EntryHead, request: &Request) -> Expected {
    let mut resolved = None;
    let response = match (request, public_id(&head.lane)) {
        (Request::DropCollection { database, .. }, Some(id)) => {
            match state.collection(id).map(|found| found.name.clone()) {
                Some(name) => state.execute(&Request::DropCollection { database: database.clone(), name }),
                None => Response::refused(404, "does not exist"),
            }
        }
        (Request::CreateCollection { .. }, Some(id)) => {
            state.next_id = id;
            state.execute(request)
        }
        (Request::Delete { ids, filter, limit, .. }, Some(id)) if head.op == Op::DeleteWhere => {
            let found = state.collection(id);
            resolved = found.map(|found| {
                let matches = found.get(ids.as_deref(), filter.as_ref(), *limit, 0);
                matches.into_iter().map(|record| record.id).collect()
            });
            state.execute(request)
        }
        // Its collections are dropped before, but for one that was being created when the drop was taken in.
        (Request::DropDatabase { database }, _)
            if state.collections().any(|found| found.database == *database) =>
        {
            Response::refused(409, "was just created")
        }
        _ => state.execute(request),
    };
    Expected { status: response.status(request), response, resolved }
}
