//! Waiting for what is to come.

use std::time::Duration;

/// Far longer than anything takes; reached only by a test that fails.
const WITHIN: Duration = Duration::from_secs(60);

/// Fails where something that is to come does not.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(WITHIN, work).await else {
        panic!("in vain for {WITHIN:?}: {what}");
    };
    done
}
