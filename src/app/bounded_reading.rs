//! Reading of files on a thread of its own, with a bound.

use std::time::Duration;

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

/// A reading that may block, on a file system that hangs for ever.
///
/// One at a time: on such a file system, they would pile up.
#[derive(Debug)]
pub(super) struct BoundedReading<T> {
    timeout: Duration,
    running: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> BoundedReading<T> {
    /// Creates a reading that is waited for up to `timeout` at a time.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            running: None,
        }
    }

    /// Reads on a thread that may block, unless an earlier reading still does. `None` when that takes too long.
    pub(super) async fn run(&mut self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let running = self.running.get_or_insert_with(|| spawn_blocking(read));
        let done = timeout(self.timeout, running).await.ok()?;
        self.running = None;
        done.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_reading_that_hangs_is_left_after_a_bound_and_no_second_one_starts() {
        let mut reading = BoundedReading::new(Duration::from_millis(20));
        let (release, blocked) = mpsc::channel();
        assert_eq!(reading.run(move || blocked.recv().unwrap()).await, None);
        assert_eq!(reading.run(|| unreachable!("a second one")).await, None);
        release.send(1).unwrap();
        // The first one ends; a bound of its own, since a busy machine may take long to wake its thread.
        reading.timeout = Duration::from_secs(60);
        assert_eq!(reading.run(|| unreachable!("a second one")).await, Some(1));
        assert_eq!(reading.run(|| 2).await, Some(2));
    }
}
