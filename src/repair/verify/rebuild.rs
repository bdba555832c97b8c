//! Copies that can't be mended in place are made again: see `docs/decisions/0008-rebuild.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::collection::name;
use super::still::Reader;
use crate::chroma::ids::InstanceId;
use crate::delivery::handle::Replication;
use crate::repair::jobs::Progress;
use crate::wal::record::Lane;

/// Pause between looks at a rebuild.
const PAUSE: Duration = Duration::from_millis(100);
/// An instance that is not up for so long is not waited for: its rebuild goes on when it returns.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has the collection of the reader made again on these instances, from others than these, and waits for it; gives why
/// that did not come about, for people, where it did not.
pub(super) async fn rebuild(
    reader: &Reader<'_>,
    reasons: &BTreeMap<InstanceId, String>,
    progress: &Progress,
) -> BTreeMap<InstanceId, String> {
    let replication = reader.replication;
    let targets: Vec<InstanceId> = reasons.keys().copied().collect();
    let reason = "a comparison found that it differs";
    let begun = replication.rebuild_on(targets, reader.collection.id, reason).await;
    let off = "it must be rebuilt, which is off (repair.rebuild), or no other instance has it".to_owned();
    let left_out = reasons.keys().filter(|target| !begun.contains(target));
    let mut failed: BTreeMap<_, _> = left_out.map(|target| (*target, off.clone())).collect();
    for target in begun {
        if let Err(why) = follow(reader, target, progress).await {
            failed.insert(target, why);
        }
    }
    progress.phase(&reader.collection.name);
    failed
}

/// Waits until a copy is made, or its instance is away for long.
async fn follow(reader: &Reader<'_>, target: InstanceId, progress: &Progress) -> Result<(), String> {
    let replication = reader.replication;
    let lane = Lane::Collection(reader.collection.id);
    let mut last_up = Instant::now();
    while replication.divergence(lane.clone(), target).await.is_some() {
        match phase(replication, &reader.collection.name, target).await {
            Some(phase) => {
                last_up = Instant::now();
                progress.phase(phase);
            }
            None if last_up.elapsed() >= PATIENCE => {
                return Err("it is rebuilt when its instance is up again; see `isochrome status`".to_owned());
            }
            None => {}
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// How far the rebuild is; `None` while its instance is not up.
async fn phase(replication: &Replication, collection: &str, target: InstanceId) -> Option<String> {
    let view = replication.view().await?;
    let there = view.instances.into_iter().find(|there| there.instance == target && there.state == "up")?;
    let rebuild = there.rebuilds.into_iter().find(|rebuild| rebuild.collection == collection);
    let instance = name(replication, target);
    Some(match rebuild {
        Some(one) => format!("{collection}: {} on {instance}, {} of {}", one.phase, one.copied, one.ids),
        None => format!("{collection}: rebuilding on {instance}"),
    })
}
