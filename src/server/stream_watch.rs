//! Responses on HTTP/2 streams whose client opens no window: they end after a time, as those on a blocked socket do.
//!
//! hyper keeps such a response, and all that belongs to it, as long as the connection lives. Its body is not polled
//! meanwhile, so the task of the stream is watched.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::{task::spawn_local, task_local, time::Instant};

use super::timer::Timer;

task_local! {
    static WATCH: StreamWatch;
}

/// The state of a response body that the task of its stream watches.
#[derive(Clone, Debug, Default)]
pub struct StreamWatch(Rc<Cell<Watched>>);

#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// The time for the client to read what it has; absent while nothing waits for it.
    timeout: Option<Duration>,
    /// The number of waits that have begun.
    waits: u64,
}

impl StreamWatch {
    /// The watch of the current task; tasks that serve no HTTP/2 stream have none.
    pub fn current() -> Option<Self> {
        WATCH.try_with(Clone::clone).ok()
    }

    /// Begins a wait for the client, which ends the stream after `timeout`.
    pub fn wait_for_client(&self, timeout: Duration) {
        self.0.set(Watched {
            timeout: Some(timeout),
            waits: self.0.get().waits + 1,
        });
    }

    /// Ends the wait for the client.
    pub fn proceed(&self) {
        self.0.set(Watched {
            timeout: None,
            ..self.0.get()
        });
    }
}

/// Runs the HTTP/2 streams of clients on the current thread, and ends those whose client takes too long.
#[derive(Clone, Copy, Debug)]
pub struct StreamExecutor;

impl<F: Future + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        let watch = StreamWatch::default();
        spawn_local(WATCH.scope(watch.clone(), run(stream, watch)));
    }
}

/// Runs a stream to its end, or until its client has taken too long.
async fn run(stream: impl Future, watch: StreamWatch) {
    let mut stream = pin!(stream);
    // The timer, and the wait that it is set for.
    let mut timer: Option<(Timer, u64)> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Watched { timeout, waits } = watch.0.get();
        let Some(timeout) = timeout else {
            return Poll::Pending;
        };
        let (timer, timed) =
            timer.get_or_insert_with(|| (Timer::new(Instant::now() + timeout), waits));
        if *timed != waits {
            timer.set(Instant::now() + timeout);
            *timed = waits;
        }
        ready!(timer.poll_elapsed(cx));
        tracing::debug!("a client opened no window for its response");
        // Dropping the stream resets it.
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{task::LocalSet, time::sleep};

    use super::*;

    /// Sets the cell when dropped.
    struct DropFlag(Rc<Cell<bool>>);

    impl Drop for DropFlag {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_its_client_takes_too_long_and_not_before() {
        let ended = Rc::new(Cell::new(false));
        let flag = DropFlag(ended.clone());
        let stream = async move {
            let _flag = flag;
            let watch = StreamWatch::current().unwrap();
            for _ in 0..5 {
                watch.wait_for_client(Duration::from_secs(2));
                sleep(Duration::from_secs(1)).await;
            }
            watch.proceed();
            sleep(Duration::from_secs(10)).await;
            watch.wait_for_client(Duration::from_secs(2));
            pending::<()>().await;
        };
        let tasks = LocalSet::new();
        tasks
            .run_until(async {
                StreamExecutor.execute(stream);
                sleep(Duration::from_millis(16_900)).await;
                assert!(!ended.get());
                sleep(Duration::from_millis(200)).await;
                assert!(ended.get());
            })
            .await;
    }

    #[tokio::test]
    async fn other_tasks_have_no_watch() {
        assert!(StreamWatch::current().is_none());
    }
}
