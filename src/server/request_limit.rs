//! The bound of requests in flight, over all workers and connections of a listener.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

/// `[limits] requests` of one listener. It may change at any time.
///
/// A semaphore of tokio's locks at every release; this one takes no lock while there is room.
#[derive(Debug)]
pub struct RequestLimit {
    limit: AtomicUsize,
    in_flight: AtomicUsize,
    freed: Notify,
}

/// A request in flight. It counts until it is dropped.
#[derive(Debug)]
pub struct RequestPermit(Arc<RequestLimit>);

impl RequestLimit {
    /// Allows `limit` requests at a time.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            in_flight: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Changes the limit. Requests in flight go on.
    pub fn set(&self, limit: usize) {
        self.limit.store(limit, Ordering::SeqCst);
        self.freed.notify_waiters();
    }

    /// Returns a permit, if there is room.
    pub fn try_acquire(self: &Arc<Self>) -> Option<RequestPermit> {
        let limit = self.limit.load(Ordering::SeqCst);
        let has_room = |in_flight| (in_flight < limit).then_some(in_flight + 1);
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, has_room)
            .ok()?;
        Some(RequestPermit(self.clone()))
    }

    /// Waits for room. Cancel-safe.
    pub async fn acquire(self: &Arc<Self>) -> RequestPermit {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Registered before the attempt: a permit that is dropped meanwhile is not missed.
            freed.as_mut().enable();
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            freed.await;
        }
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn further_requests_wait_until_one_has_ended() {
        let limit = Arc::new(RequestLimit::new(2));
        let first = limit.try_acquire().unwrap();
        let _second = limit.acquire().await;
        assert!(limit.try_acquire().is_none());
        let waiting = timeout(Duration::from_secs(1), limit.acquire()).await;
        assert!(waiting.is_err());
        let (third, ()) = tokio::join!(limit.acquire(), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert!(limit.try_acquire().is_none());
        drop(third);
        assert!(limit.try_acquire().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stops_to_wait_leaves_its_turn_to_the_next() {
        let limit = Arc::new(RequestLimit::new(1));
        let first = limit.acquire().await;
        let mut gone = Box::pin(limit.acquire());
        assert!(timeout(Duration::ZERO, &mut gone).await.is_err());
        let mut next = Box::pin(limit.acquire());
        assert!(timeout(Duration::ZERO, &mut next).await.is_err());
        drop(first);
        drop(gone);
        timeout(Duration::from_secs(1), next).await.unwrap();
    }

    #[tokio::test]
    async fn a_changed_limit_holds_at_once() {
        let limit = Arc::new(RequestLimit::new(1));
        let _first = limit.acquire().await;
        let (_second, ()) = tokio::join!(limit.acquire(), async {
            tokio::task::yield_now().await;
            limit.set(2);
        });
        limit.set(1);
        assert!(limit.try_acquire().is_none());
    }
}
