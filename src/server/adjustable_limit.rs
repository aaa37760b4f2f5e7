//! A bound of requests or connections that all workers share.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

/// The greatest number of a kind at a time. It may change.
///
/// A semaphore of tokio's locks at every release; this one takes no lock while there is room.
#[derive(Debug)]
pub struct AdjustableLimit {
    limit: AtomicUsize,
    held: AtomicUsize,
    freed: Notify,
}

/// One of those that there may be. It counts until it is dropped.
#[derive(Debug)]
pub struct LimitPermit(Arc<AdjustableLimit>);

impl AdjustableLimit {
    /// Allows `limit` at a time.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            held: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Returns how many there may be.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::SeqCst)
    }

    /// Changes the limit. Permits that are out stay valid.
    pub fn set(&self, limit: usize) {
        self.limit.store(limit, Ordering::SeqCst);
        self.freed.notify_waiters();
    }

    /// Returns a permit, if there is room.
    pub fn try_acquire(self: &Arc<Self>) -> Option<LimitPermit> {
        let limit = self.limit();
        let has_room = |held| (held < limit).then_some(held + 1);
        self.held
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, has_room)
            .ok()?;
        Some(LimitPermit(self.clone()))
    }

    /// Waits for room. Cancel-safe.
    pub async fn acquire(self: &Arc<Self>) -> LimitPermit {
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

impl Drop for LimitPermit {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn further_ones_wait_until_one_has_ended() {
        let limit = Arc::new(AdjustableLimit::new(2));
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
        let limit = Arc::new(AdjustableLimit::new(1));
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
        let limit = Arc::new(AdjustableLimit::new(1));
        let _first = limit.acquire().await;
        let (_second, ()) = tokio::join!(limit.acquire(), async {
            tokio::task::yield_now().await;
            limit.set(2);
        });
        limit.set(1);
        assert!(limit.try_acquire().is_none());
    }
}
