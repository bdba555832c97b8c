//! A model server with what can be wrong with it, and the requests under way to it.

use isochrome::replication::event::{DeliveryId, ReadId};

use crate::deadly::Wounds;
use crate::model::{Instance, Request, Response};
use crate::rehearsal::SYSTEM;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Running,
    Hung,
    Dead,
}

/// What Isochrome's shell believes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    Up,
    Down,
    /// Its marker was missing or old.
    Lost,
}

/// Names a request under way to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallId(pub(crate) u64);

/// What waits for a call's end.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    Courier(DeliveryId),
    Read(ReadId),
}

/// What becomes of a request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// The connection breaks before the server read the request.
    NeverArrives,
    /// ... after the dimension was looked at.
    Abandoned,
    /// ... after the request was logged.
    Logged,
    /// ... after everything but the answer.
    Executed,
    /// The connection is given up, and the server executes the request later.
    Late,
    /// Answered with a 500 that tells nothing, after the request was logged.
    Indefinite,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) server: usize,
    /// The server's epoch when the connection was opened.
    pub(crate) epoch: u32,
    pub(crate) request: Request,
    pub(crate) purpose: Purpose,
    pub(crate) fate: Fate,
    pub(crate) logged: bool,
    pub(crate) response: Option<Response>,
}

/// How a call ended, as the caller sees it.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Answered(Response),
    Lost,
    /// No connection.
    Refused,
}

#[allow(clippy::struct_excessive_bools, reason = "what is wrong with a server can be combined at will")]
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) model: Instance,
    pub(crate) health: Health,
    pub(crate) writer_dead: bool,
    pub(crate) lost_state: bool,
    pub(crate) slow_ms: u64,
    /// Grows with every start of the process.
    pub(crate) epoch: u32,
    /// The epoch in which the marker was last found good; connections are only opened in that one.
    pub(crate) verified: Option<u32>,
    pub(crate) belief: Belief,
    /// The core was told that it is up, and did not ask for another look since.
    pub(crate) told_up: bool,
    pub(crate) probing: bool,
    /// It is left alone.
    pub(crate) rests: bool,
    /// How many proofs that it is well the core has asked for.
    pub(crate) proof_asked: u64,
    /// The marker's counter as Isochrome has it on disk.
    pub(crate) marker: u64,
    /// Requests that were given up so far.
    pub(crate) given_up: u64,
    /// Given up, numbered, and not yet executed.
    pub(crate) late: Vec<(u64, Request)>,
    /// What was about to happen when it hung.
    pub(crate) stalled: Vec<(CallId, bool)>,
    pub(crate) backups: Vec<Instance>,
    pub(crate) wounds: Wounds,
    /// Proofs that it is well.
    pub(crate) proofs: u32,
}

impl Server {
    pub(crate) fn new(index: usize) -> Self {
        let mut model = Instance::new((index as u128 + 1) << 64);
        model.marker = Some(1);
        model.execute(&Request::CreateDatabase { database: SYSTEM.to_owned() });
        Self {
            model,
            health: Health::Running,
            writer_dead: false,
            lost_state: false,
            slow_ms: 0,
            epoch: 1,
            verified: None,
            belief: Belief::Down,
            told_up: false,
            probing: false,
            rests: false,
            proof_asked: 0,
            given_up: 0,
            marker: 1,
            late: Vec::new(),
            stalled: Vec::new(),
            backups: Vec::new(),
            wounds: Wounds::default(),
            proofs: 0,
        }
    }

    /// Executes the first `upto` given up, where that has not been done: nothing of it can come after the answer to
    /// a request that was sent later.
    pub(crate) fn settle(&mut self, upto: u64) {
        if self.health != Health::Running {
            return;
        }
        let (due, rest) = std::mem::take(&mut self.late).into_iter().partition(|(number, _)| *number <= upto);
        self.late = rest;
        let due: Vec<(u64, Request)> = due;
        for (_, request) in due {
            self.model.execute(&request);
        }
    }

    pub(crate) fn crash(&mut self) {
        self.health = Health::Dead;
        self.late.clear();
        self.stalled.clear();
    }

    /// The process starts again with what it had logged.
    pub(crate) fn start(&mut self) {
        self.model.restart();
        self.health = Health::Running;
        self.writer_dead = false;
        self.epoch += 1;
    }

    /// What is left on it is deleted; it has our marker and these databases again.
    pub(crate) fn prepare(&mut self, first_id: u128, databases: Vec<String>) {
        self.settle(u64::MAX);
        self.model = Instance::with_databases(first_id, databases);
        self.model.execute(&Request::CreateDatabase { database: SYSTEM.to_owned() });
        self.wounds = Wounds::default();
        self.model.marker = Some(self.marker);
        self.lost_state = false;
    }

    /// Its data are replaced by nothing, or by a backup from before its last marker.
    pub(crate) fn lose_state(&mut self) {
        let old = self.backups.iter().rev().find(|backup| backup.marker < Some(self.marker));
        self.model = old.cloned().unwrap_or_else(|| Instance::new(1 << 100));
        self.lost_state = true;
    }
}
