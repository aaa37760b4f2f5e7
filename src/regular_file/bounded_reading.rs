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
pub struct BoundedReading<T>(Option<JoinHandle<T>>);

impl<T: Send + 'static> BoundedReading<T> {
    /// Reads on a thread that may block, unless an earlier reading still does. `None` when that takes too long.
    pub async fn run(
        &mut self,
        bound: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let running = self.0.get_or_insert_with(|| spawn_blocking(read));
        let done = timeout(bound, running).await.ok()?;
        self.0 = None;
        done.ok()
    }
}

impl<T> Default for BoundedReading<T> {
    fn default() -> Self {
        Self(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_reading_that_hangs_is_left_after_a_bound_and_no_second_one_starts() {
        let mut reading = BoundedReading::default();
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(60));
        let (release, blocked) = mpsc::channel();
        let hanging = move || blocked.recv().unwrap();
        assert_eq!(reading.run(short, hanging).await, None);
        assert_eq!(reading.run(short, || unreachable!("a second")).await, None);
        release.send(1).unwrap();
        let first = reading.run(long, || unreachable!("a second")).await;
        assert_eq!(first, Some(1));
        assert_eq!(reading.run(long, || 2).await, Some(2));
    }
}
