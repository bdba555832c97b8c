//! Clients: what they write and read, and the part of the gateway that turns it into entries.

use isochrome::chroma::ids::{CollectionId, InstanceId};
use isochrome::replication::board::Stamp;
use isochrome::replication::core::Core;
use isochrome::replication::event::{Event, Level, ReadId, ReadScope};
use isochrome::wal::record::{EntryHead, Lane, Lsn, Op, Transaction};

use crate::check::lane_of;
use crate::courier::{is_grave, record_op};
use crate::deadly::poison;
use crate::errands::is_put_aside;
use crate::history::{Began, History, Look, Shown};
use crate::kept::{get, hashes};
use crate::model::{BROKEN_INDEX, DEFAULT_DATABASE, Kind, RealId, Request, Response};
use crate::plan::Fault;
use crate::server::{End, Purpose};
use crate::trouble::instance;
use crate::world::{Happening, World};

const TENANT: &str = "default_tenant";
const SECOND: &str = "second";
const DIMENSION: usize = 2;
/// Tries of a read at instances before its client is told that it failed.
const TRIES: u32 = 5;

#[derive(Debug, Default)]
pub(crate) struct Client {
    /// Writes that wait for their answer.
    pub(crate) outstanding: usize,
}

#[derive(Debug)]
pub(crate) struct PendingRead {
    client: usize,
    began: Began,
    scope: ReadScope,
    level: Level,
    tries: u32,
    /// The state that was asked for, where the board let the read go.
    stamp: Option<Stamp>,
    /// The copy that was asked.
    copy: Option<RealId>,
    /// Isochrome dies after it.
    kills: bool,
}

impl World {
    pub(crate) fn clients_done(&self) -> bool {
        self.plan.operations == 0 && self.waiting.is_empty() && self.reads.is_empty()
    }

    pub(crate) fn client_acts(&mut self, client: usize) {
        let idle = self.clients[client].outstanding == 0 && self.core.is_some();
        if !idle || self.plan.operations == 0 || self.healed {
            return;
        }
        self.plan.operations -= 1;
        let living = self.living();
        let schema = self.plan.schema_percent;
        match self.generator.random.choice(&living).copied() {
            Some(collection) if !self.chance(schema) => {
                let read = self.plan.read_percent;
                if self.chance(read) {
                    self.begin_read(client, collection);
                } else {
                    self.write_burst(client, collection);
                }
            }
            any => self.schema_write(client, any),
        }
        self.client_thinks(client);
    }

    fn living(&self) -> Vec<RealId> {
        let core = self.core.iter();
        core.flat_map(|core| core.catalog().all_living()).map(|found| found.id.0).collect()
    }

    fn write_burst(&mut self, client: usize, collection: RealId) {
        let count = self.random.usize(1..=self.plan.burst);
        let one_kind = self.random.bool().then(|| self.random.choice([Kind::Add, Kind::Upsert]));
        for _ in 0..count {
            let dimension = if self.chance(self.plan.flawed_percent) { 3 } else { DIMENSION };
            let mut request = match one_kind.flatten() {
                Some(kind) => self.generator.write(collection, kind, dimension),
                None => self.generator.record_write(collection, dimension),
            };
            let deadly = self.plan.deadly_percent;
            if let Request::Write { parts, .. } = &mut request
                && self.chance(deadly)
            {
                poison(parts, &mut self.random);
            }
            let op = record_op(&request, self.plan.gullible);
            self.accept_in(client, lane_of(collection), op, request);
        }
    }

    fn schema_write(&mut self, client: usize, collection: Option<RealId>) {
        let second = self.plan.databases && self.random.bool();
        let database = if second { SECOND } else { DEFAULT_DATABASE }.to_owned();
        let name = format!("name{}", self.random.u8(..4));
        match (self.random.u8(..12), collection) {
            (0..3, Some(collection)) => {
                let new_name = self.chance(80).then_some(name);
                let new_metadata = self.chance(40).then(|| self.generator.collection_metadata());
                let op = Op::ModifyCollection { new_name: new_name.clone() };
                let request = Request::ModifyCollection { collection, new_name, new_metadata };
                self.accept_in(client, lane_of(collection), op, request);
            }
            (3..6, Some(collection)) => self.drop_collection(Some(client), collection),
            (6..8, _) if second => self.database_write(client),
            _ => self.create(client, database, name),
        }
    }

    fn create(&mut self, client: usize, database: String, name: String) {
        let get_or_create = self.random.bool();
        let catalog = self.core.as_ref().map(Core::catalog);
        let known = catalog.is_some_and(|catalog| catalog.by_name(TENANT, &database, &name).is_some());
        if get_or_create && known {
            return;
        }
        self.count("collections");
        let id = u128::from(self.counters["collections"]);
        let metadata = self.chance(30).then(|| self.generator.collection_metadata());
        let op = Op::CreateCollection {
            tenant: TENANT.to_owned(),
            database: database.clone(),
            name: name.clone(),
            get_or_create,
        };
        let request = Request::CreateCollection { database, name, metadata, get_or_create };
        self.accept_in(client, lane_of(id), op, request);
    }

    pub(crate) fn drop_collection(&mut self, client: Option<usize>, collection: RealId) {
        let catalog = self.core.as_ref().map(Core::catalog);
        let Some(known) = catalog.and_then(|catalog| catalog.living(CollectionId(collection))) else {
            return;
        };
        let (database, name) = (known.database.clone(), known.name.clone());
        let (lane, request) = (lane_of(collection), Request::DropCollection { database, name });
        if let Some(client) = client {
            self.accept_in(client, lane, Op::DropCollection, request);
        } else {
            // A part of something larger has no sender.
            let head = EntryHead { transaction: None, ..self.head(lane, Op::DropCollection) };
            _ = self.accept(None, head, request);
        }
    }

    /// A database is dropped after its collections.
    fn database_write(&mut self, client: usize) {
        let database = SECOND.to_owned();
        let lane = Lane::Database { tenant: TENANT.to_owned(), database: database.clone() };
        if self.chance(70) {
            return self.accept_in(client, lane, Op::CreateDatabase, Request::CreateDatabase { database });
        }
        let catalog = self.core.iter().map(Core::catalog);
        let inside = catalog.flat_map(|catalog| catalog.collections(TENANT, SECOND));
        let inside: Vec<RealId> = inside.map(|(_, id)| id.0).collect();
        for collection in inside {
            self.drop_collection(None, collection);
        }
        self.accept_in(client, lane, Op::DropDatabase, Request::DropDatabase { database });
    }

    fn accept_in(&mut self, client: usize, lane: Lane, op: Op, request: Request) {
        let head = self.head(lane, op);
        let waits = !self.chance(self.plan.async_percent);
        let lsn = self.accept(waits.then_some(client), head, request);
        if self.chance(self.plan.cancel_percent) {
            let longest_ms = [1, 20, 500][self.random.usize(..3)];
            let delay_ms = self.random.u64(..=longest_ms);
            self.after(delay_ms, Happening::Cancel(lsn));
        }
    }

    /// A sender takes its write back. After a restart it may be that of another, which makes no difference.
    pub(crate) fn cancel(&mut self, lsn: Lsn) {
        let logged = self.log.facts.entries.get(&lsn);
        if let Some(lane) = logged.map(|(head, _)| head.lane.clone()) {
            self.feed(Event::Cancel { lane, lsn });
        }
    }

    fn head(&mut self, lane: Lane, op: Op) -> EntryHead {
        self.count("writes");
        let id = format!("t{}", self.counters["writes"]);
        let body_bytes = match &op {
            Op::Records(write) => 50 + 30 * u64::from(write.count),
            _ => 60,
        };
        let transaction = Transaction {
            id,
            fingerprint: 0,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            accepted_ms: self.now_ms,
        };
        EntryHead { lane, op, transaction: Some(transaction), body_bytes }
    }

    fn begin_read(&mut self, client: usize, collection: RealId) {
        let look = match (self.random.u8(..8), self.looks.get(&collection)) {
            (0..4, Some(again)) => again.clone(),
            (0 | 1, _) => Look::Description,
            (2..6, _) => Look::Ids(self.generator.ids(1)),
            _ => Look::Whole,
        };
        self.looks.insert(collection, look.clone());
        let ids = match &look {
            Look::Ids(ids) => Some(hashes(ids)),
            Look::Whole | Look::Description => None,
        };
        let scope = ReadScope::Collection { id: CollectionId(collection), ids };
        let board = self.plan.board_percent;
        let kept = if self.chance(board) { self.kept(collection, &look) } else { None };
        let level = match self.random.u8(..2) {
            _ if kept.is_some() || !self.chance(self.plan.weak_percent) => Level::Strong,
            0 => Level::Any,
            _ => Level::Bounded { max_lag_ms: self.random.u64(..=self.plan.longest_lag_ms) },
        };
        let began = match level {
            Level::Strong => self.history.begin(collection, look),
            Level::Bounded { .. } | Level::Any => History::begin_weak(collection, look),
        };
        self.clients[client].outstanding += 1;
        let pending =
            PendingRead { client, began, scope, level, tries: 0, stamp: None, copy: None, kills: false };
        match kept {
            Some(shown) => self.shown(&pending, &shown),
            None => self.ask_for_instance(pending),
        }
    }

    fn ask_for_instance(&mut self, mut pending: PendingRead) {
        self.count("reads");
        let read = ReadId(self.counters["reads"]);
        let (scope, level) = (pending.scope.clone(), pending.level);
        let board = self.plan.board_percent;
        let on_board = if self.chance(board) { self.on_the_board(pending.began.collection) } else { None };
        pending.stamp = on_board.as_ref().map(|(_, stamp)| *stamp);
        self.reads.insert(read, pending);
        match on_board {
            Some((current, _)) => self.read_from(read, &current, &[]),
            None => self.feed(Event::Read { read, scope, level }),
        }
    }

    pub(crate) fn read_from(&mut self, read: ReadId, quiet: &[InstanceId], busy: &[InstanceId]) {
        let only_quiet = !quiet.is_empty() && !self.chance(self.plan.busy_percent);
        let choices = if only_quiet { quiet.to_vec() } else { [quiet, busy].concat() };
        let instance = choices[self.random.usize(..choices.len())];
        if busy.contains(&instance) && !self.healed && self.chance(self.plan.kill_percent) {
            self.kill_after(read);
        }
        assert!(self.servers[instance.index()].told_up, "I6: {instance:?} is not up, and is to be read");
        self.bind_bounded(read);
        let pending = &self.reads[&read];
        let id = CollectionId(pending.began.collection);
        let catalog = self.core.as_ref().map(Core::catalog);
        let Some(living) = catalog.and_then(|catalog| catalog.living(id)) else {
            return self.read_ends(read, None, &Shown::Gone);
        };
        let collection = living.real_ids.get(&instance).copied();
        let collection =
            collection.unwrap_or_else(|| panic!("I6: {instance:?} lacks {id}, and is to be read"));
        let look = pending.began.look.clone();
        self.reads.entry(read).and_modify(|pending| pending.copy = Some(collection));
        let request = match &look {
            Look::Description => Request::DescribeById { database: String::new(), collection },
            Look::Whole => get(collection, None),
            Look::Ids(ids) => get(collection, Some(ids.clone())),
        };
        self.call(instance.index(), request, Purpose::Read(read));
    }

    /// A bounded read gets its instance, and must show what was decided long enough ago.
    fn bind_bounded(&mut self, read: ReadId) {
        if let Some(pending) = self.reads.get_mut(&read)
            && let Level::Bounded { max_lag_ms } = pending.level
        {
            let old_ms = self.now_ms.saturating_sub(max_lag_ms);
            pending.began.floor = self.decided.before(pending.began.collection, old_ms);
        }
    }

    /// What the read shows may be decided only after a restart.
    fn kill_after(&mut self, read: ReadId) {
        if let Some(pending) = self.reads.get_mut(&read) {
            pending.kills = true;
        }
    }

    pub(crate) fn read_refused(&mut self, read: ReadId) {
        self.count("reads refused");
        if let Some(pending) = self.reads.remove(&read) {
            self.clients[pending.client].outstanding -= 1;
            self.client_thinks(pending.client);
        }
    }

    pub(crate) fn read_answered(&mut self, read: ReadId, server: usize, end: End) {
        let shown = match end {
            End::Answered(Response::Records(records)) => Shown::Records(records),
            // It is copied again here meanwhile.
            End::Answered(Response::Collection(found)) if is_put_aside(&found.name) => {
                return self.read_tries_again(read);
            }
            End::Answered(Response::Collection(found)) => {
                Shown::Description(self.name_of(read, found.name), found.metadata)
            }
            End::Answered(Response::Refused { status: 404, .. }) => Shown::Gone,
            End::Answered(Response::Refused { reason, .. }) if reason == BROKEN_INDEX => {
                self.count("broken reads");
                let pending = &self.reads[&read];
                self.report_broken(server, pending.began.collection, pending.copy);
                return self.read_tries_again(read);
            }
            End::Answered(other) => panic!("a read got {other:?}"),
            End::Lost | End::Refused => {
                self.recheck(server);
                return self.read_tries_again(read);
            }
        };
        self.read_ends(read, Some(server), &shown);
    }

    /// An instance gave no answer to a read.
    fn read_tries_again(&mut self, read: ReadId) {
        let Some(mut pending) = self.reads.remove(&read) else {
            return;
        };
        pending.tries += 1;
        if pending.tries < TRIES {
            return self.ask_for_instance(pending);
        }
        self.reads.insert(read, pending);
        self.read_refused(read);
    }

    /// A collection that is being dropped has a name of ours for a moment; its clients see the old one.
    fn name_of(&self, read: ReadId, found: String) -> String {
        let catalog = self.core.as_ref().map(Core::catalog);
        let id = CollectionId(self.reads[&read].began.collection);
        match catalog.and_then(|catalog| catalog.known(id)) {
            Some(known) if is_grave(&found) => known.name.clone(),
            _ => found,
        }
    }

    fn read_ends(&mut self, read: ReadId, server: Option<usize>, shown: &Shown) {
        let Some(pending) = self.reads.remove(&read) else {
            return;
        };
        if let Some(server) = server.map(instance) {
            let asked = (pending.began.collection, &pending.began.look);
            let exact = pending.stamp.is_some_and(|stamp| self.is_confirmed(asked, stamp, server, shown));
            if !exact && pending.level == Level::Strong {
                self.feed(Event::ReadEnded { instance: server, scope: pending.scope.clone() });
            }
        }
        self.shown(&pending, shown);
    }

    /// A client has its answer.
    fn shown(&mut self, pending: &PendingRead, shown: &Shown) {
        let strong = pending.level == Level::Strong;
        let own = self.log.facts.lanes.get(&lane_of(pending.began.collection));
        let own: Vec<Lsn> = own.into_iter().flatten().copied().collect();
        self.trace(|_| format!("SHOWN {:?}: {shown:?}", pending.began));
        self.count(if strong { "strong reads" } else { "weak reads" });
        if self.spoilt.contains(&lane_of(pending.began.collection)) {
            return self.read_done(pending.client);
        }
        let position = pending.began.explain(shown, &own, &self.reference);
        if strong {
            self.history.acknowledged(pending.began.collection, position);
        }
        if pending.kills {
            let for_ms = self.random.u64(1..20);
            self.after(1, Happening::Fault(Fault::Isochrome { for_ms }));
        }
        self.read_done(pending.client);
    }

    fn read_done(&mut self, client: usize) {
        self.clients[client].outstanding -= 1;
        self.client_thinks(client);
    }
}
