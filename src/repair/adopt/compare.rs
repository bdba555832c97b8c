//! Whether a collection is the same on two servers that nobody writes to.

use bytes::Bytes;
use http::Method;
use uuid::Uuid;

use super::find::{Name, There};
use crate::chroma::{copies, path, requests};
use crate::instances::client::Instance;
use crate::repair::verify::description::Description;
use crate::repair::verify::page::{Found, Page, order};

/// Ids in one list, and records that are read at a time.
const IDS: usize = 10_000;
const RECORDS: usize = 500;
/// Differences that are named of one collection.
const NAMED: usize = 10;

/// A collection on a server.
#[derive(Clone, Copy)]
pub(super) struct Copy<'a> {
    pub instance: &'a Instance,
    pub there: &'a There,
}

/// In what the second differs from the first, in words, at most a few of all; and how many records were compared.
///
/// # Errors
/// Why it can't be told, in words.
pub(super) async fn differences(
    name: &Name,
    left: Copy<'_>,
    right: Copy<'_>,
) -> Result<(Vec<String>, usize), String> {
    let (described_left, described_right) = (left.description(name).await?, right.description(name).await?);
    let mut found = described_left.differences(&described_right);
    let (ids, other_ids) = (left.ids(name).await?, right.ids(name).await?);
    found.extend(order(ids.iter().map(String::as_str), other_ids.iter().map(String::as_str)));
    let embeddings = described_left.embeddings();
    if ids.len() != other_ids.len() {
        found.push(Found {
            record: None,
            field: "records".to_owned(),
            sides: [ids.len().to_string(), other_ids.len().to_string()],
        });
    }
    for chunk in ids.chunks(RECORDS) {
        if found.len() >= NAMED {
            break;
        }
        let (here, there) = (left.records(name, chunk).await?, right.records(name, chunk).await?);
        found.extend(here.differences(&there, embeddings));
    }
    found.truncate(NAMED);
    let told = found.into_iter().map(|found| {
        let record = found.record.map(|record| format!(" of record {record:?}")).unwrap_or_default();
        let [first, second] = found.sides;
        let (a, b) = (&left.instance.name, &right.instance.name);
        format!("{}{record}: {a} {first}, {b} {second}", found.field)
    });
    Ok((told.collect(), ids.len()))
}

impl Copy<'_> {
    async fn description(&self, name: &Name) -> Result<Description, String> {
        let id = Uuid::from_u128(self.there.real_id);
        let to = format!("{}/by-id/{id}", path::collections(&name.tenant, &name.database));
        Description::read(&self.ask(Method::GET, &to, Vec::new()).await?)
    }

    async fn ids(&self, name: &Name) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        loop {
            let answer = self.get(name, copies::page_of_ids_body(IDS, ids.len())).await?;
            let page = requests::parse_get_ids(&answer).ok_or("its list of ids can't be read")?;
            let is_last = page.len() < IDS;
            ids.extend(page);
            if is_last {
                return Ok(ids);
            }
        }
    }

    async fn records(&self, name: &Name, ids: &[String]) -> Result<Page, String> {
        Page::read(&self.get(name, copies::records_body(ids)).await?)
    }

    async fn get(&self, name: &Name, body: Vec<u8>) -> Result<Bytes, String> {
        let id = Uuid::from_u128(self.there.real_id);
        let to = format!("{}/get", path::collection(&name.tenant, &name.database, id));
        self.ask(Method::POST, &to, body).await
    }

    async fn ask(&self, method: Method, to: &str, body: Vec<u8>) -> Result<Bytes, String> {
        let told = |what: String| format!("{}: {what}", self.instance.name);
        let reply =
            self.instance.call(method, to, body.into()).await.map_err(|error| told(error.to_string()))?;
        if reply.is_success() {
            Ok(reply.body)
        } else {
            Err(told(format!("it answered {} to a read", reply.status)))
        }
    }
}
