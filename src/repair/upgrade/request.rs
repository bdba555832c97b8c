//! What an upgrade is asked for, and what speaks against it before anything is touched.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::delivery::duty::Outlook;
use crate::instances::managed::Chosen;
use crate::replication::view::{CoreView, InstanceView};
use crate::wal::record::duty::Duty;

/// How long the first one serves before the next one follows, in seconds.
pub const CANARY_S: u64 = 600;
/// The longest time that may be asked for.
pub const MAX_CANARY_S: u64 = 7 * 86_400;
/// Characters of a version at most.
const MAX_VERSION: usize = 64;

/// What is asked for: a version, which is installed; or an executable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Of the package `chromadb`.
    pub version: Option<String>,
    /// An executable that is installed already. With a version too, it must be of that version.
    pub command: Option<PathBuf>,
    /// How long the first one serves before the next one follows; null for [`CANARY_S`].
    pub canary_s: Option<u64>,
}

impl Request {
    /// What is wrong with it by itself, for people.
    ///
    /// # Errors
    /// The words.
    pub fn check(&self) -> Result<(), String> {
        match (&self.version, &self.command) {
            (None, None) => {
                return Err("Name a version of Chroma, or an executable with --command".to_owned());
            }
            (Some(version), _) if !is_version(version) => {
                return Err(format!("{version:?} is no version of Chroma; write it as in 1.5.9"));
            }
            (_, Some(command)) if !command.is_absolute() => {
                return Err(format!("{} is not an absolute path", command.display()));
            }
            _ => {}
        }
        match self.canary_s {
            Some(canary_s) if canary_s > MAX_CANARY_S => {
                Err(format!("The first instance can serve alone for {MAX_CANARY_S} s at most"))
            }
            _ => Ok(()),
        }
    }
}

/// True for what can be the name of a version, and nothing else: it becomes an argument of pip and part of a path.
fn is_version(version: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
    version.starts_with(|c: char| c.is_ascii_digit())
        && version.len() <= MAX_VERSION
        && version.chars().all(good)
        && !version.contains("..")
        && !version.ends_with('.')
}

/// Why one instance after the other can't be worked on now, for people; `None` where it can.
pub(super) fn why_not_now(
    view: &CoreView,
    names: &[&str],
    outlook: Outlook,
    log_works: bool,
) -> Option<String> {
    if !outlook.rebuilds {
        return Some(
            "An instance that does not come back well could not be filled again, because repair.rebuild is off"
                .to_owned(),
        );
    }
    if outlook.log_fills || !log_works {
        return Some(
            "The log has little room left, and it must hold what an instance misses; make room first"
                .to_owned(),
        );
    }
    let unfit = view.instances.iter().find_map(|there| Some((there, unfit(there)?)));
    unfit.map(|(there, why)| {
        let name = names.get(there.instance.index()).copied().unwrap_or("?");
        format!(
            "Each instance must serve before one of them is upgraded, and {name} {why}; see isochrome status"
        )
    })
}

/// Why an instance is not in its best state.
pub(super) fn unfit(there: &InstanceView) -> Option<String> {
    match there.duty {
        Duty::Serve => {}
        Duty::Drain => return Some("is drained (isochrome resume)".to_owned()),
        Duty::Maintenance => return Some("is in maintenance (isochrome resume)".to_owned()),
    }
    if there.state != "up" {
        return Some(format!("is {}", there.state));
    }
    if !there.rebuilds.is_empty() || !there.divergent.is_empty() {
        return Some("has collections that are not whole yet".to_owned());
    }
    None
}

/// Why a server can't go from one executable to another, for people.
///
/// # Errors
/// The words.
pub(super) fn check_direction(from: Option<&Chosen>, to: &Chosen) -> Result<(), String> {
    let version = |chosen: &Chosen| chosen.version.as_deref().map(numbers);
    match (from.and_then(version), version(to)) {
        (Some(before), Some(after)) if after < before => {
            let from = from.map(ToString::to_string).unwrap_or_default();
            Err(format!(
                "{to} is older than {from}, which has the files now: Chroma does not go back on files that a newer \
                 version has opened"
            ))
        }
        _ => Ok(()),
    }
}

/// The numbers of a version, for its order; what follows a number in its part plays no part.
fn numbers(version: &str) -> Vec<u64> {
    let number = |part: &str| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    version.split('.').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chroma::ids::InstanceId;

    const OUTLOOK: Outlook = Outlook { preferred: InstanceId(0), rebuilds: true, log_fills: false };

    fn view(change: impl FnOnce(&mut InstanceView)) -> CoreView {
        let there = |number| InstanceView {
            instance: InstanceId(number),
            state: "up",
            duty: Duty::Serve,
            in_flight: 0,
            pending: 0,
            oldest_pending: None,
            divergent: Vec::new(),
            rebuilds: Vec::new(),
            marked: 0,
            leads: 0,
        };
        let mut second = there(1);
        change(&mut second);
        CoreView { instances: vec![there(0), second], ..CoreView::default() }
    }

    #[test]
    fn nothing_is_upgraded_unless_every_instance_serves_and_the_log_has_room() {
        let why = |view: &CoreView, outlook, log_works| why_not_now(view, &["a", "b"], outlook, log_works);
        assert_eq!(why(&view(|_| ()), OUTLOOK, true), None);
        assert!(why(&view(|_| ()), OUTLOOK, false).unwrap().contains("little room"));
        let fills = Outlook { log_fills: true, ..OUTLOOK };
        assert!(why(&view(|_| ()), fills, true).unwrap().contains("little room"));
        let off = Outlook { rebuilds: false, ..OUTLOOK };
        assert!(why(&view(|_| ()), off, true).unwrap().contains("repair.rebuild"));
        let down = view(|there| there.state = "refused");
        assert!(why(&down, OUTLOOK, true).unwrap().contains("b is refused"));
        let drained = view(|there| there.duty = Duty::Drain);
        assert!(why(&drained, OUTLOOK, true).unwrap().contains("b is drained"));
        let divergent = view(|there| there.divergent = vec![("docs".to_owned(), "it differs".to_owned())]);
        assert!(why(&divergent, OUTLOOK, true).unwrap().contains("not whole"));
    }

    #[test]
    fn a_version_is_nothing_that_pip_or_a_path_could_take_for_something_else() {
        let check =
            |version: &str| Request { version: Some(version.to_owned()), ..Request::default() }.check();
        for good in ["1.5.9", "1.6.0rc1", "2.0.0.dev3"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "..", "-r", "1/2", "1..2", "1.5.", "1.5.9 --pre", "latest", "1.5.9@x", "v1.5.9"] {
            assert!(check(bad).unwrap_err().contains("no version"), "{bad}");
        }
        assert!(Request::default().check().unwrap_err().contains("--command"));
        let relative = Request { command: Some("chroma".into()), ..Request::default() };
        assert!(relative.check().unwrap_err().contains("absolute"));
        let endless = Request {
            version: Some("1.5.9".to_owned()),
            canary_s: Some(MAX_CANARY_S + 1),
            ..Request::default()
        };
        assert!(endless.check().is_err());
    }

    #[test]
    fn an_older_version_does_not_follow_a_newer_one() {
        let of = |version: &str| Chosen { command: "/chroma".into(), version: Some(version.to_owned()) };
        let unknown = Chosen { version: None, ..of("") };
        for (from, to) in [("1.5.9", "1.5.9"), ("1.5.9", "1.5.10"), ("1.5.9", "1.6"), ("0.6.3", "1.0.0")] {
            assert_eq!(check_direction(Some(&of(from)), &of(to)), Ok(()), "{from} to {to}");
        }
        assert_eq!(check_direction(Some(&of("1.5.9")), &unknown), Ok(()));
        assert_eq!(check_direction(None, &of("1.5.9")), Ok(()));
        let words = check_direction(Some(&of("1.5.10")), &of("1.5.9")).unwrap_err();
        assert!(words.starts_with("1.5.9 is older than 1.5.10"), "{words}");
    }
}
