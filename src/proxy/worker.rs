//! What the connections of one worker thread share without locks.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::Waker,
};

use super::upstream::Pool;

/// One worker's part of the proxy.
#[derive(Debug, Default)]
pub struct Worker {
    /// Its idle connections to upstreams.
    pub pool: Pool,
    draining: Cell<bool>,
    next: Cell<u64>,
    asleep: RefCell<HashMap<u64, Waker>>,
}

impl Worker {
    /// Whether connections are to end after the request in hand.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Makes every connection end as soon as it has no request in hand.
    pub fn drain(&self) {
        self.draining.set(true);
        for waker in self.asleep.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Enters a connection's task, so that it is woken when it is time to end.
    pub fn enter(self: &Rc<Self>, waker: &Waker) -> Entry {
        let id = self.next.get();
        self.next.set(id + 1);
        self.asleep.borrow_mut().insert(id, waker.clone());
        Entry {
            worker: self.clone(),
            id,
        }
    }
}

/// A connection on a worker, until it is dropped.
#[derive(Debug)]
pub struct Entry {
    worker: Rc<Worker>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.worker.asleep.borrow_mut().remove(&self.id);
    }
}
