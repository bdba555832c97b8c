//! What a key may hold: its kind, its range, its default, and how that becomes a type of Rust.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::values::{self, Plain};

/// What is known of a key but its name and its description.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub(super) kind: Kind,
    pub(super) default: Default,
    /// Whether a running process takes a new value.
    pub(super) live: bool,
    /// Whether its value is shown to nobody.
    pub(super) secret: bool,
    pub(super) alias: Option<Alias>,
    pub(super) flag: Option<&'static str>,
}

/// What may be written for a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Whole { low: u64, high: u64 },
    Boolean,
    Path,
    Address,
    Word(fn() -> Vec<&'static str>),
    Text(Check),
    List(Check),
}

/// Says what is wrong with a text, or with one item of a list, and what to write instead.
pub(super) type Check = fn(&str) -> Result<(), String>;

/// The value of a key that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Default {
    Whole(u64),
    Boolean(bool),
    Text(&'static str),
    List(&'static [&'static str]),
    /// None: what happens instead, in words.
    Nothing(&'static str),
}

/// A variable that was known before Isochrome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alias {
    pub(super) variable: &'static str,
    /// What its number is multiplied with to come to the key's unit.
    pub(super) scale: u64,
}

/// A type whose values are written as one of a few words.
pub(super) trait Words: Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// The definition of a key whose value has the type `T`.
pub(super) struct Spec<T> {
    pub(super) traits: Traits,
    pub(super) convert: fn(&Plain) -> T,
}

impl<T> Spec<T> {
    const fn new(kind: Kind, default: Default, convert: fn(&Plain) -> T) -> Self {
        Self {
            traits: Traits { kind, default, live: false, secret: false, alias: None, flag: None },
            convert,
        }
    }

    /// A running process takes a new value on SIGHUP.
    pub(super) const fn live(self) -> Self {
        Self { traits: Traits { live: true, ..self.traits }, ..self }
    }

    /// The value is a password, a token or a key: it is printed nowhere.
    #[allow(dead_code, reason = "a trait of keys, whether or not one has it at the moment")]
    pub(super) const fn secret(self) -> Self {
        Self { traits: Traits { secret: true, ..self.traits }, ..self }
    }

    /// A variable of the environment that sets it too, after our own; its number is multiplied by `scale`.
    pub(super) const fn also(self, variable: &'static str, scale: u64) -> Self {
        Self { traits: Traits { alias: Some(Alias { variable, scale }), ..self.traits }, ..self }
    }

    /// A flag of the command line that sets it too.
    pub(super) const fn flag(self, flag: &'static str) -> Self {
        Self { traits: Traits { flag: Some(flag), ..self.traits }, ..self }
    }
}

const fn range_kind(range: &RangeInclusive<u64>) -> Kind {
    Kind::Whole { low: *range.start(), high: *range.end() }
}

/// A whole number; its unit is the end of the key's name.
pub(super) const fn whole(default: u64, range: &RangeInclusive<u64>) -> Spec<u64> {
    Spec::new(range_kind(range), Default::Whole(default), Plain::whole)
}

/// A whole number that need not be given; `unset` tells what holds then.
pub(super) const fn whole_or(unset: &'static str, range: &RangeInclusive<u64>) -> Spec<Option<u64>> {
    Spec::new(range_kind(range), Default::Nothing(unset), |plain| plain.is_set().then(|| plain.whole()))
}

/// A duration in milliseconds: the key ends in `_ms`.
pub(super) const fn millis(default: u64, range: &RangeInclusive<u64>) -> Spec<Duration> {
    Spec::new(range_kind(range), Default::Whole(default), |plain| Duration::from_millis(plain.whole()))
}

/// A duration in seconds: the key ends in `_s`.
pub(super) const fn seconds(default: u64, range: &RangeInclusive<u64>) -> Spec<Duration> {
    Spec::new(range_kind(range), Default::Whole(default), |plain| Duration::from_secs(plain.whole()))
}

/// True or false.
pub(super) const fn boolean(default: bool) -> Spec<bool> {
    Spec::new(Kind::Boolean, Default::Boolean(default), Plain::boolean)
}

/// A path, relative to the working directory.
pub(super) const fn path(default: &'static str) -> Spec<PathBuf> {
    Spec::new(Kind::Path, Default::Text(default), |plain| PathBuf::from(plain.text()))
}

/// A path that need not be given; `unset` tells what holds then.
pub(super) const fn path_or(unset: &'static str) -> Spec<Option<PathBuf>> {
    Spec::new(Kind::Path, Default::Nothing(unset), |plain| {
        plain.is_set().then(|| PathBuf::from(plain.text()))
    })
}

/// An address with a port.
pub(super) const fn address(default: &'static str) -> Spec<SocketAddr> {
    Spec::new(Kind::Address, Default::Text(default), |plain| {
        values::socket_address(plain.text()).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    })
}

/// One of a few words. The default must be among them.
pub(super) const fn word<T: Words>(default: &'static str) -> Spec<T> {
    Spec::new(Kind::Word(words_of::<T>), Default::Text(default), |plain| {
        let found = T::WORDS.iter().find(|(word, _)| *word == plain.text());
        found.unwrap_or(&T::WORDS[0]).1
    })
}

/// A text with a check of its own.
pub(super) const fn text(default: &'static str, check: Check) -> Spec<String> {
    Spec::new(Kind::Text(check), Default::Text(default), |plain| plain.text().to_owned())
}

/// A list of texts with a check for each; in the environment they are separated by commas.
pub(super) const fn list(default: &'static [&'static str], check: Check) -> Spec<Vec<String>> {
    Spec::new(Kind::List(check), Default::List(default), |plain| plain.list().to_vec())
}

fn words_of<T: Words>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}
