//! One heartbeat, or two.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::timeout;

use super::client::Instance;
use super::proof::Unfit;
use super::reason::DownReason;

/// An instance is hung when a heartbeat stays unanswered for this long.
const HUNG_AFTER: Duration = Duration::from_secs(2);

/// Asks for a heartbeat, and a second time when the first gets lost or stays unanswered for half of the patience: a
/// single lost one says little.
pub(super) async fn heartbeat(instance: &Instance) -> Result<(), Unfit> {
    let mut first = pin!(ask(instance));
    let early = timeout(HUNG_AFTER / 2, &mut first).await;
    let again = async {
        match early {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => ask(instance).await,
            Err(_) => tokio::select! {
                answer = first => answer,
                answer = ask(instance) => answer,
            },
        }
    };
    let hung = || Unfit::hung(&format!("no heartbeat for {} s", HUNG_AFTER.as_secs()));
    timeout(HUNG_AFTER / 2, again).await.unwrap_or_else(|_| Err(hung()))
}

async fn ask(instance: &Instance) -> Result<(), Unfit> {
    let refused = |detail| Err(Unfit { reason: DownReason::Refused, detail, wrong_server: false });
    match instance.call(Method::GET, "/api/v2/heartbeat", Bytes::new()).await {
        Err(error) => refused(error.to_string()),
        Ok(reply) if !reply.is_success() => refused(format!("its heartbeat is answered {}", reply.status)),
        Ok(_) => Ok(()),
    }
}
