//! One try of a read at one instance.

use bytes::Bytes;
use http::header;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::sync::watch;
use uuid::Uuid;

use super::forward::{Answered, Content, Expected, Forward};
use super::list;
use super::relay::{EndOfRead, Rest};
use crate::chroma::answers::{Asked, Meaning, classify};
use crate::chroma::error::ApiError;
use crate::chroma::ids::InstanceId;
use crate::chroma::requests::is_passing_name;
use crate::chroma::rewrite::{collection_name_and_dimension, collection_with_id, mend_message};
use crate::gateway::entry::Received;
use crate::gateway::headers;
use crate::gateway::resolve::Target;
use crate::gateway::state::AppState;
use crate::instances::breaker::Ended;
use crate::instances::client::Instance;
use crate::replication::board::Stamp;
use crate::replication::event::Level;

/// How a try ended.
pub(super) enum Attempt {
    Answered(Answered),
    /// Not an answer to the question: another instance may have one.
    Indefinite(Answered),
    /// The collection is gone meanwhile.
    Refused(ApiError),
    /// No answer, and why.
    Failed(String),
}

/// Asks one instance, for the state with this stamp where one is known.
pub(super) async fn attempt(
    app: &AppState,
    what: &Forward,
    (instance, stamp): (InstanceId, Option<Stamp>),
    request: &Received,
) -> Attempt {
    let Some(there) = app.replication.instances().get(instance.index()) else {
        return Attempt::Failed(format!("there is no instance {}", instance.0));
    };
    let real_id = match real_id(app, what, instance) {
        Ok(real_id) => real_id,
        Err(NoCopy::Dropped(error)) => return Attempt::Refused(error),
        Err(NoCopy::Yet) => return Attempt::Failed("the collection has no copy there yet".to_owned()),
    };
    let to = match place_there(what, request, real_id) {
        Ok(to) => to,
        Err(error) => return Attempt::Failed(error.to_string()),
    };
    let turn = there.turns.begin();
    let asked = ask(app, what, (there, stamp), &to).await;
    turn.ended(how_it_ended(asked.as_ref().map(|answered| answered.status).ok()));
    app.counters.asked(instance, asked.is_ok());
    match asked {
        Ok(answered) => judge(app, what, answered, real_id).await,
        Err(why) => Attempt::Failed(format!("{}: {why}", there.name)),
    }
}

/// What the end of a read says about the whole instance. Other errors may be those of one collection.
fn how_it_ended(status: Option<StatusCode>) -> Ended {
    match status {
        None | Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => Ended::Failed,
        Some(_) => Ended::Answered,
    }
}

/// Why a collection can't be read at an instance.
enum NoCopy {
    Yet,
    Dropped(ApiError),
}

/// What the instance calls the collection that the read is about; nil where it is about none.
fn real_id(app: &AppState, what: &Forward, instance: InstanceId) -> Result<Uuid, NoCopy> {
    let Some(target) = what.place.target() else {
        return Ok(Uuid::nil());
    };
    app.replication.with_catalog(|catalog| match catalog.living(target.id) {
        None => Err(NoCopy::Dropped(gone(what, target))),
        Some(living) => living.real_ids.get(&instance).copied().map(Uuid::from_u128).ok_or(NoCopy::Yet),
    })
}

fn place_there(what: &Forward, request: &Received, real_id: Uuid) -> Result<Uri, http::Error> {
    let mut path = what.place.path(request.uri.path(), real_id);
    if let Some(query) = &what.query {
        path.push('?');
        path.push_str(query);
    }
    Ok(Uri::try_from(path)?)
}

fn build(what: &Forward, to: &Uri) -> Request<Full<Bytes>> {
    // The length of a held answer is told from its bytes, also to a HEAD.
    let method = if what.method == Method::HEAD { Method::GET } else { what.method.clone() };
    let mut sent = Request::new(Full::new(what.body.clone()));
    *sent.method_mut() = method;
    *sent.uri_mut() = to.clone();
    *sent.headers_mut() = what.headers.clone();
    sent
}

/// Sends the request, and holds the answer or its beginning. Given up when the instance becomes unavailable.
async fn ask(
    app: &AppState,
    what: &Forward,
    (there, stamp): (&Instance, Option<Stamp>),
    to: &Uri,
) -> Result<Answered, String> {
    let mut available = there.availability();
    let held = tokio::select! {
        held = there.read(|| build(what, to), what.hold_bytes) => held?,
        () = unavailable(&mut available) => return Err("it became unavailable".to_owned()),
    };
    let headers = headers::of_answer(held.headers);
    let content = match held.rest {
        None => Content::Whole(held.bytes),
        Some(rest) => Content::Rest(Box::new(Rest {
            beginning: Some(held.bytes),
            left: content_length(&headers),
            rest,
            available,
            end: EndOfRead::new(app.replication.clone(), there.id, what, stamp),
        })),
    };
    Ok(Answered { instance: there.id, status: held.status, headers, content, stamp })
}

/// Returns when the instance is not available.
pub(super) async fn unavailable(available: &mut watch::Receiver<bool>) {
    // An error means that the instance itself is gone, which ends the same way.
    _ = available.wait_for(|available| !available).await;
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What the answer is worth.
async fn judge(app: &AppState, what: &Forward, answered: Answered, real_id: Uuid) -> Attempt {
    let Content::Whole(body) = &answered.content else {
        return Attempt::Answered(answered);
    };
    let (status, body) = (answered.status.as_u16(), body.clone());
    if !answered.is_error() {
        return match (&what.expected, what.place.target()) {
            (Expected::Description, Some(target)) => described(app, what, answered, &body, target),
            (Expected::List(listed), _) => list::check(app, answered, &body, listed, what.level).await,
            _ => Attempt::Answered(answered),
        };
    }
    let Some(target) = what.place.target() else {
        return match classify(Asked::Read, status, &body) {
            Meaning::NotExecuted | Meaning::Doubt | Meaning::DeadWriter | Meaning::BrokenIndex => {
                Attempt::Indefinite(answered)
            }
            Meaning::Success | Meaning::Rejected | Meaning::StateLost => Attempt::Answered(answered),
        };
    };
    let meaning = classify(Asked::Read, status, &body);
    if meaning == Meaning::BrokenIndex {
        let reason = format!("a read got {status} {}", String::from_utf8_lossy(&body));
        let copy = real_id.as_u128();
        app.replication.report_broken_copy(answered.instance, target.id, copy, reason);
    }
    match meaning {
        Meaning::StateLost => missing(app, what, answered.instance, target, &body).await,
        Meaning::Success | Meaning::Rejected => {
            Attempt::Answered(answered.with_body(mend_message(&body, real_id, target.id)))
        }
        Meaning::NotExecuted | Meaning::Doubt | Meaning::DeadWriter | Meaning::BrokenIndex => {
            Attempt::Indefinite(answered.with_body(mend_message(&body, real_id, target.id)))
        }
    }
}

/// The instance does not know the collection. If the catalog does, that is no answer.
async fn missing(
    app: &AppState,
    what: &Forward,
    instance: InstanceId,
    target: &Target,
    body: &[u8],
) -> Attempt {
    if app.replication.with_catalog(|catalog| catalog.living(target.id).is_none()) {
        return Attempt::Refused(gone(what, target));
    }
    let detail = format!("a read of {} got {}", target.name, String::from_utf8_lossy(body));
    app.replication.report_lost_state(instance, target.id, detail.clone()).await;
    Attempt::Failed(detail)
}

fn gone(what: &Forward, target: &Target) -> ApiError {
    match what.expected {
        Expected::Description => ApiError::collection_not_found(&target.name),
        Expected::Anything | Expected::List(_) => ApiError::collection_id_not_found(target.id),
    }
}

/// A description with the public id. While a rename or a drop is under way its name may be one that no verdict has
/// confirmed yet; that is over in a moment, so it counts as no answer while there is time. A weaker read may show a
/// name that is not confirmed yet, or not any more, but never one that only we gave.
fn described(app: &AppState, what: &Forward, answered: Answered, body: &Bytes, target: &Target) -> Attempt {
    let named = collection_name_and_dimension(body).map(|(name, _)| name);
    let (Some(name), Some(mended)) = (named, collection_with_id(body, target.id)) else {
        return Attempt::Failed("the answer is no description of a collection".to_owned());
    };
    let answered = answered.with_body(mended);
    let confirmed = name == target.name
        || (what.level != Level::Strong && !is_passing_name(&name))
        || app.replication.with_catalog(|catalog| {
            catalog.living(target.id).is_some_and(|collection| collection.name == name)
        });
    if confirmed {
        Attempt::Answered(answered)
    } else if app.replication.with_catalog(|catalog| catalog.living(target.id).is_none()) {
        Attempt::Refused(ApiError::collection_not_found(&target.name))
    } else {
        Attempt::Failed(format!("{} is being renamed or dropped", target.name))
    }
}
