//! SIGTERM and SIGINT: the first one drains, the second one ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the process.
#[derive(Debug)]
pub struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    /// Replaces the default actions of SIGTERM, SIGINT and SIGHUP, which end the process at once.
    ///
    /// # Errors
    /// The system refuses.
    #[expect(
        clippy::disallowed_methods,
        reason = "the task ends with the runtime and has no work to finish"
    )]
    pub fn new() -> io::Result<Self> {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                tracing::warn!(
                    "SIGHUP is ignored: this version reads its configuration at start alone"
                );
            }
        });
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
