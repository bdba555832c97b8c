//! A read, tried until an instance has answered it.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::attempt::{Attempt, attempt};
use super::choose::choose;
use super::list::Listed;
use super::relay::{Relay, Rest};
use crate::chroma::ids::InstanceId;
use crate::chroma::path;
use crate::chroma::route::RecordOp;
use crate::gateway::admission;
use crate::gateway::answer::{Code, Refusal};
use crate::gateway::entry::Received;
use crate::gateway::headers::{INSTANCE, TRACE_ID};
use crate::gateway::resolve::Target;
use crate::gateway::state::AppState;
use crate::replication::board::Stamp;
use crate::replication::event::{Level, ReadScope, RefusedRead};

/// Answers up to this size are held whole, so that a broken one can be asked for elsewhere.
pub(super) const HOLD_BYTES: usize = 256 * 1024;
/// See [`Forward::patience`]. An instance may be busy with itself, or show a collection that is half dropped.
pub(super) const PATIENCE: u32 = 6;
/// First and longest pause when every instance that may answer was tried.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Where on an instance a read goes.
#[derive(Clone, Debug)]
pub(super) enum Where {
    /// The path that the client sent.
    AsSent,
    /// A place where nothing is: what is asked there changes nothing, and only its form is judged.
    Nowhere { path: String },
    /// The list of a database's collections.
    List { path: String },
    /// A collection's description.
    Description { target: Target },
    /// Something under a collection.
    Collection { target: Target, rest: String },
}

/// What the answer must be.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Anything,
    /// A collection's description, whose id is ours to replace.
    Description,
    /// A list that holds what the catalog holds.
    List(Listed),
}

/// Which reads are alike.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alike {
    /// Those with the same path, query and body.
    Requests,
    /// All with the same scope.
    Scope,
    /// Those with the same scope, operation and body.
    Questions(RecordOp),
}

/// A read as it goes to an instance.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    pub(super) method: Method,
    pub(super) place: Where,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) scope: ReadScope,
    pub(super) level: Level,
    /// Reads that are alike go to the same instance while they can.
    pub(super) alike: Alike,
    pub(super) expected: Expected,
    /// Answers up to this size are held whole.
    pub(super) hold_bytes: usize,
    /// How often all instances are asked again before an answer that decides nothing is taken for the answer.
    pub(super) patience: u32,
}

/// An instance's answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) instance: InstanceId,
    pub(super) status: StatusCode,
    /// Those that pass.
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
    /// The state of the collection that it shows, where that is known. Until the read ends: what it was asked for.
    pub(super) stamp: Option<Stamp>,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    /// All of it; the read has ended.
    Whole(Bytes),
    /// Too large to hold; it goes through as it comes.
    Rest(Box<Rest>),
}

/// Asks instances until one has answered.
pub(super) async fn forward(app: &AppState, what: &Forward, request: &Received) -> Result<Answered, Refusal> {
    let mut answered = ask_around(app, what, request).await?;
    if let Content::Whole(_) = answered.content {
        // A relayed answer tells its end itself.
        answered.stamp =
            app.replication.read_ended(answered.instance, &what.scope, what.level, answered.stamp);
    }
    Ok(answered)
}

async fn ask_around(app: &AppState, what: &Forward, request: &Received) -> Result<Answered, Refusal> {
    app.retries.deposit();
    let mut tries = Tries::new(app.settings().read_wait, what.patience);
    loop {
        let permit = match app.replication.read_permit(&what.scope, what.level).await {
            Ok(permit) => permit,
            Err(refused) => return tries.last.ok_or_else(|| refuse(refused)),
        };
        let offer = |id: InstanceId| app.replication.instances()[id.index()].turns.offer();
        let Some(instance) = choose(&permit, || what.key(request), &tries.tried, offer) else {
            if tries.are_over() {
                return tries.give_up();
            }
            tries.start_again().await;
            continue;
        };
        if tries.begun && !app.retries.withdraw() {
            if tries.are_over() {
                return tries.give_up();
            }
            tries.pause().await;
            continue;
        }
        if tries.begun {
            app.replication.instances()[instance.index()].turns.repeats();
        }
        tries.begun = true;
        match attempt(app, what, (instance, permit.stamp), request).await {
            Attempt::Answered(answered) => return Ok(answered),
            Attempt::Refused(error) => return Err(error.into()),
            Attempt::Indefinite(answered) => tries.failed(instance, Err(answered)),
            Attempt::Failed(why) => tries.failed(instance, Ok(why)),
        }
    }
}

fn refuse(refused: RefusedRead) -> Refusal {
    match refused {
        RefusedRead::NoInstance => {
            Refusal::unavailable(Code::NoInstance, "No Chroma instance is available; try again later")
        }
        RefusedRead::NotCaughtUp => Refusal::unavailable(
            Code::NotCaughtUp,
            "No available instance has applied all acknowledged writes yet; try again later",
        ),
    }
}

/// What was tried so far.
struct Tries {
    until: Instant,
    /// An instance was asked: the next time is a repetition.
    begun: bool,
    tried: Vec<InstanceId>,
    pause: Duration,
    patience: u32,
    /// An answer that decides nothing, to be given where nobody has a better one.
    last: Option<Answered>,
    /// Why the last one gave no answer.
    why: Option<String>,
}

impl Tries {
    fn new(wait: Duration, patience: u32) -> Self {
        Self {
            until: Instant::now() + wait,
            begun: false,
            tried: Vec::new(),
            pause: PAUSE.0,
            patience,
            last: None,
            why: None,
        }
    }

    /// What every eligible instance answers again and again is the answer; and there is an end to waiting.
    fn are_over(&self) -> bool {
        (self.last.is_some() && self.patience == 0) || Instant::now() >= self.until
    }

    /// All were tried: after a pause all may be asked again.
    async fn start_again(&mut self) {
        self.pause().await;
        self.patience = self.patience.saturating_sub(1);
        self.tried.clear();
    }

    async fn pause(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
    }

    fn failed(&mut self, instance: InstanceId, how: Result<String, Answered>) {
        self.tried.push(instance);
        match how {
            Ok(why) => {
                tracing::debug!(instance = instance.0, why, "a read got no answer");
                self.why = Some(why);
            }
            Err(answered) => self.last = Some(answered),
        }
    }

    fn give_up(self) -> Result<Answered, Refusal> {
        self.last.ok_or_else(|| {
            let why = self.why.as_deref().unwrap_or("no instance was asked");
            Refusal::unavailable(Code::NoAnswer, format!("No instance answered the read: {why}"))
        })
    }
}

/// Says whose answer it is.
pub(super) fn name_instance(app: &AppState, response: &mut Response, instance: InstanceId) {
    let instance = app.replication.instances().get(instance.index());
    if let Some(label) = instance.and_then(|instance| instance.label.clone()) {
        response.headers_mut().insert(INSTANCE, label);
    }
}

impl Forward {
    /// The same number for reads that are alike.
    fn key(&self, request: &Received) -> u64 {
        let scope = match &self.scope {
            ReadScope::Constant => 0,
            ReadScope::Collection { id, .. } => xxh3_64(&id.0.to_le_bytes()),
            ReadScope::Database { tenant, database } => {
                xxh3_64_with_seed(database.as_bytes(), xxh3_64(tenant.as_bytes()))
            }
        };
        let asked = match self.alike {
            Alike::Scope => return scope,
            Alike::Requests => request.path_and_query(),
            Alike::Questions(op) => op.segment(),
        };
        xxh3_64_with_seed(&request.body, xxh3_64_with_seed(asked.as_bytes(), scope))
    }
}

impl Where {
    /// The collection that the read is about.
    pub(super) fn target(&self) -> Option<&Target> {
        match self {
            Self::AsSent | Self::Nowhere { .. } | Self::List { .. } => None,
            Self::Description { target } | Self::Collection { target, .. } => Some(target),
        }
    }

    /// The path on an instance that knows the collection under `real_id`.
    pub(super) fn path(&self, as_sent: &str, real_id: Uuid) -> String {
        match self {
            Self::AsSent => as_sent.to_owned(),
            Self::Nowhere { path } | Self::List { path } => path.clone(),
            Self::Description { target } => {
                format!("{}/by-id/{real_id}", path::collections(&target.tenant, &target.database))
            }
            Self::Collection { target, rest } => {
                path::under(path::collection(&target.tenant, &target.database, real_id), [rest.as_str()])
            }
        }
    }
}

impl Answered {
    /// Status and body, where the body is held.
    pub(super) fn into_whole(self) -> Result<(u16, Bytes), Refusal> {
        match self.content {
            Content::Whole(body) => Ok((self.status.as_u16(), body)),
            Content::Rest(_) => Err(Refusal::unavailable(Code::NoAnswer, "The answer was too large to hold")),
        }
    }

    /// The response. A relayed one keeps its place until it has ended.
    pub(super) fn into_response(self, app: &AppState, place: admission::Place) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        name_instance(app, &mut response, self.instance);
        *response.body_mut() = match self.content {
            Content::Whole(body) => Body::from(body),
            Content::Rest(rest) => Body::new(Relay::new(*rest, place)),
        };
        response
    }

    /// The same answer with another body.
    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.headers.remove(header::CONTENT_LENGTH);
        self.content = Content::Whole(body.into());
        self
    }

    /// True where Chroma itself marked it as an error.
    pub(super) fn is_error(&self) -> bool {
        self.status.as_u16() >= 400 || self.headers.contains_key(TRACE_ID)
    }
}
