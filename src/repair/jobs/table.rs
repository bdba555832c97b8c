//! Jobs in `jobs.db`.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::job::{Job, JobId, JobState};

/// The first version of the file.
pub const SCHEMA: &str = "
CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, request TEXT NOT NULL,
    state TEXT NOT NULL, interruptions INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,
    started_ms INTEGER, ended_ms INTEGER, progress TEXT, summary TEXT, result TEXT);
CREATE INDEX job_kind ON job (kind, id);
";

/// Jobs of each kind that are remembered after their end.
const KEPT: u64 = 100;

const COLUMNS: &str =
    "id, kind, request, state, interruptions, created_ms, started_ms, ended_ms, progress, summary";

/// Notes a job that waits.
pub fn insert(conn: &mut Connection, kind: &str, request: &Value, now_ms: u64) -> rusqlite::Result<JobId> {
    let text = request.to_string();
    conn.prepare_cached("INSERT INTO job (kind, request, state, created_ms) VALUES (?1, ?2, 'queued', ?3)")?
        .execute((kind, text, now_ms))?;
    Ok(JobId(conn.last_insert_rowid()))
}

/// Notes that a job begins.
pub fn begin(conn: &mut Connection, id: JobId, now_ms: u64) -> rusqlite::Result<()> {
    conn.execute("UPDATE job SET state = 'running', started_ms = ?2 WHERE id = ?1", (id.0, now_ms))?;
    Ok(())
}

/// Notes how a job ended, and forgets the oldest ones of its kind.
pub fn end(conn: &mut Connection, job: &Job) -> rusqlite::Result<()> {
    let change = conn.transaction()?;
    let progress = job.progress.as_ref().and_then(|progress| serde_json::to_string(progress).ok());
    let result = (!job.result.is_null()).then(|| job.result.to_string());
    change.execute(
        "UPDATE job SET state = ?2, ended_ms = ?3, progress = ?4, summary = ?5, result = ?6 WHERE id = ?1",
        (job.id.0, job.state.word(), job.ended_ms, progress, &job.summary, result),
    )?;
    change.execute(
        "DELETE FROM job WHERE kind = ?1 AND ended_ms IS NOT NULL AND id NOT IN
         (SELECT id FROM job WHERE kind = ?1 AND ended_ms IS NOT NULL ORDER BY id DESC LIMIT ?2)",
        (&job.kind, KEPT),
    )?;
    change.commit()
}

/// Notes that the process ended under what had not ended, and gives it in its order.
pub fn interrupt(conn: &mut Connection) -> rusqlite::Result<Vec<Job>> {
    conn.execute(
        "UPDATE job SET state = 'interrupted', interruptions = interruptions + 1 WHERE state = 'running'",
        [],
    )?;
    select(conn, "WHERE ended_ms IS NULL ORDER BY id", [])
}

/// All jobs, the newest first, without their results.
pub fn all(conn: &mut Connection) -> rusqlite::Result<Vec<Job>> {
    select(conn, "ORDER BY id DESC", [])
}

/// A job with its result.
pub fn find(conn: &mut Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    with_result(conn, "WHERE id = ?1", [id.0])
}

/// The last job of a kind that came to its end, with its result.
pub fn last_done(conn: &mut Connection, kind: &str) -> rusqlite::Result<Option<Job>> {
    with_result(conn, "WHERE kind = ?1 AND state = 'done' ORDER BY ended_ms DESC LIMIT 1", [kind])
}

/// When the last job of a kind was asked for.
pub fn last_created_ms(conn: &mut Connection, kind: &str) -> rusqlite::Result<Option<u64>> {
    conn.query_row("SELECT max(created_ms) FROM job WHERE kind = ?1", [kind], |row| row.get(0))
}

fn select(conn: &Connection, which: &str, of: impl rusqlite::Params) -> rusqlite::Result<Vec<Job>> {
    let mut rows = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM job {which}"))?;
    rows.query_map(of, read)?.collect()
}

fn with_result(conn: &Connection, which: &str, of: impl rusqlite::Params) -> rusqlite::Result<Option<Job>> {
    let mut row = conn.prepare_cached(&format!("SELECT {COLUMNS}, result FROM job {which}"))?;
    row.query_row(of, |row| {
        let result = row.get::<_, Option<String>>(10)?.map(|text| json(10, &text)).transpose()?;
        Ok(Job { result: result.unwrap_or_default(), ..read(row)? })
    })
    .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    let state: String = row.get(3)?;
    let state = JobState::WORDS.iter().find(|(_, word)| *word == state);
    let progress: Option<String> = row.get(8)?;
    Ok(Job {
        id: JobId(row.get(0)?),
        kind: row.get(1)?,
        request: json(2, &row.get::<_, String>(2)?)?,
        state: state.map_or(JobState::Failed, |(state, _)| *state),
        interruptions: row.get(4)?,
        created_ms: row.get(5)?,
        started_ms: row.get(6)?,
        ended_ms: row.get(7)?,
        progress: progress.map(|text| json(8, &text)).transpose()?,
        summary: row.get(9)?,
        result: Value::Null,
    })
}

fn json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
