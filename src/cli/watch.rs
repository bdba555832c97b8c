//! Waiting for a job, with its progress: one line that changes on a terminal, now and then a line elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::socket;

/// Pause between two looks at a job.
const LOOK: Duration = Duration::from_millis(150);
/// Pause between two lines where no terminal is.
const LINE: Duration = Duration::from_secs(10);
/// Characters of a terminal's line that are used.
const WIDTH: usize = 78;

/// Waits until a job is over, and gives it. The job goes on where the waiting is broken off.
///
/// # Errors
/// Why nobody can say, for people.
pub async fn job(data_dir: &Path, id: i64) -> Result<Value, String> {
    let mut shown = Shown { live: stderr().is_terminal(), last: None, width: 0 };
    let path = format!("/admin/jobs/{id}");
    // One for the whole time: it hears what comes between two looks too.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let look = socket::answer(data_dir, Method::GET, &path, Bytes::new());
        let looked: Result<Value, String> = tokio::select! {
            looked = look => looked,
            _ = &mut interrupted => {
                shown.clear();
                return Err(format!("The job goes on: `isochrome jobs {id}` shows it, with --cancel it ends."));
            }
        };
        let job = looked.inspect_err(|_| shown.clear())?;
        if job["ended_at"].is_string() {
            shown.clear();
            return Ok(job);
        }
        shown.show(&progress(&job));
        sleep(LOOK).await;
    }
}

struct Shown {
    live: bool,
    last: Option<Instant>,
    width: usize,
}

impl Shown {
    /// A terminal that is gone is no reason to stop waiting.
    fn show(&mut self, line: &str) {
        if self.live {
            let line: String = line.chars().take(WIDTH).collect();
            _ = write!(stderr(), "\r{line:<width$}", width = self.width);
            _ = stderr().flush();
            self.width = line.chars().count();
        } else if self.last.is_none_or(|last| last.elapsed() >= LINE) {
            _ = writeln!(stderr(), "{line}");
            self.last = Some(Instant::now());
        }
    }

    fn clear(&mut self) {
        if self.live && self.width > 0 {
            _ = write!(stderr(), "\r{:<width$}\r", "", width = self.width);
        }
    }
}

/// How far a job is, in a line.
pub fn progress(job: &Value) -> String {
    let state = job["state"].as_str().unwrap_or("?");
    let progress = &job["progress"];
    let Some(done) = progress["done"].as_u64() else { return state.to_owned() };
    let unit = progress["unit"].as_str().unwrap_or("");
    let mut line = match progress["total"].as_u64() {
        Some(total) => {
            let percent = (done.min(total) * 100).checked_div(total).unwrap_or(100);
            format!("{state} {percent:>3} %, {done} of {total} {unit}")
        }
        // Nothing is counted yet.
        None if done == 0 => state.to_owned(),
        None => format!("{state}, {done} {unit}"),
    };
    if let Some(rate) = progress["rate_per_s"].as_f64().filter(|rate| *rate > 0.0) {
        line = format!("{line}, {rate:.0}/s");
    }
    let left = progress["remaining_s"].as_f64().filter(|_| state == "running");
    if let Some(left) = left.and_then(|left_s| Duration::try_from_secs_f64(left_s.ceil()).ok()) {
        line = format!("{line}, {} left", humantime::format_duration(left));
    }
    match progress["phase"].as_str() {
        Some(phase) if !phase.is_empty() && state == "running" => format!("{line}: {phase}"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn progress_is_a_line_with_rate_and_remaining_time() {
        let progress_of = json!({"phase": "docs", "done": 500, "total": 2_000, "unit": "records",
            "rate_per_s": 250.0, "remaining_s": 5.2});
        let running = json!({"state": "running", "progress": progress_of});
        assert_eq!(progress(&running), "running  25 %, 500 of 2000 records, 250/s, 6s left: docs");
        assert_eq!(progress(&json!({"state": "queued", "progress": null})), "queued");
    }
}
