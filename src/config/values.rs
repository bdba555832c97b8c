//! From written values to checked ones. Each function says what to write where it refuses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::layers::{Setting, Value};
use super::spec::{Check, Default, Kind};

/// A value that fits its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Whole(u64),
    Boolean(bool),
    Text(String),
    List(Vec<String>),
    Nothing,
}

impl Plain {
    /// True where there is a value.
    pub(super) fn is_set(&self) -> bool {
        *self != Self::Nothing
    }

    /// The number, of a key that holds one.
    pub(super) fn whole(&self) -> u64 {
        if let Self::Whole(number) = self { *number } else { 0 }
    }

    /// The truth, of a key that holds it.
    pub(super) fn boolean(&self) -> bool {
        *self == Self::Boolean(true)
    }

    /// The text, of a key that holds one.
    pub(super) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The items, of a key that holds a list.
    pub(super) fn list(&self) -> &[String] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// As it is written in the file; `None` where nothing is set.
    pub(super) fn toml(&self) -> Option<String> {
        let value = match self {
            Self::Whole(number) => toml::Value::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
            Self::Boolean(value) => toml::Value::Boolean(*value),
            Self::Text(text) => toml::Value::String(text.clone()),
            Self::List(items) => {
                toml::Value::Array(items.iter().map(|item| toml::Value::String(item.clone())).collect())
            }
            Self::Nothing => return None,
        };
        Some(value.to_string())
    }
}

impl From<Default> for Plain {
    fn from(default: Default) -> Self {
        match default {
            Default::Whole(number) => Self::Whole(number),
            Default::Boolean(value) => Self::Boolean(value),
            Default::Text(text) => Self::Text(text.to_owned()),
            Default::List(items) => Self::List(items.iter().map(|item| (*item).to_owned()).collect()),
            Default::Nothing(_) => Self::Nothing,
        }
    }
}

/// The value of this kind. The error never repeats what a secret key holds.
pub(super) fn parse(kind: Kind, setting: &Setting, secret: bool) -> Result<Plain, String> {
    let shown = || if secret { "its value".to_owned() } else { show(setting) };
    match kind {
        Kind::Whole { low, high } => whole(setting, low, high).map_err(|wanted| {
            format!("{} does not fit here; {wanted}", shown())
        }),
        Kind::Boolean => boolean(setting)
            .ok_or_else(|| format!("{} is not true or false; write one of them", shown())),
        Kind::Path => match text(setting) {
            Some(text) if !text.is_empty() => Ok(Plain::Text(text.to_owned())),
            _ => Err(format!("{} is not a path; write one in quotes", shown())),
        },
        Kind::Address => address(setting).ok_or_else(|| {
            format!(
                "{} is not an IP address with a port; write ADDR:PORT, such as 127.0.0.1:8000 (this machine only) \
                 or 0.0.0.0:8000 (reachable from outside)",
                shown()
            )
        }),
        Kind::Word(words) => word(setting, &words()).map_err(|wanted| {
            format!("{} is not known here; {wanted}", shown())
        }),
        Kind::Text(check) => {
            let text = text(setting).ok_or_else(|| format!("{} is not a text; write one in quotes", shown()))?;
            check(text).map_err(|wrong| format!("{}: {wrong}", shown()))?;
            Ok(Plain::Text(text.to_owned()))
        }
        Kind::List(check) => {
            list(setting, check).map_err(|wrong| format!("{}: {wrong}", shown()))
        }
    }
}

/// A port number; 0 lets the system choose.
pub(super) fn port(setting: &Setting) -> Result<u16, String> {
    let number = parse(Kind::Whole { low: 0, high: u64::from(u16::MAX) }, setting, false)?.whole();
    u16::try_from(number).map_err(|_| "write a port number".to_owned())
}

/// An address as people write it.
pub(super) fn socket_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = text.strip_prefix("localhost:")?.parse().ok()?;
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

/// The error says what to write.
fn whole(setting: &Setting, low: u64, high: u64) -> Result<Plain, String> {
    let number = match &setting.value {
        Value::Toml(toml::Value::Integer(number)) => u64::try_from(*number).ok(),
        Value::Toml(_) => None,
        Value::Text(text) => text.trim().parse().ok(),
        Value::Scaled(text, scale) => text.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(*scale)),
    };
    let scale = if let Value::Scaled(_, scale) = setting.value { scale } else { 1 };
    let wanted = || format!("write a whole number from {} to {}", low.div_ceil(scale), high / scale);
    number.filter(|number| (low..=high).contains(number)).map(Plain::Whole).ok_or_else(wanted)
}

/// From the environment also in the spellings that people use there.
fn boolean(setting: &Setting) -> Option<Plain> {
    let text = match &setting.value {
        Value::Toml(toml::Value::Boolean(value)) => return Some(Plain::Boolean(*value)),
        Value::Toml(_) => return None,
        Value::Text(text) | Value::Scaled(text, _) => text.trim().to_lowercase(),
    };
    match text.as_str() {
        "true" | "1" | "yes" | "on" => Some(Plain::Boolean(true)),
        "false" | "0" | "no" | "off" => Some(Plain::Boolean(false)),
        _ => None,
    }
}

fn address(setting: &Setting) -> Option<Plain> {
    let address = socket_address(text(setting)?.trim())?;
    Some(Plain::Text(address.to_string()))
}

/// The error says what to write.
fn word(setting: &Setting, words: &[&'static str]) -> Result<Plain, String> {
    let found = text(setting).filter(|text| words.contains(text));
    found.map(|text| Plain::Text(text.to_owned())).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        format!("write {}", words.join(" or "))
    })
}

fn list(setting: &Setting, check: Check) -> Result<Plain, String> {
    let items: Option<Vec<String>> = match &setting.value {
        Value::Toml(toml::Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        }
        Value::Toml(_) => None,
        Value::Text(text) | Value::Scaled(text, _) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(items.map(str::to_owned).collect())
        }
    };
    let items = items.ok_or("write a list of texts in quotes, such as [\"one\", \"two\"]")?;
    items.iter().try_for_each(|item| check(item))?;
    Ok(Plain::List(items))
}

fn text(setting: &Setting) -> Option<&str> {
    match &setting.value {
        Value::Text(text) | Value::Scaled(text, _) | Value::Toml(toml::Value::String(text)) => Some(text),
        Value::Toml(_) => None,
    }
}

fn show(setting: &Setting) -> String {
    match &setting.value {
        Value::Text(text) | Value::Scaled(text, _) => format!("\"{text}\""),
        Value::Toml(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Source;

    #[test]
    fn a_list_is_written_in_the_file_or_with_commas_and_each_item_is_checked() {
        let check: Check = |item| if item == "bad" { Err("write good".to_owned()) } else { Ok(()) };
        let read = |value| parse(Kind::List(check), &Setting { value, source: Source::Default }, false);
        let both = Plain::List(vec!["a".to_owned(), "b c".to_owned()]);
        assert_eq!(read(Value::Text(" a ,b c,".to_owned())).as_ref(), Ok(&both));
        assert_eq!(read(Value::Toml(toml::Value::from(vec!["a", "b c"]))).as_ref(), Ok(&both));
        assert_eq!(both.toml().as_deref(), Some("[\"a\", \"b c\"]"));
        assert_eq!(read(Value::Text("a,bad".to_owned())), Err("\"a,bad\": write good".to_owned()));
        let number = read(Value::Toml(toml::Value::from(vec![1]))).unwrap_err();
        assert!(number.contains("write a list of texts"), "{number}");
    }

    #[test]
    fn a_wrong_secret_is_not_repeated() {
        let check: Check = |_| Err("write 32 hexadecimal digits".to_owned());
        let setting = Setting { value: Value::Text("geheim".to_owned()), source: Source::Default };
        let wrong = parse(Kind::Text(check), &setting, true).unwrap_err();
        assert_eq!(wrong, "its value: write 32 hexadecimal digits");
    }
}
