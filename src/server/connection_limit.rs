//! The bound of a listener's connections. When it is reached, idle connections make room.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    adjustable_limit::{AdjustableLimit, LimitPermit},
    connection::ConnectionState,
    framing_gate::GatePhase,
    shutdown::Shutdown,
};

/// The idle time after which a connection may be closed for another one.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// The interval at which a full listener looks for idle connections.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The connections of one listener: their bound, and which of them are open.
#[derive(Debug)]
pub struct ConnectionLimit {
    /// `[limits] connections`.
    own: Arc<AdjustableLimit>,
    /// The number that the descriptors of the process allow, over all listeners.
    process: Arc<AdjustableLimit>,
    open: Mutex<BTreeMap<u64, OpenConnection>>,
    next: AtomicU64,
    /// Connections that are accepted and wait for a slot.
    waiting: AtomicUsize,
}

/// An open connection.
#[derive(Debug)]
struct OpenConnection {
    since: Instant,
    state: Arc<ConnectionState>,
    shutdown: Shutdown,
    is_closing: bool,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    _own: LimitPermit,
    _process: LimitPermit,
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub struct Registration {
    limit: Arc<ConnectionLimit>,
    number: u64,
}

impl ConnectionLimit {
    /// Allows `connections` at a time, as long as `process` has room too.
    pub fn new(connections: usize, process: Arc<AdjustableLimit>) -> Self {
        Self {
            own: Arc::new(AdjustableLimit::new(connections)),
            process,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Allows this number of connections at a time. Further ones that are open stay.
    pub fn set(&self, connections: usize) {
        self.own.set(connections);
    }

    /// Waits for the right to another connection. Closes the longest idle ones meanwhile. Cancel-safe.
    pub async fn acquire(&self) -> ConnectionSlot {
        let _waiting = Waiting::new(&self.waiting);
        let mut wait = Duration::ZERO;
        loop {
            let acquiring = async {
                ConnectionSlot {
                    _own: self.own.acquire().await,
                    _process: self.process.acquire().await,
                }
            };
            match timeout(wait, acquiring).await {
                Ok(slot) => return slot,
                Err(_) => self.close_longest_idle(Instant::now()),
            }
            wait = LOOK_INTERVAL;
        }
    }

    /// Counts a connection as open, so that it can be closed while it is idle.
    pub fn register(
        self: &Arc<Self>,
        state: Arc<ConnectionState>,
        shutdown: Shutdown,
    ) -> Registration {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = OpenConnection {
            since: Instant::now(),
            state,
            shutdown,
            is_closing: false,
        };
        self.open().insert(number, connection);
        Registration {
            limit: self.clone(),
            number,
        }
    }

    /// Closes the connection that has been idle for the longest time, in good order: one for each that waits.
    fn close_longest_idle(&self, now: Instant) {
        let mut open = self.open();
        // One that a request reached just before stays to its end, so that it makes no room now.
        let closing = (open.values())
            .filter(|connection| connection.is_closing && !connection.state.is_busy());
        if closing.count() >= self.waiting.load(Ordering::Relaxed) {
            return;
        }
        let idle = open.values_mut().filter(|connection| connection.is_idle());
        let Some(longest) = idle.min_by_key(|connection| connection.idle_since()) else {
            return;
        };
        if now.duration_since(longest.idle_since()) >= MIN_IDLE {
            longest.is_closing = true;
            longest.state.make_room();
            longest.shutdown.start_drain();
            tracing::debug!("an idle connection is closed for another one");
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, OpenConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that waits for a slot, until this is dropped.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OpenConnection {
    fn is_idle(&self) -> bool {
        let is_in_head = self.state.gate.phase() == GatePhase::Head;
        let is_busy = self.state.is_busy() || self.state.is_write_blocked();
        !(self.is_closing || is_in_head || is_busy || self.state.may_switch())
    }

    /// When its last request ended, or it was accepted.
    fn idle_since(&self) -> Instant {
        self.state.idle_since().unwrap_or(self.since)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.limit.open().remove(&self.number);
    }
}
