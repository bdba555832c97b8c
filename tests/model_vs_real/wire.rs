//! The model's requests and answers as Chroma's HTTP and JSON.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::model::{Description, Filter, Kind, Metadata, Part, RealId, Record, Request, Response, Value};

const ROOT: &str = "/api/v2/tenants/default_tenant/databases";

/// Speaks to one server and keeps which of its ids belongs to which of the model's.
pub(crate) struct Wire {
    port: u16,
    ids: BTreeMap<RealId, String>,
}

impl Wire {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, ids: BTreeMap::new() }
    }

    /// Sends a request and gives the server's answer in the model's terms. `expected` is the
    /// model's answer: where both describe a collection, their ids become one.
    pub(crate) fn execute(&mut self, request: &Request, expected: &Response) -> Response {
        let (status, body) = self.exchange(&self.spell(request));
        if status >= 300 {
            let text = body["message"].as_str().unwrap_or_default();
            return Response::refused(status, text);
        }
        assert_eq!(status, expected.status(request), "{request:?}: {body}");
        match request {
            Request::CreateCollection { .. } => {
                if let Response::Collection(model) = expected {
                    let real = body["id"].as_str().expect("an id").to_owned();
                    self.ids.insert(model.id, real);
                }
                Response::Collection(self.description(&body))
            }
            Request::Describe { .. } | Request::DescribeById { .. } => {
                Response::Collection(self.description(&body))
            }
            Request::List { .. } => {
                let all = body.as_array().expect("a list").iter();
                Response::Collections(all.map(|body| self.description(body)).collect())
            }
            Request::Delete { .. } => Response::Deleted(number(&body["deleted"])),
            Request::Count { .. } => Response::Count(number(&body)),
            Request::Get { .. } => Response::Records(records(&body)),
            _ => Response::Done,
        }
    }

    /// Sends a request and closes the connection `after_ms` milliseconds later, answered or not.
    pub(crate) fn send_and_close(&self, request: &Request, after_ms: u64) {
        let mut stream = self.connect();
        stream.write_all(self.spell(request).as_bytes()).expect("the request is sent");
        std::thread::sleep(Duration::from_millis(after_ms));
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("a connection")
    }

    fn exchange(&self, spelled: &str) -> (u16, Json) {
        let mut stream = self.connect();
        stream.write_all(spelled.as_bytes()).expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), serde_json::from_str(body).unwrap_or(Json::Null))
    }

    fn spell(&self, request: &Request) -> String {
        let (method, path, body) = self.route(request);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        format!(
            "{method} {ROOT}{path} HTTP/1.1\r\nhost: chroma\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )
    }

    fn route(&self, request: &Request) -> (&'static str, String, Json) {
        match request {
            Request::CreateDatabase { database } => ("POST", String::new(), json!({ "name": database })),
            Request::DropDatabase { database } => ("DELETE", format!("/{database}"), Json::Null),
            Request::CreateCollection { database, name, metadata, get_or_create } => {
                let metadata = metadata.as_ref().map(object);
                let body = json!({ "name": name, "metadata": metadata, "get_or_create": get_or_create });
                ("POST", format!("/{database}/collections"), body)
            }
            Request::ModifyCollection { collection, new_name, new_metadata } => {
                let metadata = new_metadata.as_ref().map(object);
                let body = json!({ "new_name": new_name, "new_metadata": metadata });
                ("PUT", self.at(*collection, ""), body)
            }
            Request::DropCollection { database, name } => {
                ("DELETE", format!("/{database}/collections/{name}"), Json::Null)
            }
            Request::Describe { database, name } => {
                ("GET", format!("/{database}/collections/{name}"), Json::Null)
            }
            Request::DescribeById { database, collection } => {
                let id = self.id(*collection);
                ("GET", format!("/{database}/collections/by-id/{id}"), Json::Null)
            }
            Request::List { database } => ("GET", format!("/{database}/collections"), Json::Null),
            Request::Count { collection } => ("GET", self.at(*collection, "/count"), Json::Null),
            Request::Write { collection, kind, parts } => {
                let verb = match kind {
                    Kind::Add => "/add",
                    Kind::Upsert => "/upsert",
                    Kind::Update => "/update",
                };
                ("POST", self.at(*collection, verb), columns(parts))
            }
            Request::Delete { collection, ids, filter, limit } => {
                let body = json!({ "ids": ids, "where": filter.as_ref().map(condition), "limit": limit });
                ("POST", self.at(*collection, "/delete"), body)
            }
            Request::Get { collection, ids, filter, limit, offset, .. } => {
                let body = json!({
                    "ids": ids, "where": filter.as_ref().map(condition), "limit": limit, "offset": offset,
                    "include": ["documents", "embeddings", "metadatas"],
                });
                ("POST", self.at(*collection, "/get"), body)
            }
        }
    }

    fn id(&self, collection: RealId) -> String {
        let nobody = "00000000-0000-4000-8000-000000000000";
        self.ids.get(&collection).map_or(nobody, String::as_str).to_owned()
    }

    fn at(&self, collection: RealId, verb: &str) -> String {
        format!("/default_database/collections/{}{verb}", self.id(collection))
    }

    fn description(&self, body: &Json) -> Description {
        let text = |key: &str| body[key].as_str().expect("a text").to_owned();
        let real = text("id");
        let known = self.ids.iter().find(|(_, id)| **id == real);
        Description {
            id: *known.expect("an id that the model knows").0,
            name: text("name"),
            metadata: body["metadata"].as_object().map(metadata),
            dimension: (!body["dimension"].is_null()).then(|| number(&body["dimension"])),
        }
    }
}

/// Fails when the server's answer means something else than the model's. Servers order lists by
/// ids of their own, so there the order is not compared.
pub(crate) fn assert_same(request: &Request, expected: &Response, found: &Response) {
    match (expected, found) {
        (Response::Refused { status, reason }, Response::Refused { status: real_status, reason: text }) => {
            assert_eq!(status, real_status, "{request:?}: {text}");
            assert!(text.contains(reason), "{request:?}: {text} instead of {reason}");
        }
        (Response::Collections(expected), Response::Collections(found)) => {
            let mut found = found.clone();
            found.sort_by_key(|description| description.id);
            assert_eq!(*expected, found, "{request:?}");
        }
        _ => assert_eq!(expected, found, "{request:?}"),
    }
}

fn number(body: &Json) -> usize {
    serde_json::from_value(body.clone()).expect("a number")
}

fn condition(filter: &Filter) -> Json {
    json!({ &filter.key: plain(&filter.value) })
}

fn columns(parts: &[Part]) -> Json {
    let pairs = |part: &Part| -> Json {
        let pairs = part.metadata.iter();
        pairs.map(|(key, value)| (key.clone(), value.as_ref().map_or(Json::Null, plain))).collect()
    };
    json!({
        "ids": parts.iter().map(|part| &part.id).collect::<Vec<_>>(),
        "embeddings": parts.iter().map(|part| &part.embedding).collect::<Vec<_>>(),
        "documents": parts.iter().map(|part| &part.document).collect::<Vec<_>>(),
        "metadatas": parts.iter().map(pairs).collect::<Vec<_>>(),
    })
}

fn object(metadata: &Metadata) -> Json {
    metadata.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(value) => json!(value),
        Value::Sparse => json!({ "#type": "sparse_vector", "indices": [1], "values": [0.5] }),
    }
}

fn metadata(pairs: &Map<String, Json>) -> Metadata {
    let typed = |value: &Json| match value {
        Json::Bool(value) => Value::Bool(*value),
        Json::String(value) => Value::Text(value.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().expect("a float")),
        },
        other => panic!("a metadata value of no known type: {other}"),
    };
    pairs.iter().map(|(key, value)| (key.clone(), typed(value))).collect()
}

fn records(body: &Json) -> Vec<Record> {
    let ids = body["ids"].as_array().expect("ids");
    let record = |(index, id): (usize, &Json)| Record {
        id: id.as_str().expect("an id").to_owned(),
        embedding: serde_json::from_value(body["embeddings"][index].clone()).expect("an embedding"),
        document: body["documents"][index].as_str().map(str::to_owned),
        metadata: body["metadatas"][index].as_object().map(metadata).unwrap_or_default(),
    };
    ids.iter().enumerate().map(record).collect()
}
