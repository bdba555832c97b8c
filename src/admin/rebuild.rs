//! `POST /admin/rebuild`: an operator has collections of an instance copied to it again.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Operators, asked, json};
use crate::chroma::error::{ApiError, CHROMA};
use crate::gateway::Refusal;

/// Why, in the status.
const REASON: &str = "an operator asked for it";

/// What is to be copied again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The instance's name.
    instance: String,
    /// A name, in any database, or an id; all collections where it is missing.
    collection: Option<String>,
}

#[derive(Serialize)]
struct Begun {
    /// Names of the collections that are copied again.
    collections: Vec<String>,
}

/// Begins rebuilds; 202 with the collections that have another source. `/status` shows how far they are.
pub(super) async fn rebuild(
    State(operators): State<Operators>,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Request { instance, collection } = asked::body(request)?;
    let replication = &operators.app.replication;
    let target = asked::in_body(replication, &instance)?;
    let named =
        |name: &str, id: String| collection.as_ref().is_none_or(|wanted| *wanted == name || *wanted == id);
    let wanted: Vec<_> = replication.with_catalog(|catalog| {
        let living = catalog.all_living().into_iter();
        living.filter(|known| named(&known.name, known.id.to_string())).map(|known| known.id).collect()
    });
    if let (Some(collection), true) = (&collection, wanted.is_empty()) {
        return Err(ApiError::collection_not_found(collection).into());
    }
    let begun = replication.rebuild(target.id, wanted, REASON).await;
    if begun.is_empty() {
        let words = format!(
            "Nothing can be copied to the instance {instance}: no other instance has it, or it is off (repair.rebuild)"
        );
        return Err(ApiError::new(409, CHROMA, words).into());
    }
    Ok(json(202, &Begun { collections: begun }))
}
