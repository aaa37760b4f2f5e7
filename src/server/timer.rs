//! A deadline that moves with every request, at the price of a comparison.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// A deadline that is cheap to move.
///
/// Moving it later costs no timer operation: the armed timer fires early, and is armed again.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Timer {
    /// Makes a timer that fires at `deadline`.
    pub fn new(deadline: Instant) -> Self {
        Self {
            sleep: Box::pin(sleep_until(deadline)),
            deadline,
        }
    }

    /// Moves the deadline.
    pub fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Whether it wakes its task no more until it is polled again.
    pub fn has_fired(&self) -> bool {
        self.sleep.is_elapsed()
    }

    /// Completes when the deadline has passed.
    pub fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // A task that always has something to read spends its budget on that, and would never see its deadline.
            let elapsed = pin!(unconstrained(self.sleep.as_mut()));
            ready!(elapsed.poll(cx));
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moved_deadline_fires_at_its_new_instant() {
        let start = Instant::now();
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        let mut timer = Timer::new(after(10));
        timer.set(after(60));
        poll_fn(|cx| timer.poll_elapsed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
        timer.set(after(60));
        timer.set(after(5));
        poll_fn(|cx| timer.poll_elapsed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 65);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_budget_is_spent_still_sees_its_deadline() {
        let mut timer = Timer::new(Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        poll_fn(|cx| {
            while tokio::task::coop::has_budget_remaining() {
                let _ = tokio::task::coop::poll_proceed(cx).map(|spent| spent.made_progress());
            }
            assert!(timer.poll_elapsed(cx).is_ready());
            Poll::Ready(())
        })
        .await;
    }
}
