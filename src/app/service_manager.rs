//! systemd, or another service manager that speaks its protocol, learns of start, reload, end and life (sd_notify(3)).

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::config::environment;

/// The time that a message may wait for a service manager which does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The service manager of `Type=notify`. Without one, every message is left out.
#[derive(Clone, Debug)]
pub struct ServiceManager {
    channel: Option<Arc<Channel>>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Channel {
    socket: UnixDatagram,
    address: SocketAddr,
}

/// The task that reports life. Dropping it ends the task.
#[derive(Debug)]
pub struct Watchdog {
    _task: JoinSet<()>,
}

impl ServiceManager {
    /// The service manager that `NOTIFY_SOCKET` and `WATCHDOG_USEC` describe.
    pub fn from_environment() -> Self {
        let socket = environment("NOTIFY_SOCKET").unwrap_or_default();
        Self::at(&socket, sd_notify::watchdog_enabled())
    }

    /// The service manager at a path, or at an abstract name after an `@`; none where `socket` is empty.
    fn at(socket: &str, watchdog: Option<Duration>) -> Self {
        let channel = if socket.is_empty() {
            None
        } else {
            let opened = Channel::open(socket);
            if let Err(error) = &opened {
                tracing::warn!(%error, "systemd.unusable: NOTIFY_SOCKET is no socket that can be used");
            }
            opened.ok().map(Arc::new)
        };
        Self { channel, watchdog }
    }

    /// Reports that the sockets are bound and served, first or after a reload.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready, NotifyState::Status("serving")]);
    }

    /// Reports that a reload begins. [`ServiceManager::ready`] has to follow, whatever its outcome.
    pub fn reloading(&self) {
        // systemd asks for the time, to tell a reload from the one before (sd_notify(3), MONOTONIC_USEC=).
        let now = NotifyState::monotonic_usec_now();
        let now = now.unwrap_or(NotifyState::MonotonicUsec(0));
        self.send(&[NotifyState::Reloading, now]);
    }

    /// Reports that the drain begins.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// Sets the line that `systemctl status` shows.
    pub fn status(&self, text: &str) {
        self.send(&[NotifyState::Status(&text.replace('\n', " "))]);
    }

    /// Reports life at half the interval of `WatchdogSec=`, from the current runtime: one that hangs is noticed.
    pub fn start_watchdog(&self) -> Watchdog {
        let mut task = JoinSet::new();
        let limit = self.watchdog.filter(|limit| !limit.is_zero());
        if let (Some(limit), Some(_)) = (limit, &self.channel) {
            let manager = self.clone();
            task.spawn(async move {
                let mut ticks = interval(limit / 2);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    manager.send(&[NotifyState::Watchdog]);
                }
            });
        }
        Watchdog { _task: task }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(channel) = &self.channel else {
            return;
        };
        let lines = states.iter().map(|state| format!("{state}\n"));
        let message: String = lines.collect();
        let Channel { socket, address } = &**channel;
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, message = message.trim_end(), "systemd.unreachable: the service manager cannot be notified");
        }
    }
}

impl Channel {
    fn open(name: &str) -> io::Result<Self> {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { socket, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service manager's socket, at a path and at an abstract name, and its clients.
    fn service_managers() -> [(UnixDatagram, ServiceManager, Option<tempfile::TempDir>); 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@bearward-notify-{}", uuid::Uuid::new_v4());
        let hidden = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let watchdog = Some(Duration::from_secs(4));
        [
            (
                UnixDatagram::bind(&path).unwrap(),
                ServiceManager::at(path.to_str().unwrap(), watchdog),
                Some(folder),
            ),
            (
                UnixDatagram::bind_addr(&hidden).unwrap(),
                ServiceManager::at(&name, watchdog),
                None,
            ),
        ]
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_reach_a_service_manager_at_a_path_and_at_an_abstract_name() {
        for (socket, manager, _folder) in service_managers() {
            manager.ready();
            assert_eq!(received(&socket), "READY=1\nSTATUS=serving\n");
            manager.stopping();
            assert_eq!(received(&socket), "STOPPING=1\nSTATUS=draining\n");
            manager.status("two\nlines");
            assert_eq!(received(&socket), "STATUS=two lines\n");
        }
    }

    #[test]
    fn a_reload_has_its_time_on_the_monotonic_clock() {
        let [(socket, manager, _folder), _] = service_managers();
        let now = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            time.tv_sec * 1_000_000 + time.tv_nsec / 1000
        };
        let before = now();
        manager.reloading();
        let message = received(&socket);
        let time = message
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        let time = time.trim_end().parse().unwrap();
        assert!((before..=now()).contains(&time), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn life_is_reported_twice_within_the_watchdogs_time() {
        let [(socket, manager, _folder), _] = service_managers();
        let watchdog = manager.start_watchdog();
        tokio::time::sleep(Duration::from_millis(3900)).await;
        drop(watchdog);
        assert_eq!(received(&socket), "WATCHDOG=1\n");
        assert_eq!(received(&socket), "WATCHDOG=1\n");
        tokio::time::sleep(Duration::from_secs(60)).await;
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 512]).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_service_manager_nothing_happens() {
        let manager = ServiceManager::at("", Some(Duration::from_secs(1)));
        let _watchdog = manager.start_watchdog();
        manager.ready();
        // One that is gone is no failure either.
        ServiceManager::at("/nowhere/notify", None).ready();
    }
}
