//! Answers to reads of records that may be given again: see [`crate::replication::results`].

use std::hash::{Hash, Hasher};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::forward::{Answered, Content, Forward, forward, name_instance};
use crate::chroma::ids::{CollectionId, InstanceId};
use crate::chroma::route::RecordOp;
use crate::gateway::answer::Refusal;
use crate::gateway::entry::Received;
use crate::gateway::headers::CACHE;
use crate::gateway::state::AppState;
use crate::replication::results::{Results, Weight};

/// The answers that are kept.
pub(in crate::gateway) type Kept = Results<Question, Reply>;

/// What was asked, as far as the answer depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Question {
    operation: &'static str,
    query: Option<String>,
    body: Bytes,
}

impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.operation.as_bytes());
        state.write(self.query.as_deref().unwrap_or("").as_bytes());
        state.write(&self.body);
    }
}

impl Weight for Question {
    fn bytes(&self) -> u64 {
        (self.query.as_ref().map_or(0, String::len) + self.body.len()) as u64
    }
}

/// What was answered, with 200.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Reply {
    /// Whose answer it was.
    instance: InstanceId,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl Weight for Reply {
    fn bytes(&self) -> u64 {
        self.body.len() as u64
    }
}

impl Reply {
    /// The same again, if it can be: all that Chroma says beside the body is its type.
    fn of(answered: &Answered) -> Option<Self> {
        let Content::Whole(body) = &answered.content else { return None };
        let plain = !answered.headers.contains_key(header::CONTENT_ENCODING);
        (answered.status == StatusCode::OK && plain).then(|| Self {
            instance: answered.instance,
            content_type: answered.headers.get(header::CONTENT_TYPE).cloned(),
            // The part of a larger buffer would keep all of it in memory.
            body: Bytes::copy_from_slice(body),
        })
    }

    fn response(self, app: &AppState) -> Response {
        let mut response = Response::new(Body::from(self.body));
        if let Some(content_type) = self.content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        name_instance(app, &mut response, self.instance);
        response.headers_mut().insert(CACHE, HeaderValue::from_static("hit"));
        response
    }
}

/// What an answer may be kept for; `None` where it is not to be kept.
fn question(what: &Forward, op: RecordOp) -> Option<Question> {
    let asked = match op {
        RecordOp::Count => what.method == Method::GET,
        RecordOp::Get | RecordOp::Query => what.method == Method::POST,
        _ => false,
    };
    asked.then(|| Question { operation: op.segment(), query: what.query.clone(), body: what.body.clone() })
}

/// Answers a read of a collection's records, by what was answered before where that is what an instance would say.
pub(super) async fn answer(
    app: &AppState,
    mut what: Forward,
    (collection, op): (CollectionId, RecordOp),
    request: Received,
) -> Result<Response, Refusal> {
    let question = if app.kept.is_on() { question(&what, op) } else { None };
    let Some(question) = question else {
        return Ok(forward(app, &what, &request).await?.into_response(app, request.place));
    };
    let standing = app.replication.board().standing(collection);
    if let Some(standing) = standing
        && let Some(reply) = app.kept.find(collection, &question, standing.stamp)
    {
        app.counters.cache_hit();
        return Ok(reply.response(app));
    }
    app.counters.cache_miss();
    // Others will get the same bytes, whatever they accept.
    what.headers.remove(header::ACCEPT_ENCODING);
    let answered = forward(app, &what, &request).await?;
    if let Some(stamp) = answered.stamp
        && let Some(reply) = Reply::of(&answered)
    {
        app.kept.keep(collection, question, stamp, reply);
    }
    Ok(answered.into_response(app, request.place))
}
