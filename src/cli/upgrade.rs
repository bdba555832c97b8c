//! `isochrome upgrade-chroma`: another version of Chroma on the managed servers, one after the other.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{Exit, LocationArgs, socket, tell, watch};
use crate::repair::upgrade::CANARY_S;

/// Arguments of `upgrade-chroma`.
#[derive(Clone, Debug, Default, Args)]
pub struct UpgradeArgs {
    /// Which process to ask: the one that runs on this data directory.
    #[command(flatten)]
    pub location: LocationArgs,

    /// The version of the package chromadb, installed with pip into DATA/chroma/VERSION
    #[arg(required_unless_present = "command")]
    pub version: Option<String>,

    /// Take this executable, which is installed already, instead of installing one
    #[arg(long, value_name = "PATH")]
    pub command: Option<PathBuf>,

    /// How long the first instance serves before the next one follows
    #[arg(long, value_name = "SECONDS", default_value_t = CANARY_S)]
    pub canary_s: u64,
}

/// Asks for it, waits for its end, and prints what came out. [`Exit::Failed`] unless every server was upgraded.
pub async fn upgrade(data_dir: &Path, args: &UpgradeArgs) -> Exit {
    tell(upgraded(data_dir, args).await)
}

async fn upgraded(data_dir: &Path, args: &UpgradeArgs) -> Result<String, String> {
    let command = args.command.as_deref().map(std::path::absolute).transpose();
    let command = command.map_err(|error| format!("--command: {error}"))?;
    let request = json!({ "version": args.version, "command": command, "canary_s": args.canary_s });
    let body = Bytes::from(request.to_string());
    let job: Value = socket::answer(data_dir, Method::POST, "/admin/upgrade-chroma", body).await?;
    let job = watch::job(data_dir, job["id"].as_i64().unwrap_or_default()).await?;
    let summary = job["summary"].as_str().unwrap_or_default().to_owned();
    match job["state"].as_str() {
        Some("done") => Ok(summary),
        Some("cancelled") => Err(format!("The upgrade was cancelled. {summary}")),
        _ => Err(format!("The upgrade failed. {summary}")),
    }
}
