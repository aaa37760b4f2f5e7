//! Requests for a reload of the configuration, from the admin listener and from elsewhere in the process.

use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

/// Reloads that wait at a time; further requests are refused.
const MAX_WAITING: usize = 16;

/// The one who asks for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadCause {
    /// SIGHUP.
    Signal,
    /// `POST /api/reload`.
    Admin,
    /// A file of the configuration has changed.
    File,
    /// A configuration that was refused is checked once more.
    Recheck,
}

impl ReloadCause {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "SIGHUP",
            Self::Admin => "POST /api/reload",
            Self::File => "a changed file",
            Self::Recheck => "a file that was missing",
        }
    }
}

/// The outcome of a reload.
#[derive(Clone, Debug, PartialEq)]
pub struct ReloadReply {
    /// Whether the new configuration is in force.
    pub is_applied: bool,
    /// `{"ok": …, "problems": […]}`, as `bearward check --format json` prints it.
    pub report: serde_json::Value,
    /// The time of it.
    pub at: SystemTime,
}

/// A request for a reload.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who asks.
    pub cause: ReloadCause,
    reply: Option<oneshot::Sender<ReloadReply>>,
}

impl ReloadRequest {
    /// Makes a request that waits for no reply.
    pub fn new(cause: ReloadCause) -> Self {
        Self { cause, reply: None }
    }

    /// Sends the outcome to the one who waits for it.
    pub fn reply(self, reply: ReloadReply) {
        // A client that has gone waits no longer.
        let _ = self.reply.map(|sender| sender.send(reply));
    }
}

/// Asks the process to reload its configuration.
#[derive(Clone, Debug)]
pub struct ReloadHandle(mpsc::Sender<ReloadRequest>);

impl ReloadHandle {
    /// Makes a handle, and the queue of its requests.
    pub fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (sender, requests) = mpsc::channel(MAX_WAITING);
        (Self(sender), requests)
    }

    /// Asks for a reload. With a full queue, one that is to come reads the file late enough.
    pub fn notify(&self, cause: ReloadCause) {
        let _ = self.0.try_send(ReloadRequest::new(cause));
    }

    /// Asks for a reload and waits for its outcome; `None` when the process is about to end.
    pub async fn reload(&self) -> Option<ReloadReply> {
        let (reply, outcome) = oneshot::channel();
        let request = ReloadRequest {
            cause: ReloadCause::Admin,
            reply: Some(reply),
        };
        self.0.send(request).await.ok()?;
        outcome.await.ok()
    }
}
