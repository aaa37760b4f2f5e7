//! Time, injected: deadlines are judged by a clock that counts while the machine sleeps and that nobody can set.

use std::{
    fmt,
    future::Future,
    ops::{Add, Sub},
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

/// An instant on the clock of this boot, in nanoseconds since it began, time asleep included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `elapsed` after the clock began.
    pub const fn from_boot(elapsed: Duration) -> Self {
        Self(elapsed)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// A wait that a [`Clock`] ends.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the time comes from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The instant now; never goes back, and moves on while the machine sleeps.
    fn now(&self) -> Moment;

    /// The time of day, for people and for records that outlive the boot. It may jump.
    fn wall(&self) -> SystemTime;

    /// Ends at `deadline`, or soon after where the machine slept over it.
    fn sleep_until(&self, deadline: Moment) -> Sleep;
}

/// The real clock: `CLOCK_BOOTTIME`, which unlike `CLOCK_MONOTONIC` counts while the machine is suspended.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        #[cfg(target_os = "linux")]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let id = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(id);
        Moment(Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        ))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, deadline: Moment) -> Sleep {
        // Timers do not run while the machine is suspended, so a long wait looks at the clock now and then.
        const LONGEST_NAP: Duration = Duration::from_secs(15);
        Box::pin(async move {
            loop {
                let left = deadline.since(Self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

/// A clock that moves when it is told to.
#[derive(Clone, Debug)]
pub struct ManualClock {
    elapsed: Arc<watch::Sender<Duration>>,
    epoch: SystemTime,
}

impl ManualClock {
    /// A clock that stands at an arbitrary instant.
    pub fn new() -> Self {
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self {
            elapsed: Arc::new(watch::Sender::new(Duration::from_secs(1000))),
            epoch,
        }
    }

    /// Moves the clock on and ends the waits whose deadline it passes.
    pub fn advance(&self, duration: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += duration);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(*self.elapsed.borrow())
    }

    fn wall(&self) -> SystemTime {
        self.epoch + *self.elapsed.borrow()
    }

    fn sleep_until(&self, deadline: Moment) -> Sleep {
        let mut elapsed = self.elapsed.subscribe();
        Box::pin(async move {
            // An error means that the clock is gone, and with it whoever waits.
            let _ = elapsed
                .wait_for(|elapsed| Moment(*elapsed) >= deadline)
                .await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_does_not_go_back() {
        let first = SystemClock.now();
        assert!(SystemClock.now() >= first);
    }

    #[tokio::test]
    async fn a_manual_clock_ends_the_waits_it_passes() {
        let clock = ManualClock::new();
        let sleep = clock.sleep_until(clock.now() + Duration::from_secs(5));
        let task = tokio::spawn(sleep);
        clock.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        clock.advance(Duration::from_secs(1));
        task.await.unwrap();
    }
}
