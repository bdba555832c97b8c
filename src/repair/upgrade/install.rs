//! The executable of a version: a virtual environment of its own in the data directory, or one that is there already.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::request::Request;
use crate::instances::managed::Chosen;
use crate::repair::jobs::Progress;

/// In an environment that is complete.
const COMPLETE: &str = "isochrome-complete";
/// How long an installation may take.
const INSTALL: Duration = Duration::from_secs(1_800);
/// How long an executable may take to tell its version.
const LOOK: Duration = Duration::from_secs(60);
/// What an environment takes on the disk, and some more.
const ENVIRONMENT_BYTES: u64 = 1 << 30;
/// Characters of a failed program's last line that are told.
const TOLD_CHARS: usize = 300;

/// The executable that is asked for, which runs.
///
/// # Errors
/// Why there is none, for people.
pub(super) async fn provide(
    request: &Request,
    data_dir: &Path,
    progress: &Progress,
) -> Result<Chosen, String> {
    let command = match (&request.command, &request.version) {
        (Some(command), _) => command.clone(),
        (None, Some(version)) => {
            progress.phase(format!("installing chromadb {version}"));
            environment(data_dir, version).await?
        }
        (None, None) => return Err("neither a version nor an executable is named".to_owned()),
    };
    progress.phase(format!("looking at {}", command.display()));
    run(&command, &["--version"], LOOK).await?;
    let found = Chosen::new(command);
    match (&found.version, &request.version) {
        (Some(is), Some(wanted)) if is != wanted => {
            Err(format!("{} is of version {is}, not {wanted}", found.command.display()))
        }
        (None, Some(wanted)) => Ok(Chosen { version: Some(wanted.clone()), ..found }),
        _ => Ok(found),
    }
}

/// What an upgrade may need on the disk: an environment, and once more what the largest server holds, for one that
/// does not come back well is filled again before its old files go.
///
/// # Errors
/// That there is less, for people. Blocks.
pub(super) fn check_disk(request: &Request, free: Option<u64>, files: &[PathBuf]) -> Result<(), String> {
    let largest = files.iter().map(|files| bytes_in(files)).max().unwrap_or(0);
    let installs = request.command.is_none();
    let needed = largest + if installs { ENVIRONMENT_BYTES } else { 0 };
    match free {
        Some(free) if free < needed => Err(format!(
            "The disk of the data directory has {free} bytes left, and an upgrade may need {needed}; make room first"
        )),
        _ => Ok(()),
    }
}

/// Bytes of all files below a directory.
fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { bytes_in(&entry.path()) } else { metadata.len() })
    });
    bytes.sum()
}

/// The executable of a version's own environment, which is made where it is not complete.
async fn environment(data_dir: &Path, version: &str) -> Result<PathBuf, String> {
    let data_dir = std::path::absolute(data_dir).map_err(|error| error.to_string())?;
    let place = data_dir.join("chroma").join(version);
    let (complete, command) = (place.join(COMPLETE), place.join("bin/chroma"));
    if complete.exists() && command.exists() {
        return Ok(command);
    }
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    // What an interrupted installation left.
    if place.exists() {
        tokio::fs::remove_dir_all(&place).await.map_err(failed)?;
    }
    tokio::fs::create_dir_all(&place).await.map_err(failed)?;
    if let Err(why) = install(&place, version).await {
        tokio::fs::remove_dir_all(&place).await.map_err(failed)?;
        return Err(why);
    }
    tokio::fs::write(&complete, b"").await.map_err(failed)?;
    Ok(command)
}

async fn install(place: &Path, version: &str) -> Result<(), String> {
    run(Path::new("python3"), &["-m", "venv", &place.to_string_lossy()], INSTALL).await?;
    let package = format!("chromadb=={version}");
    let pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", &package];
    run(&place.join("bin/python"), &pip, INSTALL).await
}

/// Runs a program to its end; it ends with us.
async fn run(program: &Path, arguments: &[&str], within: Duration) -> Result<(), String> {
    let name = format!("{} {}", program.display(), arguments.join(" "));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let ended =
        timeout(within, command.output()).await.map_err(|_| format!("{name} did not end in {within:?}"))?;
    let Output { status, stdout, stderr } = ended.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound if program == Path::new("python3") => {
            "There is no python3 on PATH to install Chroma with; install it with venv and pip, or install Chroma \
             yourself and name it with --command"
                .to_owned()
        }
        _ => format!("{} can't be run: {error}", program.display()),
    })?;
    if status.success() {
        return Ok(());
    }
    let said = if stderr.is_empty() { stdout } else { stderr };
    Err(format!("{name} ended with {status}: {}", last_line(&said)))
}

fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or_default().chars().take(TOLD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("chroma");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn an_executable_that_does_not_tell_its_version_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new("records");
        let of = |command: PathBuf| Request { command: Some(command), ..Request::default() };
        let missing = of(dir.path().join("missing"));
        let words = provide(&missing, dir.path(), &progress).await.unwrap_err();
        assert!(words.contains("can't be run"), "{words}");
        let broken = of(script(dir.path(), "echo no such library >&2; exit 4"));
        let words = provide(&broken, dir.path(), &progress).await.unwrap_err();
        assert!(words.contains("exit status: 4: no such library"), "{words}");
        let named = Request { version: Some("9.9".to_owned()), ..of(script(dir.path(), "echo chroma 1")) };
        let chosen = provide(&named, dir.path(), &progress).await.unwrap();
        assert_eq!(chosen.version.as_deref(), Some("9.9"), "told by nobody else");
        std::fs::create_dir_all(dir.path().join("bin")).unwrap();
        std::fs::create_dir_all(dir.path().join("lib/python3/site-packages/chromadb-1.5.9.dist-info"))
            .unwrap();
        let installed =
            Request { version: Some("9.9".to_owned()), ..of(script(&dir.path().join("bin"), "")) };
        let words = provide(&installed, dir.path(), &progress).await.unwrap_err();
        assert!(words.contains("is of version 1.5.9, not 9.9"), "{words}");
    }

    #[test]
    fn room_is_wanted_for_what_the_largest_server_holds() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str, bytes: usize| {
            let files = dir.path().join(name);
            std::fs::create_dir_all(files.join("index")).unwrap();
            std::fs::write(files.join("index/data"), vec![0; bytes]).unwrap();
            files
        };
        let files = [of("a", 10), of("b", 3_000)];
        assert_eq!(bytes_in(&files[1]), 3_000);
        let request = Request { command: Some("/chroma".into()), ..Request::default() };
        check_disk(&request, Some(3_000), &files).unwrap();
        check_disk(&request, None, &files).unwrap();
        let words = check_disk(&request, Some(2_999), &files).unwrap_err();
        assert!(words.contains("make room first"), "{words}");
        let installs = Request { version: Some("1.5.9".to_owned()), ..Request::default() };
        assert!(check_disk(&installs, Some(1 << 20), &files).is_err());
    }
}
