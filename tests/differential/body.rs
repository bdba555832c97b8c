//! When two answers are the same.

use serde_json::{Map, Value};

use crate::identities::Identities;
use crate::support::http::Answer;

/// Headers that tell a client something.
const HEADERS: [&str; 10] = [
    "content-type",
    "allow",
    "chroma-trace-id",
    "retry-after",
    "location",
    "www-authenticate",
    "content-encoding",
    "vary",
    "cache-control",
    "set-cookie",
];

/// What the answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list of collections: in the order of ids, which are not the same on both sides.
    Collections,
    /// A page of such a list: it may show other collections.
    PageOfCollections,
    /// Only its headers are sent.
    Head,
    Other,
}

/// Why the answers are not the same; `None` where they are. Learns ids that appear.
pub fn difference(kind: Kind, ours: &Answer, theirs: &Answer, ids: &mut Identities) -> Option<String> {
    if ours.status != theirs.status {
        return Some(format!("status {} in place of {}", ours.status, theirs.status));
    }
    let names = HEADERS.into_iter().chain((kind == Kind::Head).then_some("content-length"));
    for name in names {
        let values = [ours, theirs].map(|answer| answer.header(name));
        if values[0] != values[1] {
            return Some(format!("header {name}: {:?} in place of {:?}", values[0], values[1]));
        }
    }
    let parsed = [ours, theirs].map(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
    match parsed {
        [Some(ours), Some(theirs)] if theirs.is_array() => lists(kind, &ours, &theirs, ids),
        [Some(ours), Some(theirs)] => values("", &ours, &theirs, ids),
        _ if ours.body == theirs.body => None,
        _ => Some("another body".to_owned()),
    }
}

fn lists(kind: Kind, ours: &Value, theirs: &Value, ids: &mut Identities) -> Option<String> {
    let (Kind::Collections | Kind::PageOfCollections, Some(our_list), Some(their_list)) =
        (kind, ours.as_array(), theirs.as_array())
    else {
        return values("", ours, theirs, ids);
    };
    if our_list.len() != their_list.len() {
        return Some(format!("{} collections in place of {}", our_list.len(), their_list.len()));
    }
    for list in [our_list, their_list] {
        if !list.is_sorted_by_key(|collection| collection["id"].as_str().unwrap_or("").to_owned()) {
            return Some("collections that are not in the order of their ids".to_owned());
        }
    }
    if kind == Kind::PageOfCollections {
        let known = |one: &&Value| their_list.iter().any(|other| one["name"] == other["name"]);
        return our_list.iter().filter(known).find_map(|ours| {
            let theirs = their_list.iter().find(|theirs| theirs["name"] == ours["name"])?;
            values("", ours, theirs, ids)
        });
    }
    let [ours, theirs] = [our_list, their_list].map(|list| Value::Array(by_name(list)));
    values("", &ours, &theirs, ids)
}

fn by_name(list: &[Value]) -> Vec<Value> {
    let mut list = list.to_vec();
    list.sort_by_key(|collection| collection["name"].as_str().unwrap_or("").to_owned());
    list
}

fn values(place: &str, ours: &Value, theirs: &Value, ids: &mut Identities) -> Option<String> {
    match (ours, theirs) {
        (Value::String(ours), Value::String(theirs)) if ids.same_text(ours, theirs) => None,
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let pairs = ours.iter().zip(theirs).enumerate();
            pairs
                .into_iter()
                .find_map(|(n, (ours, theirs))| values(&format!("{place}/{n}"), ours, theirs, ids))
        }
        (Value::Object(ours), Value::Object(theirs)) if ours.keys().eq(theirs.keys()) => {
            members(place, ours, theirs, ids)
        }
        _ if ours == theirs => None,
        _ => Some(format!("at {place:?}: {} in place of {}", shown(ours), shown(theirs))),
    }
}

fn members(
    place: &str,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    ids: &mut Identities,
) -> Option<String> {
    ours.iter().zip(theirs).find_map(|((key, ours), (_, theirs))| {
        let is_clock = key == "nanosecond heartbeat" && ours.is_u64() && theirs.is_u64();
        if is_clock { None } else { values(&format!("{place}/{key}"), ours, theirs, ids) }
    })
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}
