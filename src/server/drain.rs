//! Ending in good order: everyone who works holds a [`Watch`]; whoever ends waits until all are gone. A [`Gate`] is for those
//! who outlive the end, and have work now and then that has to be waited for.

use tokio::sync::{mpsc, watch};

/// The side that says that it is time to end.
#[derive(Debug)]
pub struct Drain {
    signal: watch::Sender<bool>,
    alive: mpsc::Receiver<()>,
    template: Watch,
}

/// Hands out watches for as long as the drain is not over, and is none itself.
#[derive(Clone, Debug)]
pub struct Gate {
    signal: watch::Receiver<bool>,
    alive: mpsc::WeakSender<()>,
}

impl Gate {
    /// One more that works, and is waited for; `None` once nobody waits any more.
    pub fn enter(&self) -> Option<Watch> {
        Some(Watch {
            signal: self.signal.clone(),
            _alive: self.alive.upgrade()?,
        })
    }
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
        Self {
            signal,
            alive,
            template: Watch {
                signal: receiver,
                _alive: sender,
            },
        }
    }

    /// One more that works.
    pub fn watch(&self) -> Watch {
        self.template.clone()
    }

    /// A way to become one of those later, also while draining.
    pub fn gate(&self) -> Gate {
        Gate {
            signal: self.template.signal.clone(),
            alive: self.template._alive.downgrade(),
        }
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

    #[tokio::test]
    async fn what_comes_through_a_gate_is_waited_for_and_the_gate_itself_is_not() {
        let drain = Drain::new();
        let gate = drain.gate();
        let first = gate.enter().unwrap();
        let mut draining = begun(drain.drain());
        assert!(!draining.is_over().await);
        let late = gate.enter().unwrap();
        drop(first);
        assert!(late.is_draining());
        assert!(
            !draining.is_over().await,
            "who came in while draining is waited for too"
        );
        drop(late);
        draining.0.await.unwrap();
        assert!(gate.enter().is_none(), "nobody would wait");
    }

    struct Draining(tokio::task::JoinHandle<()>);

    impl Draining {
        async fn is_over(&mut self) -> bool {
            // The one thread of the test has run all there is to run.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.0.is_finished()
        }
    }

    fn begun(drain: impl Future<Output = ()> + Send + 'static) -> Draining {
        Draining(tokio::spawn(drain))
    }
}
