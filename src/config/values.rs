//! From written values to types. Each function says what to write where it refuses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::layers::{Setting, Value};

/// A whole number within a range.
pub(super) fn integer(range: RangeInclusive<u64>) -> impl FnOnce(&Setting) -> Result<u64, String> {
    move |setting| {
        let number = match &setting.value {
            Value::Toml(toml::Value::Integer(number)) => u64::try_from(*number).ok(),
            Value::Toml(_) => None,
            Value::Text(text) => text.trim().parse().ok(),
            Value::Scaled(text, scale) => text.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(*scale)),
        };
        let wanted = |scale: u64| {
            let (low, high) = (range.start().div_ceil(scale), range.end() / scale);
            format!("write a whole number from {low} to {high}")
        };
        match number {
            Some(number) if range.contains(&number) => Ok(number),
            _ => {
                let scale = if let Value::Scaled(_, scale) = setting.value { scale } else { 1 };
                Err(format!("{} does not fit here; {}", show(setting), wanted(scale)))
            }
        }
    }
}

/// A duration that is written in milliseconds.
pub(super) fn millis(range: RangeInclusive<u64>) -> impl FnOnce(&Setting) -> Result<Duration, String> {
    move |setting| integer(range)(setting).map(Duration::from_millis)
}

/// A port number; 0 lets the system choose.
pub(super) fn port(setting: &Setting) -> Result<u16, String> {
    let number = integer(0..=u64::from(u16::MAX))(setting)?;
    u16::try_from(number).map_err(|_| "write a port number".to_owned())
}

/// True or false; from the environment also in the spellings that people use there.
pub(super) fn boolean(setting: &Setting) -> Result<bool, String> {
    let text = match &setting.value {
        Value::Toml(toml::Value::Boolean(value)) => return Ok(*value),
        Value::Toml(_) => {
            return Err(format!("{} is not true or false; write one of them", show(setting)));
        }
        Value::Text(text) | Value::Scaled(text, _) => text.trim().to_lowercase(),
    };
    match text.as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{} is not true or false; write one of them", show(setting))),
    }
}

/// A path; relative ones are relative to the working directory.
pub(super) fn path(setting: &Setting) -> Result<PathBuf, String> {
    match text(setting) {
        Some(text) if !text.is_empty() => Ok(PathBuf::from(text)),
        _ => Err(format!("{} is not a path; write one in quotes", show(setting))),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(words: &[(&'static str, T)]) -> impl FnOnce(&Setting) -> Result<T, String> {
    move |setting| {
        let found = text(setting).and_then(|text| words.iter().find(|(word, _)| *word == text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("{} is not known here; write {}", show(setting), words.join(" or "))
        })
    }
}

/// An address to listen on.
pub(super) fn address(setting: &Setting) -> Result<SocketAddr, String> {
    let parse = |text: &str| -> Option<SocketAddr> {
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let port = text.strip_prefix("localhost:")?.parse().ok()?;
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    };
    text(setting).and_then(|text| parse(text.trim())).ok_or_else(|| {
        format!(
            "{} is not an IP address with a port; write ADDR:PORT, such as 127.0.0.1:8000 (this machine only) \
             or 0.0.0.0:8000 (reachable from outside)",
            show(setting)
        )
    })
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
