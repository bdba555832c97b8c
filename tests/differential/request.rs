//! A request as it goes to both sides.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An id that no collection has.
pub const NOBODY: &str = "00000000-0000-4000-8000-00000000abcd";

/// One request. In path and body `<<run>>` stands for a text that is new in each run, and `<<NAME>>` for the id of
/// the collection that an earlier request bound to NAME, else for [`NOBODY`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    pub method: String,
    pub path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    pub body: Body,
    /// The name for the id in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
}

/// A request's body.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Body {
    Text(String),
    Bytes(Vec<u8>),
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Body {
    fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// What the placeholders stand for on one side.
#[derive(Clone, Debug)]
pub struct Names {
    pub run: String,
    pub ids: BTreeMap<String, String>,
}

impl Names {
    pub fn new(run: &str) -> Self {
        Self { run: run.to_owned(), ids: BTreeMap::new() }
    }

    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("<<") {
            filled.push_str(before);
            let Some((name, after)) = after.split_once(">>") else {
                filled.push_str("<<");
                rest = after;
                continue;
            };
            filled.push_str(match name {
                "run" => &self.run,
                name => self.ids.get(name).map_or(NOBODY, String::as_str),
            });
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

impl Step {
    /// A request without a body. In `path`, `$T` is the path of the story's tenant, `$D` of its database, `$C` of its
    /// collections.
    pub fn new(method: &str, path: &str) -> Self {
        let path = path
            .replace("$C", "$D/collections")
            .replace("$D", "$T/databases/things")
            .replace("$T", "/api/v2/tenants/tenant-<<run>>");
        Self { method: method.to_owned(), path, headers: Vec::new(), body: Body::default(), bind: None }
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// With a text that claims to be JSON.
    #[must_use]
    pub fn text(self, body: &str) -> Self {
        Self { body: Body::Text(body.to_owned()), ..self.header("content-type", "application/json") }
    }

    /// With any body.
    #[must_use]
    pub fn bytes(self, body: &[u8]) -> Self {
        Self { body: Body::Bytes(body.to_vec()), ..self }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Calls the collection in the answer `name` from here on.
    #[must_use]
    pub fn bind(self, name: &str) -> Self {
        Self { bind: Some(name.to_owned()), ..self }
    }

    /// The request as it goes to one side.
    pub fn to_request(&self, base: &str, names: &Names) -> Request<Bytes> {
        let body = match &self.body {
            Body::Text(text) => Bytes::from(names.fill(text)),
            Body::Bytes(bytes) => Bytes::from(bytes.clone()),
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let url = format!("{base}{}", names.fill(&self.path));
        *request.uri_mut() = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        request
    }

    /// One line from which it can be sent again.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("JSON")
    }
}

#[test]
fn placeholders_are_filled() {
    let mut names = Names::new("7");
    names.ids.insert("c".to_owned(), "ID".to_owned());
    assert_eq!(names.fill("a<<run>>/<<c>>/<<d>> << <<"), format!("a7/ID/{NOBODY} << <<"));
    assert_eq!(
        names.fill(&Step::new("GET", "$C/<<c>>").path),
        "/api/v2/tenants/tenant-7/databases/things/collections/ID"
    );
}
