//! The two stages in which a listener and its connections end.

use tokio_util::sync::{CancellationToken, DropGuard};

/// The end of a listener: it drains, and what is left after a time is cut.
///
/// Clones share both stages. A cut is a drain as well.
#[derive(Clone, Debug)]
pub struct Shutdown {
    drain: CancellationToken,
    cut: CancellationToken,
}

impl Shutdown {
    /// Makes a shutdown that has not begun.
    pub fn new() -> Self {
        let cut = CancellationToken::new();
        Self {
            drain: cut.child_token(),
            cut,
        }
    }

    /// Makes a shutdown that follows this one, and may begin before it.
    ///
    /// The connections of a thread wait at tokens of their own, so that threads do not meet at one lock.
    pub fn child(&self) -> Self {
        Self {
            drain: self.drain.child_token(),
            cut: self.cut.child_token(),
        }
    }

    /// Begins the drain: no further connection, no further request; those in flight finish.
    pub fn start_drain(&self) {
        self.drain.cancel();
    }

    /// Cuts the connections that are left.
    pub fn cut(&self) {
        self.drain.cancel();
        self.cut.cancel();
    }

    /// Waits until the drain begins.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits until the connections that are left have to end.
    pub async fn cutting(&self) {
        self.cut.cancelled().await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Cuts a [`Shutdown`] that [`Shutdown::new`] made, when it is dropped.
#[derive(Debug)]
pub struct CutOnDrop {
    _guard: DropGuard,
}

impl CutOnDrop {
    /// Arms the guard.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self {
            _guard: shutdown.cut.clone().drop_guard(),
        }
    }
}
