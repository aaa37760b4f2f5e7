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
    /// Those that wait for room, and come before further ones.
    waiting: AtomicUsize,
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
            waiting: AtomicUsize::new(0),
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

    /// Returns a permit, if there is room and nothing waits for it.
    pub fn try_acquire(self: &Arc<Self>) -> Option<LimitPermit> {
        match self.waiting.load(Ordering::SeqCst) {
            0 => self.take(),
            _ => None,
        }
    }

    fn take(self: &Arc<Self>) -> Option<LimitPermit> {
        let limit = self.limit();
        let has_room = |held| (held < limit).then_some(held + 1);
        self.held
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, has_room)
            .ok()?;
        Some(LimitPermit(self.clone()))
    }

    /// Waits for room, behind those that wait already. Cancel-safe.
    pub async fn acquire(self: &Arc<Self>) -> LimitPermit {
        let waiting = WaitingForPermit::new(self);
        let mut may_take = waiting.is_first;
        loop {
            let mut freed = pin!(self.freed.notified());
            // Registered before the attempt: a permit that is dropped meanwhile is not missed.
            freed.as_mut().enable();
            if may_take && let Some(permit) = self.take() {
                return permit;
            }
            freed.await;
            may_take = true;
        }
    }
}

/// One that waits for room, until this is dropped.
struct WaitingForPermit<'l> {
    limit: &'l AdjustableLimit,
    is_first: bool,
}

impl<'l> WaitingForPermit<'l> {
    fn new(limit: &'l AdjustableLimit) -> Self {
        let is_first = limit.waiting.fetch_add(1, Ordering::SeqCst) == 0;
        Self { limit, is_first }
    }
}

impl Drop for WaitingForPermit<'_> {
    fn drop(&mut self) {
        let limit = self.limit;
        let is_last = limit.waiting.fetch_sub(1, Ordering::SeqCst) == 1;
        // The next one has left its first attempt to this one.
        if !is_last && limit.held.load(Ordering::SeqCst) < limit.limit() {
            limit.freed.notify_one();
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

    use tokio::{task::yield_now, time::timeout};

    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    /// Waits for room again and again; stops to wait at every third time.
    async fn acquire_often(limit: Arc<AdjustableLimit>, number: u32) {
        for turn in 0..500 {
            if (turn + number).is_multiple_of(3) {
                tokio::select! {
                    biased;
                    permit = limit.acquire() => drop(permit),
                    () = yield_now() => {}
                }
            } else {
                let permit = limit.acquire().await;
                yield_now().await;
                drop(permit);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn further_ones_wait_until_one_has_ended() {
        let limit = Arc::new(AdjustableLimit::new(2));
        let first = limit.try_acquire().unwrap();
        let _second = limit.acquire().await;
        assert!(limit.try_acquire().is_none());
        let waiting = timeout(Duration::from_secs(1), limit.acquire()).await;
        assert!(waiting.is_err());
        let (third, ()) = tokio::join!(limit.acquire(), async {
            yield_now().await;
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

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_come_before_further_ones_and_in_their_order() {
        let limit = Arc::new(AdjustableLimit::new(1));
        let first = limit.acquire().await;
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(limit.acquire())).collect();
        for acquiring in &mut waiting {
            assert!(timeout(Duration::ZERO, acquiring).await.is_err());
        }
        drop(first);
        assert!(limit.try_acquire().is_none(), "another one waits for it");
        for acquiring in waiting {
            drop(timeout(Duration::from_secs(1), acquiring).await.unwrap());
        }
        assert!(limit.try_acquire().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_wait_have_room_when_the_limit_is_raised() {
        let limit = Arc::new(AdjustableLimit::new(1));
        let _first = limit.acquire().await;
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let limit = limit.clone();
                tokio::spawn(async move { limit.acquire().await })
            })
            .collect();
        yield_now().await;
        limit.set(9);
        let mut permits = Vec::new();
        for acquiring in waiting {
            let acquired = timeout(Duration::from_secs(1), acquiring).await;
            permits.push(acquired.unwrap().unwrap());
        }
        assert!(limit.try_acquire().is_none());
    }

    #[test]
    fn none_waits_for_ever_while_there_is_room_and_threads_compete() {
        let limit = Arc::new(AdjustableLimit::new(3));
        let compete = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let tasks: Vec<_> = (0..8)
                .map(|number| runtime.spawn(acquire_often(limit.clone(), number)))
                .collect();
            for task in tasks {
                let ended = runtime.block_on(async { timeout(BOUND, task).await });
                ended.expect("one that waits is forgotten").unwrap();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(compete);
            }
        });
        assert_eq!(limit.held.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_changed_limit_holds_at_once() {
        let limit = Arc::new(AdjustableLimit::new(1));
        let _first = limit.acquire().await;
        let (_second, ()) = tokio::join!(limit.acquire(), async {
            yield_now().await;
            limit.set(2);
        });
        limit.set(1);
        assert!(limit.try_acquire().is_none());
    }
}
