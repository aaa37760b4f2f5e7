//! How busy an HTTP/2 connection is, so that an idle one can be ended.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::time::{Instant, sleep_until};

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    in_hand: Cell<usize>,
    begun: Cell<bool>,
    since: Cell<Instant>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self { in_hand: Cell::new(0), begun: Cell::new(false), since: Cell::new(Instant::now()) }
    }

    /// One more request, until what is returned is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> Stream {
        self.begun.set(true);
        self.in_hand.set(self.in_hand.get() + 1);
        Stream(self.clone())
    }

    /// Counts what is quiet from now on.
    pub(super) fn stir(&self) {
        self.since.set(Instant::now());
    }

    /// Waits until there has been no request for `first`, or, once there has been one, for `later`.
    pub(super) async fn quiet(&self, first: Duration, later: Duration) {
        loop {
            let bound = if self.begun.get() { later } else { first };
            let now = Instant::now();
            let until = if self.in_hand.get() > 0 { now + bound } else { self.since.get() + bound };
            if until <= now {
                return;
            }
            // Which of the two bounds holds may change while this sleeps.
            sleep_until(until.min(now + first.min(later))).await;
        }
    }
}

/// A request in hand.
#[derive(Debug)]
pub(super) struct Stream(Rc<Activity>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.in_hand.set(self.0.in_hand.get() - 1);
        self.0.since.set(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_once_its_last_request_is_over_for_long_enough() {
        let start = Instant::now();
        let (first, later) = (Duration::from_secs(10), Duration::from_secs(60));
        let activity = Rc::new(Activity::new());
        activity.quiet(first, later).await;
        assert_eq!(start.elapsed(), first);
        let request = activity.begin();
        let ended = async {
            sleep_until(start + Duration::from_secs(100)).await;
            drop(request);
        };
        tokio::join!(activity.quiet(first, later), ended);
        assert_eq!(start.elapsed(), Duration::from_secs(160));
    }

    #[tokio::test(start_paused = true)]
    async fn after_its_first_request_a_connection_is_measured_by_the_second_bound_alone() {
        let start = Instant::now();
        let activity = Rc::new(Activity::new());
        let asked = async {
            sleep_until(start + Duration::from_secs(3)).await;
            drop(activity.begin());
        };
        tokio::join!(activity.quiet(Duration::from_secs(30), Duration::from_secs(2)), asked);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
