//! A suspect goes to a scratch collection first.

use isochrome::replication::event::{Delivery, DeliveryOutcome};
use isochrome::wal::record::Answer;

use crate::courier::Stage;
use crate::model::{Kind, RealId, Request, Response};
use crate::server::End;
use crate::world::World;

/// The database of the scratch collection.
pub(crate) const SYSTEM: &str = "isochrome_system";
const SCRATCH: &str = "rehearsal";
/// Indefinite answers that tell of the request and not of the server.
const TRIES: u8 = 3;

/// What comes after the scratch collection is gone.
#[derive(Debug)]
pub(crate) enum Then {
    /// For so many times already.
    Try(u8),
    /// The server may take no write, or only not this one.
    Compare(Answer),
    Send,
}

#[derive(Debug)]
pub(crate) enum Rehearsal {
    Clear(Then),
    Make(Then),
    /// A harmless write shows that the server writes.
    Canary(Then, RealId),
    Try(u8),
}

type Next = Result<(Stage, Request), DeliveryOutcome>;

impl Rehearsal {
    pub(crate) fn begins() -> (Stage, Request) {
        clear(Then::Try(0))
    }

    fn with(self, request: Request) -> (Stage, Request) {
        (Stage::Rehearsal(self), request)
    }
}

fn clear(then: Then) -> (Stage, Request) {
    let (database, name) = (SYSTEM.to_owned(), SCRATCH.to_owned());
    Rehearsal::Clear(then).with(Request::DropCollection { database, name })
}

fn not_executed(refused: bool) -> DeliveryOutcome {
    DeliveryOutcome::NotExecuted { detail: "no rehearsal came about".to_owned(), refused }
}

impl World {
    pub(crate) fn rehearsal_goes_on(&mut self, delivery: &Delivery, rehearsal: Rehearsal, end: End) -> Next {
        let response = match (end, &rehearsal) {
            (End::Answered(response), _) => response,
            (End::Lost, Rehearsal::Try(_)) => {
                return Err(DeliveryOutcome::Rehearsal { detail: "lost".to_owned(), answer: None });
            }
            _ => return Err(not_executed(true)),
        };
        Ok(match (rehearsal, response) {
            (Rehearsal::Clear(Then::Send), _) => (Stage::First, self.first_request(delivery)),
            (Rehearsal::Clear(then), _) => {
                let (database, name) = (SYSTEM.to_owned(), SCRATCH.to_owned());
                let metadata = None;
                Rehearsal::Make(then).with(Request::CreateCollection {
                    database,
                    name,
                    metadata,
                    get_or_create: false,
                })
            }
            (Rehearsal::Make(then), Response::Collection(made)) => Rehearsal::Canary(then, made.id)
                .with(Request::Write { collection: made.id, kind: Kind::Update, parts: Vec::new() }),
            (Rehearsal::Canary(..), response) if response.is_refused() => return Err(not_executed(true)),
            (Rehearsal::Canary(Then::Compare(answer), _), _) => {
                let detail = "it takes others".to_owned();
                return Err(DeliveryOutcome::Rehearsal { detail, answer: Some(answer) });
            }
            (Rehearsal::Canary(Then::Try(times), scratch), _) => {
                let request = in_scratch(self.first_request(delivery), scratch);
                Rehearsal::Try(times + 1).with(request)
            }
            (Rehearsal::Try(times), Response::Refused { status: 500, reason }) => {
                let answer = Answer { status: 500, body: reason.clone().into_bytes() };
                if reason.contains("sending message to compactor") {
                    return Err(DeliveryOutcome::Rehearsal { detail: reason, answer: Some(answer) });
                }
                clear(if times < TRIES { Then::Try(times) } else { Then::Compare(answer) })
            }
            (Rehearsal::Try(_), _) => clear(Then::Send),
            (rehearsal, response) => panic!("{rehearsal:?} got {response:?}"),
        })
    }
}

fn in_scratch(request: Request, scratch: RealId) -> Request {
    match request {
        Request::Write { kind, parts, .. } => Request::Write { collection: scratch, kind, parts },
        Request::Delete { ids, filter, limit, .. } => {
            Request::Delete { collection: scratch, ids, filter, limit }
        }
        other => panic!("{other:?} is not rehearsed"),
    }
}
