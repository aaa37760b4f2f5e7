//! The runtime of commands that do network work.

use std::io;

use super::print_error;
use crate::{
    app::{Failure, core_dumps::disable_core_dumps},
    tls,
};

/// Runs `work` on a runtime of this thread, after the process has been hardened.
///
/// # Errors
/// Those of `work`, and a runtime that cannot be started.
pub(super) fn on_control_thread<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if let Err(error) = disable_core_dumps() {
        print_error(&format!("core dumps cannot be disabled: {error}"));
    }
    tls::install_crypto_provider();
    block_on(work).map_err(Failure::Worker)?
}

/// Runs `work` on a runtime of this thread.
///
/// # Errors
/// The runtime cannot be started.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    // A DNS look-up that hangs in a blocking thread must not delay the exit.
    runtime.shutdown_background();
    Ok(outcome)
}
