//! Bodies of create and modify.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::json::{Text, each_member, first_byte};

/// What was read of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<T> {
    Clear(T),
    /// Chroma refuses it for its syntax or its types, and changes nothing.
    Unclear,
}

/// A create of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    pub name: String,
    /// Take the collection of that name if there is one.
    pub get_or_create: bool,
    /// It says more, of which something may be wrong.
    pub detailed: bool,
}

/// A modify of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifyRequest {
    pub new_name: Option<String>,
}

/// Reads the body of a create.
///
/// # Errors
/// Lists and objects in the metadata, at which Chroma's handler dies without an answer.
pub fn parse_create(body: &[u8]) -> Result<Body<CreateRequest>, ApiError> {
    #[derive(Deserialize)]
    struct Create<'a> {
        #[serde(borrow)]
        name: Text<'a>,
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
        #[serde(borrow)]
        configuration: Option<&'a RawValue>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
        #[serde(default, rename = "get_or_create")]
        take_existing: bool,
    }
    refuse_positional(body)?;
    let Ok(create) = serde_json::from_slice::<Create<'_>>(body) else {
        return Ok(Body::Unclear);
    };
    refuse_containers(create.metadata)?;
    let detailed = [create.metadata, create.configuration, create.schema].iter().any(Option::is_some);
    let name = create.name.0.into_owned();
    Ok(Body::Clear(CreateRequest { name, get_or_create: create.take_existing, detailed }))
}

/// Reads the body of a modify.
///
/// # Errors
/// As [`parse_create`].
pub fn parse_modify(body: &[u8]) -> Result<Body<ModifyRequest>, ApiError> {
    #[derive(Deserialize)]
    struct Modify<'a> {
        #[serde(borrow)]
        new_name: Option<Text<'a>>,
        #[serde(borrow)]
        new_metadata: Option<&'a RawValue>,
    }
    refuse_positional(body)?;
    let Ok(modify) = serde_json::from_slice::<Modify<'_>>(body) else {
        return Ok(Body::Unclear);
    };
    refuse_containers(modify.new_metadata)?;
    Ok(Body::Clear(ModifyRequest { new_name: modify.new_name.map(|name| name.0.into_owned()) }))
}

/// Reads the name in the body of a create of a tenant or a database.
///
/// # Errors
/// A body that is a list.
pub fn parse_named(body: &[u8]) -> Result<Body<String>, ApiError> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    refuse_positional(body)?;
    Ok(serde_json::from_slice::<Named>(body).map_or(Body::Unclear, |named| Body::Clear(named.name)))
}

/// A create with all that `body` says but `get_or_create`, so that an existing collection is an error;
/// `None` where `body` is no object.
#[must_use]
pub fn plain_create(body: &[u8]) -> Option<Vec<u8>> {
    let mut plain = b"{".to_vec();
    let json = std::str::from_utf8(body).ok()?;
    let object = each_member(json, |key, value: &RawValue| {
        if key != "get_or_create" {
            push_member(&mut plain, &key, value);
        }
    });
    plain.extend_from_slice(b"\"get_or_create\":false}");
    object.then_some(plain)
}

fn push_member(json: &mut Vec<u8>, key: &str, value: &RawValue) {
    json.extend_from_slice(&serde_json::to_vec(key).unwrap_or_default());
    json.push(b':');
    json.extend_from_slice(value.get().as_bytes());
    json.push(b',');
}

fn refuse_positional(body: &[u8]) -> Result<(), ApiError> {
    if first_byte(body) == Some(b'[') { Err(ApiError::positional_body()) } else { Ok(()) }
}

/// Every occurrence of a repeated key is looked at, whichever Chroma would take.
fn refuse_containers(metadata: Option<&RawValue>) -> Result<(), ApiError> {
    let Some(metadata) = metadata else { return Ok(()) };
    let mut refused = None;
    each_member(metadata.get(), |key, value: &RawValue| {
        if value.get().starts_with(['[', '{']) {
            refused.get_or_insert_with(|| key.into_owned());
        }
    });
    match refused {
        None => Ok(()),
        Some(key) => Err(ApiError::invalid(format!(
            "Collection metadata must hold strings, numbers and booleans only; '{key}' does not"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_is_read_through_escapes_and_extra_members() {
        let body = br#" {"x":[1],"n\u0061me":"d\u006fcs","get_or_create":true,"metadata":{"a":1.5}}"#;
        let expected = CreateRequest { name: "docs".to_owned(), get_or_create: true, detailed: true };
        assert_eq!(parse_create(body), Ok(Body::Clear(expected)));
    }

    #[test]
    fn what_kills_the_handler_is_refused_wherever_it_stands() {
        for metadata in
            [r#"{"a":[]}"#, r#"{"a":[1],"a":1}"#, r#"{"a":1, "b" : {"indices":[1],"values":[1]}}"#]
        {
            let create = format!(r#"{{"name":"docs","metadata":{metadata}}}"#);
            assert_eq!(parse_create(create.as_bytes()).unwrap_err().status, 400, "{metadata}");
            let modify = format!(r#"{{"new_metadata":{metadata}}}"#);
            assert_eq!(parse_modify(modify.as_bytes()).unwrap_err().status, 400, "{metadata}");
        }
        assert_eq!(parse_create(br#"["docs",{"a":[1]},null,null,false]"#).unwrap_err().status, 422);
    }

    #[test]
    fn what_chroma_answers_itself_is_left_to_it() {
        for body in [
            "",
            "{",
            "{}",
            r#"{"name":5}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a","get_or_create":null}"#,
        ] {
            assert_eq!(parse_create(body.as_bytes()), Ok(Body::Unclear), "{body}");
        }
    }

    #[test]
    fn a_plain_create_keeps_everything_else_as_it_was() {
        let body = br#"{"name":"a\"b","get_or_create":true,"metadata":{"x":1.50}}"#;
        let plain = String::from_utf8(plain_create(body).unwrap()).unwrap();
        assert_eq!(plain, r#"{"name":"a\"b","metadata":{"x":1.50},"get_or_create":false}"#);
    }

    #[test]
    fn a_modify_may_rename() {
        let renamed = ModifyRequest { new_name: Some("b".to_owned()) };
        assert_eq!(parse_modify(br#"{"new_name":"b"}"#), Ok(Body::Clear(renamed)));
        assert_eq!(parse_modify(b"{}"), Ok(Body::Clear(ModifyRequest { new_name: None })));
    }
}
