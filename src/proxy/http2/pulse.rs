//! Ends a request whose caller has stopped reading. hyper does not ask a body for more while the caller's window is
//! closed, so nobody inside the body would notice; the future that hyper runs for the request is watched from outside,
//! and to drop it resets the stream.

use std::{cell::Cell, future::Future, rc::Rc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

tokio::task_local! {
    static PULSE: Rc<Pulse>;
}

/// When a request last moved.
#[derive(Debug, Default)]
struct Pulse {
    idle: Cell<Duration>,
    last: Cell<Option<Instant>>,
    begun: Notify,
}

/// Runs a request, and ends it early when its body has not moved for as long as it may.
pub(super) async fn watched(request: impl Future<Output = ()>) {
    let pulse = Rc::new(Pulse::default());
    let stopped = pulse.clone();
    PULSE
        .scope(pulse, async {
            tokio::select! {
                biased;
                () = request => {}
                () = stopped.stopped() => tracing::debug!("a caller has stopped reading"),
            }
        })
        .await;
}

/// From here on the body of this task's request has to move every `idle`.
pub(super) fn begin(idle: Duration) {
    // Outside of a request there is nothing to watch.
    let _ = PULSE.try_with(|pulse| {
        pulse.idle.set(idle);
        pulse.last.set(Some(Instant::now()));
        pulse.begun.notify_one();
    });
}

/// The body of this task's request moves.
pub(super) fn beat() {
    // As above.
    let _ = PULSE.try_with(|pulse| pulse.last.set(Some(Instant::now())));
}

impl Pulse {
    async fn stopped(&self) {
        loop {
            match self.last.get() {
                None => self.begun.notified().await,
                Some(last) if last + self.idle.get() <= Instant::now() => return,
                Some(last) => sleep_until(last + self.idle.get()).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_stops_moving_is_ended() {
        let start = Instant::now();
        watched(async {
            begin(Duration::from_secs(5));
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                beat();
            }
            std::future::pending::<()>().await;
        })
        .await;
        assert_eq!(start.elapsed(), Duration::from_secs(17));
    }

    #[tokio::test(start_paused = true)]
    async fn before_its_body_begins_a_request_takes_its_time() {
        let start = Instant::now();
        watched(tokio::time::sleep(Duration::from_secs(1000))).await;
        assert_eq!(start.elapsed(), Duration::from_secs(1000));
    }
}
