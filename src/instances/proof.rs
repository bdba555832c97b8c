//! The proof that an instance is ours and can write: a heartbeat, its marker and our epoch, an answered canary write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::client::Instance;
use super::fence::Fence;
use super::health::Report;
use super::heartbeat::heartbeat;
use super::marker::{self, Found, Marker, MarkerError};
use super::reason::DownReason;
use super::system::{self, System};

/// Canary writes that were given up may be executed late, so that the marker falls back by as many.
const MARKER_SLACK: u64 = 2;

/// Who we are, for the marker, and what the store remembers of the instance.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster: String,
    /// Our marker was written there before.
    pub joined: bool,
    /// The highest counter that it has acknowledged, as far as the store knows.
    pub counter: u64,
    /// Whether we may write.
    pub fence: Arc<Fence>,
}

/// Why an instance is not fit to serve.
#[derive(Debug)]
pub struct Unfit {
    pub reason: DownReason,
    pub detail: String,
    /// It never was ours: another server must be named.
    pub wrong_server: bool,
}

impl Unfit {
    pub(super) fn hung(detail: &str) -> Self {
        Self { reason: DownReason::Hung, detail: detail.to_owned(), wrong_server: false }
    }

    /// It was ours, and lost what it had acknowledged.
    pub(super) fn lost(detail: String) -> Self {
        Self { reason: DownReason::LostState, detail, wrong_server: false }
    }

    /// Another Isochrome may be writing.
    pub(super) fn fenced(detail: String) -> Self {
        Self { reason: DownReason::Fenced, detail, wrong_server: false }
    }

    /// Whoever wrote before us gets the time to notice.
    pub(super) fn handing_over(within: Duration) -> Self {
        let detail = format!("whoever may have written before us gets {} s to notice", within.as_secs());
        Self { reason: DownReason::HandingOver, detail, wrong_server: false }
    }

    fn wrong(detail: String) -> Self {
        Self { reason: DownReason::Foreign, detail, wrong_server: true }
    }

    pub(super) fn foreign(what: &str) -> Self {
        Self::wrong(format!(
            "it holds data but not our marker ({what}); start with an empty server, name another one, or have its data \
             adopted by `isochrome adopt`"
        ))
    }

    pub(super) fn from_error(error: &MarkerError) -> Self {
        let reason = match error {
            MarkerError::Send(_) => DownReason::Refused,
            MarkerError::Answer { .. } => DownReason::CannotWrite,
        };
        Self { reason, detail: error.to_string(), wrong_server: false }
    }
}

/// Proves once that the instance is ours and can write; writes our marker on an empty one that never had it.
///
/// # Errors
/// [`Unfit`] with the reason.
pub async fn prove(
    instance: &Instance,
    identity: &mut Identity,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<(), Unfit> {
    let fence = Arc::clone(&identity.fence);
    let (look, found) = Look::at(instance).await?;
    let collection = match found {
        Found::Marker(found, collection) => {
            check(instance, identity, &found)?;
            fence.judge_marker(instance, &found)?;
            identity.counter = identity.counter.max(found.counter);
            collection
        }
        Found::Empty if identity.joined => {
            return Err(Unfit::lost(
                "it came back empty: it lost what it had acknowledged, and gets no reads and no writes until \
                 it is rebuilt"
                    .to_owned(),
            ));
        }
        Found::Empty => {
            fence.check()?;
            marker::prepare(instance).await.map_err(|error| Unfit::from_error(&error))?
        }
        Found::Unfinished(_) if identity.joined => {
            return Err(Unfit::lost("its marker's record is gone: it lost state".to_owned()));
        }
        Found::Unfinished(collection) => collection,
        Found::Foreign(what) => {
            return Err(Unfit::foreign(&what));
        }
    };
    let marker = look.sign(instance, &fence, collection, identity.counter + 1).await?;
    // The canary write may have taken longer than a look is good for.
    look_again(instance, &fence).await?;
    identity.counter = marker.counter;
    if !std::mem::replace(&mut identity.joined, true) {
        report(Report::Joined);
    }
    report(Report::Marked(marker.counter));
    Ok(())
}

/// What stood on an instance before our marker is written.
pub(super) struct Look {
    began: Instant,
    system: System,
}

impl Look {
    /// Looks, after an answered heartbeat.
    pub(super) async fn at(instance: &Instance) -> Result<(Self, Found), Unfit> {
        heartbeat(instance).await?;
        let failed = |error: MarkerError| Unfit::from_error(&error);
        let began = Instant::now();
        let system = system::read(instance).await.map_err(failed)?;
        let found = marker::read_in(instance, &system).await.map_err(failed)?;
        Ok((Self { began, system }, found))
    }

    /// Holds our epoch there, and writes our marker with this counter.
    pub(super) async fn sign(
        &self,
        instance: &Instance,
        fence: &Fence,
        collection: Uuid,
        counter: u64,
    ) -> Result<Marker, Unfit> {
        fence.hold(instance, &self.system, self.began).await?;
        let marker = fence.sign(instance, counter);
        marker::write(instance, collection, &marker).await.map_err(|error| Unfit::from_error(&error))?;
        Ok(marker)
    }
}

/// Whether the epochs there are as they were, after something that may have taken longer than a look is good for.
pub(super) async fn look_again(instance: &Instance, fence: &Fence) -> Result<(), Unfit> {
    if fence.look(instance).await? { Ok(()) } else { Err(Unfit::hung("another epoch appeared there")) }
}

fn check(instance: &Instance, identity: &Identity, found: &Marker) -> Result<(), Unfit> {
    belongs_to_us(instance, identity, found)?;
    if found.counter + MARKER_SLACK < identity.counter {
        return Err(Unfit::lost(format!(
            "it came back older than what it had acknowledged (marker {}, expected {} or more), and gets no reads \
             and no writes until it is rebuilt",
            found.counter, identity.counter
        )));
    }
    Ok(())
}

/// Whether the marker names our cluster and this instance.
pub(super) fn belongs_to_us(instance: &Instance, identity: &Identity, found: &Marker) -> Result<(), Unfit> {
    if found.cluster != identity.cluster {
        return Err(Unfit::wrong(format!(
            "it belongs to another Isochrome cluster ({}), ours is {}. Start with that one's data directory; where that is \
             lost, `isochrome adopt --take-over` makes another one with the same ids",
            found.cluster, identity.cluster
        )));
    }
    if found.instance != instance.name {
        return Err(Unfit::wrong(format!(
            "it is the instance {:?} under another address; each instance must be a server of its own",
            found.instance
        )));
    }
    Ok(())
}
