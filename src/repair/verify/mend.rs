//! Mending a copy in place: the records of one instance are made those of another, while both are held at one position.
//!
//! That is for a few records whose place in the order is right. What would change the order, or can't be taken back by a
//! write (a document that should not be there), needs the collection rebuilt on that instance.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::collection::name;
use super::page::{Embeddings, Page, Record};
use super::still::{Question, Reader, Stop};
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_TENANT};
use crate::chroma::ids::InstanceId;
use crate::chroma::path;
use crate::chroma::requests::{RecordsBody, delete_ids_body, parse_get_ids};
use crate::replication::hold::NotHeld;
use crate::wal::record::Lane;

/// How long the writes of the collection wait at most.
const HOLD: Duration = Duration::from_secs(10);
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);
/// Records that are mended at most: it must be done while the writes wait.
const MOST: usize = 1_000;

/// What is wrong on an instance.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    pub records: BTreeSet<String>,
    /// Something that belongs to no record.
    pub whole: bool,
}

/// Why a copy was not mended in place, for people.
#[derive(Debug)]
pub(super) enum NotMended {
    /// It can't be, and is to be made again.
    MustBeRebuilt(String),
    Stays(String),
}

impl From<String> for NotMended {
    fn from(why: String) -> Self {
        Self::Stays(why)
    }
}

/// Makes the second instance of the reader what the first one is; gives the number of mended records.
///
/// # Errors
/// Why it was not done.
pub(super) async fn mend(
    reader: &Reader<'_>,
    wrong: &Wrong,
    embeddings: Embeddings,
) -> Result<u64, NotMended> {
    if wrong.whole {
        return Err(NotMended::MustBeRebuilt("more than records differs".to_owned()));
    }
    for _ in 0..TRIES {
        let lane = Lane::Collection(reader.collection.id);
        match reader.replication.hold(lane, reader.instances.clone(), HOLD).await {
            Ok(held) => {
                let done = mend_held(reader, wrong, embeddings).await;
                // No answer that was given before is given again.
                reader.replication.board().distrust();
                if !held.release().await {
                    return Err("its writes went on while it was mended; compare again".to_owned().into());
                }
                return done;
            }
            Err(NotHeld::Busy | NotHeld::Expired) => sleep(PAUSE).await,
            Err(NotHeld::Gone) => return Err("the collection was dropped".to_owned().into()),
            Err(NotHeld::Lost { instance }) => {
                return Err(format!("{} is not up any more", name(reader.replication, instance)).into());
            }
        }
    }
    Err("its writes could not be held".to_owned().into())
}

async fn mend_held(reader: &Reader<'_>, wrong: &Wrong, embeddings: Embeddings) -> Result<u64, NotMended> {
    let [ours, theirs] = lists(reader).await?;
    let Plan { extra, missing } = plan(&ours, &theirs)?;
    let lacking: HashSet<&str> = missing.iter().map(String::as_str).collect();
    let wanted: Vec<String> = ours
        .iter()
        .filter(|id| wrong.records.contains(*id) || lacking.contains(id.as_str()))
        .cloned()
        .collect();
    if extra.len() + wanted.len() > MOST {
        return Err(NotMended::MustBeRebuilt(format!("more than {MOST} records differ")));
    }
    let [right, there] = pages(reader, &wanted).await?;
    let altered = altered(&right, &there)?;
    let added: Vec<&Record> = right.records.iter().filter(|one| lacking.contains(one.id.as_str())).collect();
    let count = extra.len() + altered.ids.len() + added.len();
    if !extra.is_empty() {
        send(reader, "delete", delete_ids_body(&extra)).await?;
    }
    if !altered.ids.is_empty() {
        send(reader, "update", altered.json()).await?;
    }
    if !added.is_empty() {
        let mut body = RecordsBody::default();
        for record in added {
            push(&mut body, record, record.metadata.clone());
        }
        send(reader, "add", body.json()).await?;
    }
    let [ours, theirs] = lists(reader).await?;
    let [right, there] = pages(reader, &wanted).await?;
    if ours != theirs || !right.differences(&there, embeddings).is_empty() {
        return Err(NotMended::MustBeRebuilt("it differs still after it was mended in place".to_owned()));
    }
    Ok(count as u64)
}

struct Plan {
    /// What must go there.
    extra: Vec<String>,
    /// What must come to the end there.
    missing: Vec<String>,
}

fn plan(ours: &[String], theirs: &[String]) -> Result<Plan, NotMended> {
    let known: HashSet<&String> = ours.iter().collect();
    let (rest, extra): (Vec<&String>, Vec<&String>) = theirs.iter().partition(|id| known.contains(id));
    match ours.split_at_checked(rest.len()) {
        Some((first, missing)) if first.iter().eq(rest.iter().copied()) => {
            Ok(Plan { extra: extra.into_iter().cloned().collect(), missing: missing.to_vec() })
        }
        _ => Err(NotMended::MustBeRebuilt("its order would be wrong".to_owned())),
    }
}

/// The update that makes altered records what they are on the right instance.
fn altered<'a>(right: &'a Page, there: &Page) -> Result<RecordsBody<'a>, NotMended> {
    let mut body = RecordsBody::default();
    for record in &right.records {
        let Some(other) = there.records.iter().find(|other| other.id == record.id) else { continue };
        if other.digest == record.digest {
            continue;
        }
        let stays = |right: &Option<String>, there: &Option<String>| right.is_none() && there.is_some();
        if stays(&record.document, &other.document) || stays(&record.uri, &other.uri) {
            return Err(NotMended::MustBeRebuilt("a document or uri can't be taken away".to_owned()));
        }
        // A key that is not named would stay.
        let gone = other.metadata.iter().flat_map(BTreeMap::keys).map(|key| (key.clone(), Value::Null));
        let mut metadata: BTreeMap<String, Value> = gone.collect();
        metadata.extend(record.metadata.clone().into_iter().flatten());
        push(&mut body, record, (!metadata.is_empty()).then_some(metadata));
    }
    Ok(body)
}

fn push<'a>(body: &mut RecordsBody<'a>, record: &'a Record, metadata: Option<BTreeMap<String, Value>>) {
    body.ids.push(&record.id);
    body.embeddings.push(record.embedding.as_deref());
    body.documents.push(record.document.as_deref());
    body.uris.push(record.uri.as_deref());
    body.metadatas.push(metadata);
}

async fn lists(reader: &Reader<'_>) -> Result<[Vec<String>; 2], String> {
    both(reader, &Question::Ids, |bytes| parse_get_ids(bytes).ok_or("its ids can't be read".to_owned())).await
}

async fn pages(reader: &Reader<'_>, ids: &[String]) -> Result<[Page; 2], String> {
    both(reader, &Question::Records(ids.to_vec()), Page::read).await
}

async fn both<T>(
    reader: &Reader<'_>,
    question: &Question,
    read: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<[T; 2], String> {
    let answers = reader.ask_all(question).await.map_err(|stop| in_words(reader, stop))?;
    let read: Result<Vec<T>, String> = answers.iter().map(|(_, bytes)| read(bytes)).collect();
    read?.try_into().map_err(|_| "not both instances answered".to_owned())
}

fn in_words(reader: &Reader<'_>, stop: Stop) -> String {
    match stop {
        Stop::Without { instance, why } | Stop::Broken { instance, why } => {
            format!("{}: {why}", name(reader.replication, instance))
        }
        Stop::Lacks { instance } => format!("{} lacks it", name(reader.replication, instance)),
        Stop::TooLarge => "the records are too large to be mended at once".to_owned(),
        Stop::Gone => "the collection was dropped".to_owned(),
        Stop::Never { why } => why,
    }
}

/// Writes to the second instance. It waits for the answer however long that takes, so that nothing is executed later.
async fn send(reader: &Reader<'_>, operation: &str, body: Vec<u8>) -> Result<(), String> {
    let wrong = reader.instances.last().copied().unwrap_or(InstanceId(0));
    let there = &reader.replication.instances()[wrong.index()];
    let real_id = reader.collection.real_ids.get(&wrong).copied().map(Uuid::from_u128);
    let real_id = real_id.ok_or("it has no copy")?;
    let to = format!("{}/{operation}", path::collection(DEFAULT_TENANT, DEFAULT_DATABASE, real_id));
    let reply = there.call(Method::POST, &to, body.into()).await.map_err(|error| error.to_string())?;
    if reply.is_success() {
        return Ok(());
    }
    let text: String = String::from_utf8_lossy(&reply.body).chars().take(200).collect();
    Err(format!("it answered {} {text} to the {operation}", reply.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_order_is_not_mended_in_place() {
        let list = |ids: &str| ids.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let planned = |ours: &str, theirs: &str| {
            let plan = plan(&list(ours), &list(theirs));
            plan.map(|plan| (plan.extra.join(" "), plan.missing.join(" "))).ok()
        };
        assert_eq!(planned("a b c", "a x b y"), Some(("x y".to_owned(), "c".to_owned())));
        assert_eq!(planned("a b c", "a b c"), Some((String::new(), String::new())));
        assert_eq!(planned("a b c", "a c"), None);
        assert_eq!(planned("a b c", "b a c"), None);
        assert_eq!(planned("a", "a a"), None);
    }
}
