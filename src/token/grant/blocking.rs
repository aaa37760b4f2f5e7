//! Blocking work on threads that may block.

use std::time::Duration;

use crate::token::store::StoreError;

/// The longest wait for blocking work. A network disk may hang forever.
const DISK_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs `work` on a thread that may block. It runs to its end even when the returned future is dropped.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::time::timeout(DISK_TIMEOUT, tokio::task::spawn_blocking(work)).await;
    done.map_err(|_| StoreError::Slow)?
        .map_err(|_| StoreError::Interrupted)
}
