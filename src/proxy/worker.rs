//! The state that the connections of one worker thread share without locks.

use std::rc::Rc;

use tokio_util::task::TaskTracker;

use super::{inject::PreparedTokens, upstream::Pool};

/// One worker's part of the proxy.
#[derive(Debug)]
pub struct Worker {
    /// Its connections to upstreams.
    pub pool: Rc<Pool>,
    /// Its prepared tokens.
    pub tokens: PreparedTokens,
    /// Its tunnels, so that a drain waits for them.
    pub tasks: TaskTracker,
}

impl Worker {
    /// Makes a worker whose tunnels are tracked by `tasks`.
    pub fn new(tasks: TaskTracker) -> Self {
        Self {
            pool: Rc::default(),
            tokens: PreparedTokens::default(),
            tasks,
        }
    }

    /// Releases what is no longer of use: dead connections, replaced tokens.
    pub fn sweep(&self) {
        self.tokens.sweep();
        self.pool.sweep();
    }
}
