//! `isochrome verify`: are the instances the same, record by record?

use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Exit, VerifyArgs, socket, watch};
use crate::repair::verify::report::{CollectionReport, NotCompared, Repair, Report};

/// Asks for a comparison, waits for it, and prints what it says. [`Exit::Failed`] unless everything was compared and is
/// the same, or was mended.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the answer to the person who started the command"
)]
pub async fn verify(data_dir: &Path, args: &VerifyArgs) -> Exit {
    match compared(data_dir, args).await {
        Ok((report, result)) => {
            if args.json {
                println!("{result:#}");
            } else {
                println!("{}", text(&report));
            }
            if report.is_well() { Exit::Well } else { Exit::Failed }
        }
        Err(reason) => {
            eprintln!("{reason}");
            Exit::Failed
        }
    }
}

async fn compared(data_dir: &Path, args: &VerifyArgs) -> Result<(Report, Value), String> {
    let request = json!({ "collection": args.collection, "repair": args.repair, "from": args.from });
    let request = Bytes::from(request.to_string());
    let job: Value = socket::answer(data_dir, Method::POST, "/admin/verify", request).await?;
    let job = watch::job(data_dir, job["id"].as_i64().unwrap_or_default()).await?;
    if job["state"] != "done" {
        let (state, why) = (job["state"].as_str().unwrap_or("?"), job["summary"].as_str().unwrap_or(""));
        return Err(format!("The comparison was not finished, it is {state}. {why}"));
    }
    let report = serde_json::from_value(job["result"].clone());
    let report = report.map_err(|error| format!("The report can't be read: {error}."))?;
    Ok((report, job["result"].clone()))
}

/// The report for people: the verdict, what differs, what was not compared, and every collection.
pub fn text(report: &Report) -> String {
    let at = |ms: u64| {
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms))
    };
    let [first, last] = report.log_positions;
    let mut lines = vec![
        report.summary(),
        format!("from {} to {}, log at {first} to {last}", at(report.began_ms), at(report.ended_ms)),
    ];
    for difference in &report.differences {
        let place = format!("{}/{}/{}", difference.tenant, difference.database, difference.collection);
        let record = difference.record.as_ref().map(|id| format!(" record {id:?}")).unwrap_or_default();
        let sides: Vec<String> =
            difference.instances.iter().map(|(instance, what)| format!("{instance} {what}")).collect();
        lines.push(format!("DIFFERENT {place}{record} {}: {}", difference.field, sides.join("; ")));
    }
    let unnamed = report.difference_count - report.differences.len() as u64;
    if unnamed > 0 {
        lines.push(format!("and {unnamed} differences more"));
    }
    lines.extend(report.repairs.iter().map(repaired));
    if report.repairs.iter().any(|repair| repair.why_not.is_none()) && report.instances.len() < 3 {
        lines.push(
            "With two instances nobody can know which one was right; --from takes the other one.".to_owned(),
        );
    }
    lines.extend(report.not_compared.iter().map(|one| not_compared("", one)));
    if !report.collections.is_empty() {
        lines.push(format!(
            "{:<10} {:>10} {:>15}  {:<32}  collection",
            "verdict", "records", "positions", "digest"
        ));
    }
    for one in &report.collections {
        lines.push(line(one));
        let known =
            |other: &&NotCompared| !report.not_compared.iter().any(|known| known.instance == other.instance);
        lines.extend(one.not_compared.iter().filter(known).map(|other| not_compared(&one.name, other)));
    }
    lines.join("\n")
}

fn line(one: &CollectionReport) -> String {
    let place = format!("{}/{}/{}", one.tenant, one.database, one.name);
    let positions = format!("{}..{}", one.positions[0], one.positions[1]);
    let (verdict, records, digest) = (one.verdict.word(), one.records, &one.digest);
    format!("{verdict:<10} {records:>10} {positions:>15}  {digest:<32}  {place}")
}

fn repaired(repair: &Repair) -> String {
    let Repair { tenant, database, collection, instance, from, mended, rebuilt, why_not } = repair;
    let place = format!("{tenant}/{database}/{collection} on {instance}");
    match why_not {
        None if let Some(reason) = rebuilt => format!("REBUILT {place}, because {reason}"),
        None => format!("MENDED {place}: {mended} records are as on {from} now"),
        Some(why) => format!("NOT MENDED {place}: {why}"),
    }
}

fn not_compared(collection: &str, one: &NotCompared) -> String {
    let of = if collection.is_empty() { String::new() } else { format!("{collection} of ") };
    format!("NOT COMPARED {of}{}: {}", one.instance, one.why)
}
