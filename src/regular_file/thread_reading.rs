//! Reading of files where nothing can be awaited, with a bound.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// The longest time that a reading is waited for. A file system that hangs takes longer.
const MAX_BLOCKED: Duration = Duration::from_secs(1);

/// A reading on a thread of its own, which may block for ever. One at a time, and it is waited for once.
#[derive(Debug)]
pub struct ThreadReading<T>(Mutex<Option<mpsc::Receiver<T>>>);

impl<T: Send + 'static> ThreadReading<T> {
    /// Reads, and blocks for a second at most. `None` when that takes too long, or an earlier reading still hangs.
    pub fn run(&self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hangs = |earlier: &mpsc::Receiver<T>| {
            matches!(earlier.try_recv(), Err(mpsc::TryRecvError::Empty))
        };
        if running.as_ref().is_some_and(hangs) {
            return None;
        }
        let (sender, receiver) = mpsc::channel();
        let work = move || drop(sender.send(read()));
        thread::Builder::new()
            .name("file".into())
            .spawn(work)
            .ok()?;
        let done = receiver.recv_timeout(MAX_BLOCKED);
        // What an earlier reading brings late is out of date.
        *running = matches!(done, Err(mpsc::RecvTimeoutError::Timeout)).then_some(receiver);
        done.ok()
    }
}

impl<T> Default for ThreadReading<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_hangs_is_waited_for_once_and_no_second_one_starts() {
        let reading = ThreadReading::default();
        let (release, blocked) = mpsc::channel();
        assert_eq!(reading.run(move || blocked.recv().unwrap()), None);
        assert_eq!(reading.run(|| unreachable!("a second")), None);
        release.send(1).unwrap();
        // The first reading ends now; what it brings is out of date.
        let fresh = (0..6000).find_map(|_| {
            thread::yield_now();
            reading.run(|| 2)
        });
        assert_eq!(fresh, Some(2));
    }
}
