//! The state that a connection's stream adapters and its service share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::framing_gate::{GatePhase, GateVerdicts};

/// The shared state of one client connection.
///
/// All of it lives on one worker thread; the atomics make it `Send`, as hyper asks of streams that can be upgraded.
#[derive(Debug, Default)]
pub struct ConnectionState {
    /// The framing gate's state.
    pub gate: GateVerdicts,
    requests: AtomicUsize,
    began: AtomicU64,
    write_timeout_ms: AtomicU64,
    reset_on_close: AtomicBool,
    switching: AtomicBool,
    upgraded: AtomicBool,
    idle_since: Mutex<Option<Instant>>,
    waits_for_idle: Mutex<Option<Waker>>,
    /// Whether a part of a response waits for the client to read.
    write_blocked: AtomicBool,
    makes_room: AtomicBool,
    expired: Notify,
}

impl ConnectionState {
    /// Counts a request in, until [`ConnectionState::request_ended`]. See also [`ActiveRequest`].
    pub fn request_began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.began.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of requests that have begun.
    pub fn requests_begun(&self) -> u64 {
        self.began.load(Ordering::Relaxed)
    }

    /// Whether the client is in the middle of sending a head, or has sent bytes and no request yet.
    pub fn expects_request(&self) -> bool {
        self.requests_begun() == 0 || self.gate.phase() == GatePhase::Head
    }

    /// Counts a request out.
    pub fn request_ended(&self, now: Instant) {
        *lock(&self.idle_since) = Some(now);
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1
            && self.gate.phase() == GatePhase::PassThrough
            && let Some(waker) = lock(&self.waits_for_idle).take()
        {
            waker.wake();
        }
    }

    /// Wakes a task when the last request of an HTTP/2 connection has ended.
    pub fn wake_when_idle(&self, waker: &Waker) {
        lock(&self.waits_for_idle).replace(waker.clone());
    }

    /// Marks that a part of a response waits for the client to read.
    pub fn write_blocked(&self) {
        self.write_blocked.store(true, Ordering::Relaxed);
    }

    /// Marks that the client has read on. The idle time begins anew, since more may wait behind that part.
    pub fn write_unblocked(&self, now: Instant) {
        *lock(&self.idle_since) = Some(now);
        self.write_blocked.store(false, Ordering::Relaxed);
    }

    /// Whether a part of a response waits for the client to read.
    pub fn is_write_blocked(&self) -> bool {
        self.write_blocked.load(Ordering::Relaxed)
    }

    /// Lets the connection end for another one, at its drain: without waiting for what an idle client may still do.
    pub fn make_room(&self) {
        self.makes_room.store(true, Ordering::Relaxed);
    }

    /// Whether another connection waits for the end of this one.
    pub fn makes_room(&self) -> bool {
        self.makes_room.load(Ordering::Relaxed)
    }

    /// When the last request ended, or the client read on after it, if there was one.
    pub fn idle_since(&self) -> Option<Instant> {
        *lock(&self.idle_since)
    }

    /// Whether a request is being served.
    pub fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Sets how long a response may wait for a client that does not read.
    pub fn set_write_timeout(&self, timeout: Duration) {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.write_timeout_ms.store(millis, Ordering::Relaxed);
    }

    /// The time that a response may wait for a client that does not read.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms.load(Ordering::Relaxed))
    }

    /// Makes the end of the connection an abort, so that a cut response is not taken for a whole one.
    pub fn reset_on_close(&self) {
        self.reset_on_close.store(true, Ordering::Relaxed);
    }

    /// Whether the end of the connection is an abort.
    pub fn is_reset_on_close(&self) -> bool {
        self.reset_on_close.load(Ordering::Relaxed)
    }

    /// Whether the connection speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.gate.phase() == GatePhase::PassThrough && !self.is_upgraded()
    }

    /// Marks that a request asks to switch protocols, until the guard is dropped.
    pub fn switching(&self) -> SwitchingRequest<'_> {
        self.switching.store(true, Ordering::Relaxed);
        SwitchingRequest(self)
    }

    /// Whether a request asks to switch protocols, or has done so.
    pub fn may_switch(&self) -> bool {
        self.switching.load(Ordering::Relaxed) || self.is_upgraded()
    }

    /// Marks the connection as a tunnel, which has deadlines of its own.
    pub fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
        self.gate.pass_through();
    }

    /// Whether the connection is a tunnel.
    pub fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// Ends an idle HTTP/2 connection by GOAWAY.
    pub fn expire(&self) {
        self.expired.notify_one();
    }

    /// Completes when the connection has been idle for too long.
    pub async fn expired(&self) {
        self.expired.notified().await;
    }
}

/// A request that counts as being served until this is dropped.
#[derive(Debug)]
pub struct ActiveRequest(Arc<ConnectionState>);

impl ActiveRequest {
    /// Counts a request in.
    pub fn new(connection: Arc<ConnectionState>) -> Self {
        connection.request_began();
        Self(connection)
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.request_ended(Instant::now());
    }
}

/// A request that asks to switch protocols, until this is dropped.
#[derive(Debug)]
pub struct SwitchingRequest<'s>(&'s ConnectionState);

impl Drop for SwitchingRequest<'_> {
    fn drop(&mut self) {
        self.0.switching.store(false, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
