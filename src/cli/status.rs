//! `isochrome status`: what the running process says, over its socket in the data directory.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Exit, socket, tell};

/// Prints the status as text, or as the JSON that it is made from.
pub async fn status(data_dir: &Path, json: bool) -> Exit {
    let status = socket::answer::<Box<RawValue>>(data_dir, Method::GET, "/status", Bytes::new()).await;
    tell(status.map(|status| {
        if json {
            status.get().to_owned()
        } else {
            text(&serde_json::from_str(status.get()).unwrap_or_default())
        }
    }))
}

/// The figures that one looks for first, a line each.
fn text(status: &Value) -> String {
    let wal = &status["unified_wal"];
    let head = status["log"]["durable_lsn"].as_u64().unwrap_or_default();
    let mut lines = Vec::new();
    if let (Some(since), Some(detail)) =
        (status["fenced"]["since"].as_str(), status["fenced"]["detail"].as_str())
    {
        lines.push(format!("FENCED since {since}: {detail}"));
    }
    lines.extend([
        format!(
            "{} of {} instances healthy, log at {head}, {} writes pending",
            status["healthy_instances"], status["total_instances"], wal["pending_writes"]
        ),
        format!(
            "{:<12} {:<14} {:>12} {:>9} {:>9} {:>10}  detail",
            "instance", "state", "applied to", "pending", "lag ms", "requests"
        ),
    ]);
    for instance in status["instances"].as_array().into_iter().flatten() {
        let word = |key: &str| instance[key].as_str().unwrap_or("-").to_owned();
        let number = |key: &str| instance[key].as_u64().map_or("-".to_owned(), |n| n.to_string());
        // Everything before the first write that it misses is applied there, or needs nothing.
        let position =
            instance["oldest_pending_lsn"].as_u64().map_or(head, |oldest| oldest.saturating_sub(1));
        lines.push(format!(
            "{:<12} {:<14} {position:>12} {:>9} {:>9} {:>10}  {}",
            word("name"),
            word("condition"),
            number("pending_writes"),
            number("lag_ms"),
            number("total_requests"),
            word("detail"),
        ));
        lines.extend(marked(&instance["marked_collections"]));
        lines.extend(rebuilds(&instance["rebuilds"]));
    }
    lines.extend(executables(&status["instances"]));
    if let (Some(instance), Some(delay_ms)) =
        (status["slowed"]["instance"].as_str(), status["slowed"]["delay_ms"].as_u64())
    {
        lines.push(format!(
            "acknowledgements wait up to {delay_ms} ms for {instance}, which lags; isochrome release {instance} lets it"
        ));
    }
    for suspect in status["suspects"].as_array().into_iter().flatten() {
        lines.push(format!(
            "suspect write {suspect}: an instance died or stopped writing under it; it is rehearsed before it is sent"
        ));
    }
    for poisoned in status["poisoned"].as_array().into_iter().flatten() {
        lines
            .push(format!("POISONED write {poisoned}: it was withdrawn and is kept; see isochrome poisoned"));
    }
    for refused in status["refused"].as_array().into_iter().flatten() {
        lines.push(format!(
            "REFUSED write {refused}: it is committed, and the last instance that has its collection does not take it; \
             the collection is behind until it does, or is dropped"
        ));
    }
    if let (Some(at), Some(summary)) =
        (status["verify"]["ended_at"].as_str(), status["verify"]["summary"].as_str())
    {
        lines.push(format!("compared at {at}: {summary}"));
    }
    lines.extend(reload(&status["reload"]));
    lines.join("\n")
}

/// What the servers run, where they are managed.
fn executables(instances: &Value) -> Option<String> {
    let run = |instance: &Value| {
        Some(format!("{} runs {}", instance["name"].as_str()?, instance["chroma"].as_str()?))
    };
    let all: Vec<String> = instances.as_array()?.iter().filter_map(run).collect();
    (!all.is_empty()).then(|| format!("Chroma: {}", all.join(", ")))
}

/// What the log holds no more for an instance that was down for long.
fn marked(collections: &Value) -> Option<String> {
    let marked = collections.as_u64().filter(|marked| *marked > 0)?;
    Some(format!(
        "  it was down for longer than the log could hold what it missed: {marked} collections are copied to it again"
    ))
}

/// Collections that are copied to an instance again: those under way in a line each, the rest counted.
fn rebuilds(rebuilds: &Value) -> Vec<String> {
    let all = rebuilds.as_array().map(Vec::as_slice).unwrap_or_default();
    let (waiting, active): (Vec<&Value>, Vec<&Value>) =
        all.iter().partition(|rebuild| rebuild["phase"] == "waiting");
    let mut lines: Vec<String> = active
        .into_iter()
        .map(|rebuild| {
            let text = |key: &str| rebuild[key].as_str().unwrap_or("-").to_owned();
            let rate = rebuild["ids_per_s"].as_u64().map(|rate| format!(", {rate}/s")).unwrap_or_default();
            let left = rebuild["remaining_s"].as_u64().map(|s| format!(", {s} s left")).unwrap_or_default();
            format!(
                "  rebuilding {:?}: {}, {} of {} records{rate}{left}, {} newer writes to follow ({})",
                text("collection"),
                text("phase"),
                rebuild["copied"],
                rebuild["ids"],
                rebuild["pending"],
                text("reason"),
            )
        })
        .collect();
    if !waiting.is_empty() {
        lines.push(format!("  {} collections wait for their turn to be rebuilt", waiting.len()));
    }
    lines
}

/// What became of the last reload, where there was one.
fn reload(reload: &Value) -> Vec<String> {
    let Some(at) = reload["at"].as_str() else {
        return Vec::new();
    };
    let all = |key: &str| reload[key].as_array().cloned().unwrap_or_default();
    let lines = |key: &str, before: &str| -> Vec<String> {
        all(key).iter().map(|line| format!("  {before}: {}", line.as_str().unwrap_or_default())).collect()
    };
    if reload["ok"] == true {
        let mut told = vec![format!("configuration reloaded at {at}, {} keys changed", all("changed").len())];
        told.extend(lines("needs_restart", "needs a restart"));
        return told;
    }
    let mut told = vec![format!("configuration NOT reloaded at {at}, nothing changed")];
    told.extend(lines("problems", "wrong"));
    told
}
