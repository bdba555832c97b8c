//! An operator decides that this log is the one that counts, after another Isochrome may have written.

use serde::Serialize;

use super::verify::places;
use crate::delivery::handle::Replication;
use crate::instances::client::Instance;

/// What is known before the choice.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The epoch that this process took last.
    pub epoch: u64,
    /// The last write of this log.
    pub log_ends_at: u64,
    pub instances: Vec<InstanceSurvey>,
}

/// What one instance shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InstanceSurvey {
    pub name: String,
    /// Why nothing is known of it; empty where something is.
    pub not_seen: String,
    /// The highest epoch there.
    pub epoch: u64,
    /// How far the log of any who wrote there reached.
    pub told_up_to: u64,
    /// Collections of this log's catalog that are not there any more.
    pub missing: Vec<String>,
    /// What is there, or not, other than this log's catalog says: made or deleted by somebody else.
    pub strange: Vec<String>,
}

/// Why this log can't be chosen.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("this Isochrome is not fenced: there is nothing to take over")]
    NotFenced,
    #[error("no instance can be reached, so nobody knows what this log lacks")]
    NothingSeen,
    #[error(
        "collections of this log are gone from every instance that can be reached ({0}): somebody else deleted them. This \
         log would look for them in vain, and can't be chosen"
    )]
    Missing(String),
    #[error("the epoch can't be stored: {0}")]
    Store(String),
}

impl Survey {
    /// Looks at every instance; changes nothing.
    pub async fn of(replication: &Replication) -> Self {
        let mut instances = Vec::new();
        for instance in replication.instances() {
            let name = instance.name.clone();
            instances.push(match look(replication, instance).await {
                Ok(seen) => InstanceSurvey { name, ..seen },
                Err(not_seen) => InstanceSurvey { name, not_seen, ..InstanceSurvey::default() },
            });
        }
        let log_ends_at = replication.log_stats().durable_lsn.0;
        Self { epoch: replication.fence().epoch(), log_ends_at, instances }
    }

    /// Takes an epoch above all that were seen; from then on this process writes, and another that still does stops.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing changed then.
    pub fn take_over(&self, replication: &Replication) -> Result<(), NotTaken> {
        if replication.fenced().is_none() {
            return Err(NotTaken::NotFenced);
        }
        let seen: Vec<&InstanceSurvey> =
            self.instances.iter().filter(|instance| instance.not_seen.is_empty()).collect();
        let Some(highest) = seen.iter().map(|instance| instance.epoch).max() else {
            return Err(NotTaken::NothingSeen);
        };
        let is_gone = |name: &String| seen.iter().all(|instance| instance.missing.contains(name));
        let gone: Vec<&str> =
            seen[0].missing.iter().filter(|name| is_gone(name)).map(String::as_str).collect();
        if !gone.is_empty() {
            return Err(NotTaken::Missing(gone.join(", ")));
        }
        replication.fence().take_over(highest).map_err(|error| NotTaken::Store(error.to_string()))
    }
}

async fn look(replication: &Replication, instance: &Instance) -> Result<InstanceSurvey, String> {
    let shown = replication.fence().survey(instance).await?;
    let (strange, missing) = places::survey(replication, instance).await?;
    Ok(InstanceSurvey {
        epoch: shown.epoch,
        told_up_to: shown.lsn,
        missing,
        strange,
        ..InstanceSurvey::default()
    })
}
