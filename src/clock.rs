//! The injected clock. It counts while the machine sleeps, and setting the time of day does not move it.

use std::{
    fmt,
    future::Future,
    ops::{Add, Sub},
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

/// An instant on the boot-time clock, in nanoseconds since boot, time asleep included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// Returns the time since `earlier`, or zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the instant `elapsed` after boot.
    pub const fn from_boot(elapsed: Duration) -> Self {
        Self(elapsed)
    }
}

impl Add<Duration> for BootInstant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for BootInstant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// A timer future. Completes when its [`Clock`] reaches the deadline.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current instant. It never goes back, and advances while the machine sleeps.
    fn now(&self) -> BootInstant;

    /// Returns the time of day, for people and for records that outlive the boot. It may jump.
    fn wall(&self) -> SystemTime;

    /// Completes at `deadline`, or soon after the machine wakes when it slept past it.
    fn sleep_until(&self, deadline: BootInstant) -> Sleep;
}

/// The system clock: `CLOCK_BOOTTIME`, which unlike `CLOCK_MONOTONIC` counts while the machine is suspended.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> BootInstant {
        #[cfg(target_os = "linux")]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let id = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(id);
        BootInstant(Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        ))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, deadline: BootInstant) -> Sleep {
        // tokio timers stand still while the machine is suspended, so a long wait re-reads the clock.
        const MAX_NAP: Duration = Duration::from_secs(15);
        Box::pin(async move {
            loop {
                let left = deadline.since(Self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(MAX_NAP)).await;
            }
        })
    }
}

/// A clock for tests. It moves only through [`ManualClock::advance`].
#[derive(Clone, Debug)]
pub struct ManualClock {
    elapsed: Arc<watch::Sender<Duration>>,
    epoch: SystemTime,
}

impl ManualClock {
    /// Creates a clock that stands at an arbitrary instant.
    pub fn new() -> Self {
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self {
            elapsed: Arc::new(watch::Sender::new(Duration::from_secs(1000))),
            epoch,
        }
    }

    /// Creates the clock after a reboot at this instant: the time of day goes on, and the other counts from zero.
    pub fn rebooted(&self) -> Self {
        Self {
            elapsed: Arc::new(watch::Sender::new(Duration::ZERO)),
            epoch: self.wall(),
        }
    }

    /// Advances the clock and completes the timers whose deadline it passes.
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
    fn now(&self) -> BootInstant {
        BootInstant(*self.elapsed.borrow())
    }

    fn wall(&self) -> SystemTime {
        self.epoch + *self.elapsed.borrow()
    }

    fn sleep_until(&self, deadline: BootInstant) -> Sleep {
        let mut elapsed = self.elapsed.subscribe();
        Box::pin(async move {
            // An error means that the clock was dropped: the test is over.
            let _ = elapsed
                .wait_for(|elapsed| BootInstant(*elapsed) >= deadline)
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
    async fn a_manual_clock_completes_the_timers_it_passes() {
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
