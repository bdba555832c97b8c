//! Walking over JSON without building it.
//!
//! Everything goes through `serde_json`, which is what Chroma reads with: what it takes we take, so
//! nothing that reaches Chroma's code can hide from ours behind an escape, a duplicate or a strange blank.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A string, borrowed where it holds no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Calls `visit` for each element of the list in `json`; false if it is no list of such elements.
pub(super) fn each<'a, T: Deserialize<'a>>(json: &'a str, visit: impl FnMut(T)) -> bool {
    run(json, List { visit, element: PhantomData })
}

/// Calls `visit` for each member of the object in `json`, repeated ones too; false if it is no object of
/// such members.
pub(super) fn each_member<'a, T: Deserialize<'a>>(json: &'a str, visit: impl FnMut(Cow<'a, str>, T)) -> bool {
    run(json, Object { visit, element: PhantomData })
}

/// The first byte that is not blank.
pub(super) fn first_byte(json: &[u8]) -> Option<u8> {
    json.iter().copied().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

fn run<'a>(json: &'a str, seed: impl DeserializeSeed<'a, Value = ()>) -> bool {
    let mut parser = serde_json::Deserializer::from_str(json);
    seed.deserialize(&mut parser).is_ok() && parser.end().is_ok()
}

struct List<T, F> {
    visit: F,
    element: PhantomData<T>,
}

impl<'a, T: Deserialize<'a>, F: FnMut(T)> DeserializeSeed<'a> for List<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_seq(self)
    }
}

impl<'a, T: Deserialize<'a>, F: FnMut(T)> Visitor<'a> for List<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.visit)(element);
        }
        Ok(())
    }
}

struct Object<T, F> {
    visit: F,
    element: PhantomData<T>,
}

impl<'a, T: Deserialize<'a>, F: FnMut(Cow<'a, str>, T)> DeserializeSeed<'a> for Object<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'a, T: Deserialize<'a>, F: FnMut(Cow<'a, str>, T)> Visitor<'a> for Object<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut object: A) -> Result<(), A::Error> {
        while let Some((Text(key), value)) = object.next_entry()? {
            (self.visit)(key, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unescaped_and_repeated_ones_all_seen() {
        let mut seen = Vec::new();
        assert!(each_member(r#" {"a\u003ab":1, "a:b":2} "#, |key, value: u8| seen
            .push((key.into_owned(), value))));
        assert_eq!(seen, [("a:b".to_owned(), 1), ("a:b".to_owned(), 2)]);
    }

    #[test]
    fn a_wrong_type_and_a_tail_are_told() {
        assert!(!each("[1,true]", |_: u8| {}));
        assert!(!each("[1] 2", |_: u8| {}));
        assert!(!each("{}", |_: u8| {}));
    }
}
