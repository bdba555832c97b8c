//! Whether a Chroma server answers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::config::InstanceUrl;

/// True when a Chroma server answers its heartbeat within `timeout`.
pub(super) async fn answers(url: &InstanceUrl, timeout: Duration) -> bool {
    matches!(tokio::time::timeout(timeout, ask(url)).await, Ok(Some(())))
}

async fn ask(url: &InstanceUrl) -> Option<()> {
    const MAX_ANSWER_BYTES: usize = 1 << 10;
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http::<Empty<Bytes>>();
    let answer = client.get(format!("{url}/api/v2/heartbeat").parse().ok()?).await.ok()?;
    let good = answer.status().is_success();
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await.ok()?.to_bytes();
    let heartbeat: serde_json::Value = serde_json::from_slice(&body).ok()?;
    (good && heartbeat.get("nanosecond heartbeat").is_some()).then_some(())
}
