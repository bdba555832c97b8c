//! Reading the same of several instances while their copies of a collection stand at one position.
//!
//! Twice it is tried without disturbing anybody: the board tells before and after the reading whether anything moved
//! ([`crate::replication::board`]). Only then the collection is held, which lets its writes wait, for one reading.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::catalog::{Collection, DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::answers::{Asked, Meaning, classify};
use crate::chroma::ids::InstanceId;
use crate::chroma::path;
use crate::delivery::handle::Replication;
use crate::instances::client::Instance;
use crate::replication::hold::NotHeld;
use crate::wal::record::{Lane, Lsn};

/// Readings that are tried without a hold.
const FREE_TRIES: u32 = 2;
/// How long the writes of a collection wait at most for one reading, and for the reading of all its ids.
const HOLD: Duration = Duration::from_secs(2);
const HOLD_FOR_IDS: Duration = Duration::from_secs(10);
/// How long a reading may take that nobody waits for.
const FREE: Duration = Duration::from_secs(60);
/// How long an instance is waited for that does not take requests at the moment, and one that is behind.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_WITH_LAG: Duration = Duration::from_secs(120);
/// Pauses between holds that were not had grow to this.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Writes that an instance may be behind when a hold is asked for, so that the hold need not wait long.
const MAX_BEHIND: usize = 200;
/// The largest answer of several records that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What is read.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Description,
    /// All ids, in the collection's order.
    Ids,
    /// Everything of these records.
    Records(Vec<String>),
}

/// Whether a reading without a hold will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Either,
    Held,
}

/// What the instances answered, all at one position.
#[derive(Debug)]
pub(super) struct Answers {
    pub position: Lsn,
    pub was_held: bool,
    pub of: Vec<(InstanceId, Bytes)>,
}

/// Why there are no answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The collection was dropped.
    Gone,
    /// Fewer records must be asked for at once.
    TooLarge,
    /// This instance can't be asked, and the others can.
    Without {
        instance: InstanceId,
        why: String,
    },
    /// This instance does not know the collection.
    Lacks {
        instance: InstanceId,
    },
    /// This instance's copy can't be read, and `why`.
    Broken {
        instance: InstanceId,
        why: String,
    },
    Never {
        why: String,
    },
}

/// Reads one collection.
pub(super) struct Reader<'a> {
    pub replication: &'a Replication,
    pub collection: &'a Collection,
    /// Those that are read; the first is the reference.
    pub instances: Vec<InstanceId>,
}

impl Reader<'_> {
    /// Asks all instances at one position.
    ///
    /// # Errors
    /// [`Stop`] tells why not.
    pub async fn ask(&self, question: &Question, need: Need) -> Result<Answers, Stop> {
        if need == Need::Either {
            for _ in 0..FREE_TRIES {
                if let Some(answers) = self.ask_freely(question).await? {
                    return Ok(answers);
                }
            }
        }
        let deadline = Instant::now() + PATIENCE_WITH_LAG;
        let mut lost_since = None;
        let mut pause = Duration::from_millis(20);
        loop {
            let last_try = Instant::now() >= deadline;
            match self.ask_held(question).await {
                Err(NotHeld::Gone) => return Err(Stop::Gone),
                Err(NotHeld::Lost { instance }) => {
                    let since = *lost_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE || !self.may_return(instance).await {
                        let why = self.why_lost(instance).await;
                        return Err(Stop::Without { instance, why });
                    }
                }
                Err(NotHeld::Busy | NotHeld::Expired) if last_try => {
                    let why = "it did not stand still long enough to be read".to_owned();
                    return Err(Stop::Never { why });
                }
                Err(NotHeld::Busy | NotHeld::Expired) => lost_since = None,
                Ok(done) => return done,
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            self.await_nearness(deadline).await;
        }
    }

    /// `None` where something moved, or an instance gave no answer: nothing can be said.
    async fn ask_freely(&self, question: &Question) -> Result<Option<Answers>, Stop> {
        let board = self.replication.board();
        let id = self.collection.id;
        let Some(standing) = board.standing(id) else { return Ok(None) };
        let current = standing.current.and(board.up());
        if !self.instances.iter().all(|instance| current.contains(*instance)) {
            return Ok(None);
        }
        let of = match timeout(FREE, self.ask_all(question)).await {
            Ok(Ok(of)) => of,
            Ok(Err(Stop::TooLarge)) => return Err(Stop::TooLarge),
            Ok(Err(_)) | Err(_) => return Ok(None),
        };
        let confirmed = of.iter().all(|(instance, _)| board.confirms(id, standing.stamp, *instance));
        let position = standing.stamp.position();
        Ok(confirmed.then_some(Answers { position, was_held: false, of }))
    }

    async fn ask_held(&self, question: &Question) -> Result<Result<Answers, Stop>, NotHeld> {
        let at_most = if matches!(question, Question::Ids) { HOLD_FOR_IDS } else { HOLD };
        let lane = Lane::Collection(self.collection.id);
        let held = self.replication.hold(lane, self.instances.clone(), at_most).await?;
        let position = held.position;
        let answered = timeout(at_most, self.ask_all(question)).await;
        if !held.release().await {
            return Err(NotHeld::Expired);
        }
        let answered = answered.map_err(|_| NotHeld::Expired)?;
        Ok(answered.map(|of| Answers { position, was_held: true, of }))
    }

    /// Asks all instances at once, at whatever position they are.
    pub async fn ask_all(&self, question: &Question) -> Result<Vec<(InstanceId, Bytes)>, Stop> {
        let mut asked = JoinSet::new();
        for (place, instance) in self.instances.iter().enumerate() {
            let there = std::sync::Arc::clone(&self.replication.instances()[instance.index()]);
            let Some(request) = self.request(question, *instance) else {
                return Err(Stop::Without { instance: *instance, why: "it has no copy yet".to_owned() });
            };
            let most_bytes = match question {
                Question::Records(ids) if ids.len() > 1 => MAX_ANSWER_BYTES,
                _ => usize::MAX,
            };
            asked.spawn(async move { (place, answer(&there, request, most_bytes).await) });
        }
        let mut answers = Vec::new();
        while let Some(ended) = asked.join_next().await {
            let (place, answer) = ended.map_err(|error| Stop::Never { why: error.to_string() })?;
            answers.push((place, self.instances[place], answer?));
        }
        answers.sort_unstable_by_key(|(place, ..)| *place);
        Ok(answers.into_iter().map(|(_, instance, bytes)| (instance, bytes)).collect())
    }

    fn request(&self, question: &Question, instance: InstanceId) -> Option<Request<Full<Bytes>>> {
        let Collection { tenant, database, .. } = self.collection;
        let real_id = Uuid::from_u128(*self.collection.real_ids.get(&instance)?);
        let get = || format!("{}/get", path::collection(DEFAULT_TENANT, DEFAULT_DATABASE, real_id));
        let (method, path, body) = match question {
            Question::Description => {
                (Method::GET, format!("{}/by-id/{real_id}", path::collections(tenant, database)), Vec::new())
            }
            Question::Ids => (Method::POST, get(), br#"{"include":[]}"#.to_vec()),
            Question::Records(ids) => (Method::POST, get(), crate::chroma::requests::get_records_body(ids)),
        };
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        request.body(Full::new(Bytes::from(body))).ok()
    }

    /// False where waiting for an instance makes no sense: a copy that contradicts the verdicts stays out.
    async fn may_return(&self, instance: InstanceId) -> bool {
        !self.replication.board().up().contains(instance) || self.divergence(instance).await.is_none()
    }

    async fn why_lost(&self, instance: InstanceId) -> String {
        if let Some(reason) = self.divergence(instance).await {
            return format!("its copy is divergent: {reason}");
        }
        let view = self.replication.view().await;
        let there = view.and_then(|view| view.instances.into_iter().find(|one| one.instance == instance));
        format!("it is {}", there.map_or("stopping", |there| there.state))
    }

    async fn divergence(&self, instance: InstanceId) -> Option<String> {
        self.replication.divergence(Lane::Collection(self.collection.id), instance).await
    }

    /// Waits until no instance is far behind, so that a hold need not wait for it.
    async fn await_nearness(&self, deadline: Instant) {
        while Instant::now() < deadline {
            let Some(view) = self.replication.view().await else { return };
            let asked = view.instances.iter().filter(|there| self.instances.contains(&there.instance));
            let mut lagging = asked.filter(|there| there.state == "up" && there.pending > MAX_BEHIND);
            if lagging.next().is_none() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Sends a read and takes in a bounded answer.
async fn answer(
    instance: &Instance,
    request: Request<Full<Bytes>>,
    most_bytes: usize,
) -> Result<Bytes, Stop> {
    let without = |why: String| Stop::Without { instance: instance.id, why };
    let response = instance.forward(request).await.map_err(|error| without(error.detail))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), most_bytes).collect().await;
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(Stop::TooLarge),
        Err(error) => return Err(without(error.to_string())),
    };
    match status {
        200 => Ok(body),
        404 => Err(Stop::Lacks { instance: instance.id }),
        status => {
            let text: String = String::from_utf8_lossy(&body).chars().take(300).collect();
            let why = format!("it answered {status} {text}");
            Err(if is_unreadable(status, &body) {
                Stop::Broken { instance: instance.id, why }
            } else {
                without(why)
            })
        }
    }
}

/// True where a copy's index does not load, or, as nothing of it is written meanwhile, misses vectors of its records.
fn is_unreadable(status: u16, body: &[u8]) -> bool {
    let misses =
        || String::from_utf8_lossy(body).contains("Error executing plan: Internal error: Error finding id");
    classify(Asked::Read, status, body) == Meaning::BrokenIndex || (status == 500 && misses())
}
