//! Instances are added to a data directory that is in use, and removed from it, while nobody serves from it.

use std::path::Path;

use super::error::{LogError, OpenError};
use super::open::{Opened, Setup, open};
use super::options::WalOptions;
use super::state::path_of;
use crate::chroma::ids::InstanceId;

/// Why an instance can't be added or removed.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    Storage(#[from] LogError),
    #[error("{0}")]
    Refused(String),
}

/// Adds an instance behind the others; gives all names, in order. It is filled from the others once it is served.
///
/// # Errors
/// [`RosterError`]; nothing was changed then.
pub fn add(dir: &Path, name: &str) -> Result<Vec<String>, RosterError> {
    let mut opened = open_idle(dir)?;
    let names = opened.state.names()?;
    if names.iter().any(|known| known == name) {
        return Err(RosterError::Refused(format!("there is an instance {name} already")));
    }
    if names.len() > usize::from(u8::MAX) {
        return Err(OpenError::TooManyInstances.into());
    }
    opened.state.join(name)?;
    Ok(opened.state.names()?)
}

/// Removes an instance, whose server is left as it is; gives the names that stay, in order.
///
/// # Errors
/// [`RosterError`], also where it is the last one that has a collection (I8); nothing was changed then.
pub fn remove(dir: &Path, name: &str) -> Result<Vec<String>, RosterError> {
    let mut opened = open_idle(dir)?;
    let names = opened.state.names()?;
    let known = names.iter().position(|known| known == name).and_then(|place| u8::try_from(place).ok());
    let Some(instance) = known.map(InstanceId) else {
        let words = format!("there is no instance {name} here; there are {}", names.join(", "));
        return Err(RosterError::Refused(words));
    };
    if names.len() == 1 {
        return Err(RosterError::Refused(format!("{name} is the only instance")));
    }
    if let Some(collection) = opened.state.last_held(instance)? {
        return Err(RosterError::Refused(format!(
            "{name} is the last instance that has the collection {collection} whole: start again, and remove it when \
             isochrome status shows no rebuild and isochrome verify no difference"
        )));
    }
    opened.state.leave(instance)?;
    Ok(opened.state.names()?)
}

/// The checkpoint covers everything then.
fn open_idle(dir: &Path) -> Result<Opened, RosterError> {
    if !path_of(dir).exists() {
        return Err(RosterError::Refused(format!("{} is no data directory in use", dir.display())));
    }
    Ok(open(&Setup { dir, options: WalOptions::default(), instances: &[], new_cluster: "" })?)
}
