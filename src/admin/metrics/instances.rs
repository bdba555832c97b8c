//! The instances, one by one, and what is delivered to them.

use std::fmt;

use super::Snapshot;
use super::page::{Labels, Page};
use crate::admin::status::InstanceStatus;
use crate::metrics::AttemptsView;

/// Every state that an instance can be in.
const STATES: [&str; 10] = [
    "up",
    "checking",
    "refused",
    "hung",
    "cannot write",
    "lost state",
    "not ours",
    "fenced",
    "handing over",
    "maintenance",
];

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let instances = &snapshot.status.instances;
    health(page, instances)?;
    requests(page, snapshot)?;
    page.gauge(
        "instance_in_flight",
        "Requests under way at the instance, by kind",
        instances.iter().flat_map(|one| {
            let reads = snapshot.app.replication.instances().iter().find(|there| there.name == one.name);
            let reads = reads.map_or(0, |there| u64::from(there.turns.view().in_flight));
            [(kind(&one.name, "read"), reads), (kind(&one.name, "write"), one.in_flight as u64)]
        }),
    )?;
    let runs = snapshot.app.replication.runs();
    page.sizes(
        "run_writes",
        "Writes that went to an instance as one request, by kind",
        runs.iter().map(|run| (vec![("kind", run.kind)], run.writes.clone())),
    )?;
    page.durations(
        "run_duration_seconds",
        "How long deliveries to instances took, by kind",
        runs.iter().map(|run| (vec![("kind", run.kind)], run.durations.clone())),
    )?;
    page.counter(
        "leader_moves",
        "How often the decision of a collection's writes moved, by reason",
        snapshot.status.leader_moves.iter().map(|(reason, count)| (vec![("reason", *reason)], *count)),
    )
}

fn health(page: &mut Page<'_>, instances: &[InstanceStatus]) -> fmt::Result {
    let each = |value: fn(&InstanceStatus) -> u64| {
        instances.iter().map(move |one| (vec![("instance", one.name.as_str())], value(one)))
    };
    page.gauge(
        "instance_up",
        "1 while the instance takes reads and writes",
        each(|one| u64::from(one.healthy)),
    )?;
    page.gauge(
        "instance_state",
        "1 for the state that the instance is in",
        instances.iter().flat_map(|one| {
            STATES.map(|state| {
                (vec![("instance", one.name.as_str()), ("state", state)], u64::from(one.state == state))
            })
        }),
    )?;
    page.gauge(
        "instance_lag_seconds",
        "Age of the oldest write that the instance has not applied",
        instances.iter().map(|one| (vec![("instance", one.name.as_str())], one.lag_ms as f64 / 1e3)),
    )?;
    page.gauge(
        "instance_pending_writes",
        "Writes that the instance has not applied",
        each(|one| one.pending_writes as u64),
    )?;
    page.gauge(
        "instance_divergent_lanes",
        "Collections that cannot be brought to the verdicts on the instance",
        each(|one| one.divergent.len() as u64),
    )?;
    page.gauge(
        "instance_rebuilds",
        "Collections that are copied to the instance again",
        each(|one| one.rebuilds.len() as u64),
    )?;
    page.gauge(
        "instance_marked_collections",
        "Collections of them that the log could not hold enough for while the instance was down",
        each(|one| one.marked_collections as u64),
    )?;
    page.gauge(
        "instance_rebuild_records",
        "Records to be copied to the instance in all of these",
        each(|one| one.rebuilds.iter().map(|rebuild| rebuild.ids).sum()),
    )?;
    page.gauge(
        "instance_rebuild_copied_records",
        "Records of them that are copied",
        each(|one| one.rebuilds.iter().map(|rebuild| rebuild.copied).sum()),
    )?;
    page.gauge(
        "instance_led_lanes",
        "Collections with pending writes that the instance decides",
        each(|one| one.leads as u64),
    )
}

fn requests(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let there = snapshot.app.replication.instances();
    let views: Vec<(Labels<'_>, AttemptsView)> = there
        .iter()
        .flat_map(|one| {
            [(kind(&one.name, "read"), one.turns.reads()), (kind(&one.name, "write"), one.deliveries.view())]
        })
        .collect();
    let each = |value: fn(&AttemptsView) -> u64| {
        views.iter().map(move |(labels, view)| (labels.clone(), value(view)))
    };
    page.counter(
        "instance_requests",
        "Requests to the instance that ended, by kind",
        each(|view| view.durations.count()),
    )?;
    page.counter(
        "instance_errors",
        "Requests to the instance without an answer that decides anything, by kind",
        each(|view| view.failed),
    )?;
    page.counter(
        "instance_retries",
        "Requests to the instance that repeat one that failed elsewhere, by kind",
        each(|view| view.repeated).filter(|(labels, _)| labels.contains(&("kind", "read"))),
    )?;
    page.durations(
        "instance_request_duration_seconds",
        "How long requests to the instance took, by kind",
        views.iter().map(|(labels, view)| (labels.clone(), view.durations.clone())),
    )
}

fn kind<'a>(instance: &'a str, kind: &'a str) -> Labels<'a> {
    vec![("instance", instance), ("kind", kind)]
}
