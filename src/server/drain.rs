//! Ending in good order: everyone who works holds a [`Watch`]; whoever ends waits until all are gone.

use tokio::sync::{mpsc, watch};

/// The side that says that it is time to end.
#[derive(Debug)]
pub struct Drain {
    signal: watch::Sender<bool>,
    alive: mpsc::Receiver<()>,
    template: Watch,
}

/// The side that works, and ends when it can do so without harm.
#[derive(Clone, Debug)]
pub struct Watch {
    signal: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl Drain {
    /// A drain that nobody watches yet.
    pub fn new() -> Self {
        let (signal, receiver) = watch::channel(false);
        let (sender, alive) = mpsc::channel(1);
        Self { signal, alive, template: Watch { signal: receiver, _alive: sender } }
    }

    /// One more that works.
    pub fn watch(&self) -> Watch {
        self.template.clone()
    }

    /// Says that it is time to end, and waits until every watch is dropped.
    pub async fn drain(mut self) {
        self.signal.send_replace(true);
        drop(self.template);
        // Nothing is ever sent: the end of the channel is the message.
        let _ = self.alive.recv().await;
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    /// Whether it is time to end.
    pub fn is_draining(&self) -> bool {
        *self.signal.borrow()
    }

    /// Waits until it is time to end.
    pub async fn draining(&mut self) {
        // An error means that the drain itself is gone, which is an end as well.
        let _ = self.signal.wait_for(|draining| *draining).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_waits_for_everyone_who_works() {
        let drain = Drain::new();
        let mut watch = drain.watch();
        let work = tokio::spawn(async move {
            watch.draining().await;
            assert!(watch.is_draining());
        });
        drain.drain().await;
        work.await.unwrap();
    }
}
