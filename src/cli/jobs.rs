//! `isochrome jobs`: long work of the running process.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use super::{Exit, JobsArgs, socket, tell, verify, watch};

/// Prints all jobs, or one; or ends one.
pub async fn jobs(data_dir: &Path, args: &JobsArgs) -> Exit {
    let (method, path) = match args.id {
        Some(id) if args.cancel => (Method::DELETE, format!("/admin/jobs/{id}")),
        Some(id) => (Method::GET, format!("/admin/jobs/{id}")),
        None => (Method::GET, "/admin/jobs".to_owned()),
    };
    let answer = socket::answer::<Value>(data_dir, method, &path, Bytes::new()).await;
    tell(answer.map(|answer| match args.id {
        _ if args.json => format!("{answer:#}"),
        Some(_) => one(&answer),
        None => all(&answer),
    }))
}

fn all(answer: &Value) -> String {
    let jobs = answer["jobs"].as_array().map_or(&[][..], Vec::as_slice);
    if jobs.is_empty() {
        return "No jobs.".to_owned();
    }
    let head = format!("{:>5} {:<10} {:<26} progress or result", "id", "kind", "created");
    std::iter::once(head).chain(jobs.iter().map(line)).collect::<Vec<_>>().join("\n")
}

fn line(job: &Value) -> String {
    let word = |key: &str| job[key].as_str().unwrap_or("-").to_owned();
    let told = match job["summary"].as_str() {
        Some(summary) => format!("{}: {summary}", word("state")),
        None => watch::progress(job),
    };
    format!("{:>5} {:<10} {:<26} {told}", job["id"], word("kind"), word("created_at"))
}

fn one(job: &Value) -> String {
    let mut lines = vec![line(job)];
    if let Some(times) = job["interruptions"].as_u64().filter(|times| *times > 0) {
        lines.push(format!("interrupted {times} times by a stop of Isochrome, and begun again"));
    }
    if let Ok(report) = serde_json::from_value(job["result"].clone()) {
        lines.push(verify::text(&report));
    }
    lines.join("\n")
}
