//! What clients asked for, how it was answered, and what holds them up.

use std::fmt;

use super::Snapshot;
use super::page::Page;

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    answers(page, snapshot)?;
    admission(page, snapshot)?;
    kept_answers(page, snapshot)?;
    let (counts, limits) = (snapshot.app.counters.counts(), snapshot.app.limits());
    page.number(
        "transactions_under_way",
        "Writes under an id of the sender's that are being executed",
        limits.transactions_under_way as u64,
    )?;
    page.total(
        "transactions_repeated",
        "Writes that were answered with the outcome of the same request before",
        counts.repeated,
    )?;
    page.number(
        "reads_waiting",
        "Reads that wait for an instance that is caught up",
        snapshot.status.waiting_reads as u64,
    )
}

fn answers(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let measures = &snapshot.app.measures;
    let operations = measures.operations();
    let status = |code: u16| if code == 0 { "other".to_owned() } else { code.to_string() };
    let answered: Vec<(&str, String, u64)> = operations
        .iter()
        .flat_map(|one| one.answered.iter().map(|(code, count)| (one.name, status(*code), *count)))
        .collect();
    page.counter(
        "http_requests",
        "Requests of Chroma's API that were answered, by class and status",
        answered.iter().map(|(name, code, count)| (vec![("op", *name), ("code", code.as_str())], *count)),
    )?;
    page.durations(
        "http_request_duration_seconds",
        "From the head of a request to the head of its answer, by class",
        operations.iter().map(|one| (vec![("op", one.name)], one.durations.clone())),
    )?;
    page.number("http_requests_in_flight", "Requests that are not answered yet", {
        snapshot.app.counters.counts().active
    })?;
    page.counter(
        "refusals",
        "Errors of our own, by their code in Isochrome-Error",
        measures.refusals().into_iter().map(|(reason, count)| (vec![("reason", reason)], count)),
    )
}

fn kept_answers(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let counts = snapshot.app.counters.counts();
    page.total("cache_hits", "Reads that were answered by a kept answer", counts.cache_hits)?;
    page.total("cache_misses", "Reads that looked for a kept answer and found none", counts.cache_misses)?;
    page.number("cache_bytes", "Memory of the kept answers", snapshot.app.limits().kept_bytes)
}

fn admission(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let limits = snapshot.app.limits();
    let view = limits.admission;
    page.number("admission_requests", "Requests that were let in", view.requests as u64)?;
    page.number("admission_requests_max", "Requests that may be in at once", view.max_requests as u64)?;
    page.number("admission_body_bytes", "Bytes of bodies that are held", view.body_bytes as u64)?;
    page.number("admission_body_bytes_max", "Bytes of bodies that may be held", view.max_body_bytes as u64)?;
    page.number("admission_waiting", "Requests that wait to be let in", limits.waiting)?;
    page.total("admission_waits", "How often a request had to wait to be let in", view.waits)?;
    page.total("admission_rejections", "Requests that waited in vain", limits.refused)?;
    page.total("read_retries_exhausted", "Retries of reads that the budget refused", limits.retries_exhausted)
}
