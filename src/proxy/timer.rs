//! One deadline that moves with every request, at the price of a comparison.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline. Moving it later costs no timer operation: the timer that is armed goes off early, looks, and is armed
/// again.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed_for: Instant,
    deadline: Instant,
}

impl Timer {
    /// A deadline this far away.
    pub fn new(after: Duration) -> Self {
        let deadline = Instant::now() + after;
        Self {
            sleep: Box::pin(sleep_until(deadline)),
            armed_for: deadline,
            deadline,
        }
    }

    /// Moves the deadline to `after` from now.
    pub fn set(&mut self, after: Duration) {
        self.deadline = Instant::now() + after;
        if self.deadline < self.armed_for {
            self.arm();
        }
    }

    /// Ready once the deadline has passed.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.arm();
        }
        Poll::Pending
    }

    fn arm(&mut self) {
        self.armed_for = self.deadline;
        self.sleep.as_mut().reset(self.deadline);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_is_kept_to_the_new_instant() {
        let start = Instant::now();
        let mut timer = Timer::new(Duration::from_secs(10));
        timer.set(Duration::from_secs(60));
        poll_fn(|cx| timer.poll_passed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
        timer.set(Duration::from_secs(60));
        timer.set(Duration::from_secs(5));
        poll_fn(|cx| timer.poll_passed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 65);
    }
}
