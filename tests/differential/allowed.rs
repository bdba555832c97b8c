//! The differences that are meant. Each is a heading of `docs/compatibility.md`, where its reason stands.

use http::StatusCode;

use crate::request::Step;
use crate::support::http::Answer;

pub const NAME_FOR_ID: &str = "A collection's name in the place of its id";
pub const ID_FOR_NAME: &str = "A collection's id in the place of its name";
pub const OWNED: &str = "An id belongs to its tenant and database";
pub const LISTS: &str = "Bodies that are lists";
pub const BEFORE_LOG: &str = "Some refusals come before the log";
pub const HARMFUL: &str = "Records that stop a server are refused";
pub const HARMFUL_METADATA: &str = "Lists in a collection's metadata are refused";
pub const RESOURCE_NAMES: &str = "Look-up by a well-formed resource name";
pub const HIDDEN_KEYS: &str = "Metadata keys of Chroma's own are refused";
pub const RESERVED: &str = "One tenant and one record id are ours";
pub const COMPRESSED: &str = "Compressed bodies";
pub const OPERATORS: &str = "Paths of the operators";

/// A request and both answers.
pub struct Exchange<'a> {
    pub step: &'a Step,
    pub ours: &'a Answer,
    pub theirs: &'a Answer,
}

impl Exchange<'_> {
    fn statuses(&self, ours: StatusCode, theirs: StatusCode) -> bool {
        (self.ours.status, self.theirs.status) == (ours.as_u16(), theirs.as_u16())
    }

    /// The path's segment for the collection, where there is one; and what comes after it.
    fn collection(&self) -> Option<(&str, &str)> {
        let path = self.step.path.split('?').next().unwrap_or_default();
        let (_, rest) = path.split_once("/collections/")?;
        Some(rest.split_once('/').unwrap_or((rest, "")))
    }

    /// True where the collection is given by a placeholder for its id.
    fn by_id(&self) -> bool {
        self.collection().is_some_and(|(collection, _)| collection.contains("<<"))
    }

    fn is_write(&self) -> bool {
        let verb = self.collection().map_or("", |(_, rest)| rest);
        self.step.method == "POST" && ["add", "upsert", "update"].contains(&verb)
    }
}

/// A difference that stories and generated requests meet.
pub struct Allowed {
    /// The heading in `docs/compatibility.md`.
    pub heading: &'static str,
    /// Whether an exchange that differs shows it.
    pub shows: fn(&Exchange<'_>) -> bool,
}

/// Those that change nothing. What leaves the two sides in different states is in `documented`.
pub const ALLOWED: &[Allowed] = &[
    Allowed { heading: NAME_FOR_ID, shows: name_for_id },
    Allowed { heading: ID_FOR_NAME, shows: id_for_name },
    Allowed { heading: OWNED, shows: owned },
    Allowed { heading: LISTS, shows: list },
    Allowed { heading: BEFORE_LOG, shows: before_log },
];

/// The heading under which a difference is listed.
pub fn heading_of(exchange: &Exchange<'_>) -> Option<&'static str> {
    ALLOWED.iter().find(|allowed| (allowed.shows)(exchange)).map(|allowed| allowed.heading)
}

fn name_for_id(exchange: &Exchange<'_>) -> bool {
    let refused = exchange.theirs.text().contains("Collection ID is not a valid UUIDv4");
    refused && exchange.theirs.status == 400 && matches!(exchange.ours.status, 200 | 404) && !exchange.by_id()
}

fn id_for_name(exchange: &Exchange<'_>) -> bool {
    let (_, rest) = exchange.collection().unwrap_or_default();
    matches!(exchange.step.method.as_str(), "GET" | "HEAD")
        && rest.is_empty()
        && exchange.by_id()
        && exchange.statuses(StatusCode::OK, StatusCode::NOT_FOUND)
}

/// Chroma looks at an id only.
fn owned(exchange: &Exchange<'_>) -> bool {
    exchange.by_id()
        && !exchange.step.path.starts_with("/api/v2/tenants/tenant-<<run>>/databases/things/")
        && exchange.ours.status == 404
        && exchange.theirs.is_success()
}

fn list(exchange: &Exchange<'_>) -> bool {
    exchange.step.body.bytes().trim_ascii_start().starts_with(b"[") && exchange.ours.status == 422
}

/// A request that is wrong in two ways: we look at the dimension last.
fn before_log(exchange: &Exchange<'_>) -> bool {
    let ours = ["Inconsistent number of IDs", "Empty ID", "Sparse vector is not supported"];
    exchange.is_write()
        && exchange.theirs.status == 400
        && exchange.theirs.text().contains("dimension")
        && ours.iter().any(|words| exchange.ours.text().contains(words))
}
