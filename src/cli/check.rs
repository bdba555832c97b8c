//! `isochrome check`: reaches each instance and says what is wrong, without changing anything.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::timeout;

use super::Exit;
use crate::chroma::ids::InstanceId;
use crate::config::{Config, InstanceConfig};
use crate::instances::client::Instance;
use crate::instances::marker::{self, Found};

/// How long an instance may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints a line for each instance; [`Exit::Failed`] where one is not fit.
#[expect(clippy::print_stdout, reason = "the answer to the person who started the command")]
pub async fn check(config: &Config) -> Exit {
    println!("The configuration is valid.");
    println!("  listen    {}", config.listen);
    println!("  data in   {}", config.data_dir.display());
    if config.instances.is_empty() {
        println!("  instances none configured: `serve` starts two Chroma servers of its own");
        return Exit::Well;
    }
    let fresh = !config.data_dir.join("state.db").exists();
    let mut markers = Vec::new();
    let mut well = true;
    for configured in &config.instances {
        let verdict = match look(configured).await {
            Ok(Found::Marker(marker, _)) => {
                let verdict = judge(&marker, configured, fresh, &markers);
                markers.push((configured.name.clone(), marker));
                verdict
            }
            Ok(Found::Foreign(what)) => Err(format!(
                "holds data but not our marker ({what}); start with an empty server, or see `isochrome adopt`"
            )),
            Ok(Found::Empty | Found::Unfinished(_)) if fresh => {
                Ok("reachable, empty, ready to join".to_owned())
            }
            Ok(Found::Empty | Found::Unfinished(_)) => {
                Ok("reachable, empty: fine if it never joined, else it has lost its data".to_owned())
            }
            Err(reason) => Err(reason),
        };
        let (word, text) = match &verdict {
            Ok(text) => ("ok", text),
            Err(text) => ("WRONG", text),
        };
        well &= verdict.is_ok();
        println!("  {word:<5} {} ({}): {text}", configured.name, configured.url);
    }
    if well { Exit::Well } else { Exit::Failed }
}

async fn look(configured: &InstanceConfig) -> Result<Found, String> {
    let instance = Instance::new(InstanceId(0), configured.name.clone(), configured.url.authority());
    let heartbeat = timeout(PATIENCE, instance.call(Method::GET, "/api/v2/heartbeat", Bytes::new())).await;
    match heartbeat {
        Err(_) => return Err(format!("does not answer within {} s; is it hung?", PATIENCE.as_secs())),
        Ok(Err(error)) => {
            return Err(format!(
                "can't be reached: {error}; is the server running, and are host and port right?"
            ));
        }
        Ok(Ok(reply)) if !reply.is_success() || !reply.body.starts_with(b"{\"nanosecond") => {
            return Err("answers, but not as a Chroma server with API v2 does".to_owned());
        }
        Ok(Ok(_)) => {}
    }
    match timeout(PATIENCE, marker::read(&instance)).await {
        Err(_) => Err(format!("its data can't be read within {} s", PATIENCE.as_secs())),
        Ok(found) => found.map_err(|error| error.to_string()),
    }
}

fn judge(
    marker: &marker::Marker,
    configured: &InstanceConfig,
    fresh: bool,
    others: &[(String, marker::Marker)],
) -> Result<String, String> {
    if let Some((other, _)) =
        others.iter().find(|(_, other)| other.cluster == marker.cluster && other.instance == marker.instance)
    {
        return Err(format!("is the same server as {other}; each instance must be a server of its own"));
    }
    if marker.instance != configured.name {
        return Err(format!("belongs to Isochrome as {:?}, not as {:?}", marker.instance, configured.name));
    }
    if let Some((other, theirs)) = others.iter().find(|(_, other)| other.cluster != marker.cluster) {
        return Err(format!("belongs to cluster {}, but {other} to {}", marker.cluster, theirs.cluster));
    }
    if fresh {
        return Err(format!(
            "belongs to cluster {} already, and this data directory is new; name the data directory of that cluster",
            marker.cluster
        ));
    }
    Ok(format!("reachable, ours (cluster {})", marker.cluster))
}
