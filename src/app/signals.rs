//! The signals of operators: SIGHUP reloads, SIGTERM and SIGINT end the process.

use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

/// A signal of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT: the first one drains, the second one ends the process at once.
    Shutdown,
}

/// The signals to the process.
#[derive(Debug)]
pub struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Replaces the default actions of SIGTERM, SIGINT and SIGHUP, which end the process at once.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal. Cancel-safe.
    pub async fn recv(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Shutdown,
            _ = self.interrupt.recv() => Signal::Shutdown,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Waits for the next signal that ends the process, and ignores the others. Cancel-safe.
    pub async fn shutdown(&mut self) {
        while self.recv().await != Signal::Shutdown {
            tracing::info!("reload.ignored: the process is about to end");
        }
    }
}
