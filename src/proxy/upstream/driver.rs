//! The future of an HTTP/1.1 connection, driven by the task of the request that uses it.
//!
//! One task does it all: it drives the connection, then looks at what that brought. So the connection's own wake-ups
//! (hyper's channels between its halves) need not wake the task again, and an idle connection wakes no task at all.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::task::{spawn_local, unconstrained};
use tokio_util::task::AbortOnDropHandle;

/// The future that moves a connection's bytes.
pub(super) type ConnectionFuture = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// A frame of a response's body, or its end.
type BodyFrame = Option<Result<Frame<Bytes>, hyper::Error>>;

/// Drives a connection.
#[derive(Debug)]
pub(super) struct Driver {
    state: DriverState,
    events: Arc<ConnectionEvents>,
    /// The waker of `events`.
    waker: Waker,
}

/// Where the connection is driven.
enum DriverState {
    /// In the task of the request that uses it.
    Inline(ConnectionFuture),
    /// In a task of its own.
    Detached(#[expect(dead_code, reason = "held to be aborted on drop")] AbortOnDropHandle<()>),
    /// Nowhere: the connection is closed.
    Ended,
}

/// Whether something has happened on a connection since it was last driven, and the task that waits for it.
#[derive(Debug, Default)]
struct ConnectionEvents {
    has_happened: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Driver {
    pub(super) fn new(connection: ConnectionFuture) -> Self {
        let events = Arc::<ConnectionEvents>::default();
        Self {
            state: DriverState::Inline(connection),
            waker: events.clone().into(),
            events,
        }
    }

    /// Drives the connection, then polls the response that it brings.
    pub(super) fn poll_response<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        mut response: Pin<&mut F>,
    ) -> Poll<F::Output> {
        if !self.drive() {
            return response.poll(cx);
        }
        // Without a waker: only the connection can bring the response, and it wakes the task. Without the task's budget,
        // whose end would be told to that waker alone.
        let polled = pin!(unconstrained(poll_fn(|cx| response.as_mut().poll(cx))));
        let polled = polled.poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_pending() {
            self.events.wait(cx);
        }
        polled
    }

    /// Reads a frame of the response's body, driving the connection when none is there.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<BodyFrame> {
        if let DriverState::Inline(_) = self.state
            && let Poll::Ready(frame) = self.take_frame(body)
        {
            return Poll::Ready(frame);
        }
        if !self.drive() {
            return Pin::new(body).poll_frame(cx);
        }
        let frame = self.take_frame(body);
        if frame.is_pending() {
            self.events.wait(cx);
        }
        frame
    }

    /// Takes a frame that the connection has brought. That it was taken is an event for the connection, but no news.
    fn take_frame(&self, body: &mut Incoming) -> Poll<BodyFrame> {
        let has_happened = self.events.has_happened.load(Ordering::Relaxed);
        let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        self.events
            .has_happened
            .store(has_happened, Ordering::Relaxed);
        frame
    }

    /// Drives an idle connection if something has happened on it; tells whether it is open.
    pub(super) fn drive_idle(&mut self) -> bool {
        match self.state {
            DriverState::Inline(_) if self.events.has_happened.load(Ordering::Relaxed) => {
                // A task whose budget is spent would see no event.
                let driven = pin!(unconstrained(poll_fn(|_| Poll::Ready(self.drive()))));
                let driven = driven.poll(&mut Context::from_waker(Waker::noop()));
                driven == Poll::Ready(true)
            }
            DriverState::Inline(_) => true,
            DriverState::Detached(_) | DriverState::Ended => false,
        }
    }

    /// Drives the connection here; tells whether it is open, and driven here.
    fn drive(&mut self) -> bool {
        let DriverState::Inline(connection) = &mut self.state else {
            return false;
        };
        self.events.clear();
        // Within the task's budget: an upstream that sends without end must not keep the worker.
        let ended = connection
            .as_mut()
            .poll(&mut Context::from_waker(&self.waker));
        if ended.is_ready() {
            // Dropping the connection completes what waits for it.
            self.state = DriverState::Ended;
        }
        ended.is_pending()
    }

    /// Drives the connection in a task of its own from now on.
    pub(super) fn detach(&mut self) {
        if let DriverState::Inline(connection) =
            std::mem::replace(&mut self.state, DriverState::Ended)
        {
            let task = spawn_local(async move {
                // The response's body has the error too.
                let _ = connection.await;
            });
            self.state = DriverState::Detached(AbortOnDropHandle::new(task));
        }
    }

    /// Drives the connection to its end, which is near: it has been upgraded.
    pub(super) async fn finish(self) {
        if let DriverState::Inline(connection) = self.state {
            // An upgrade is no error; a connection that broke instead has no tunnel.
            let _ = connection.await;
        }
    }
}

impl ConnectionEvents {
    fn clear(&self) {
        self.lock().take();
        self.has_happened.store(false, Ordering::Relaxed);
    }

    /// Wakes the task of `cx` with the next event, or now when there was one already.
    fn wait(&self, cx: &Context<'_>) {
        *self.lock() = Some(cx.waker().clone());
        if self.has_happened.load(Ordering::Relaxed) {
            cx.waker().wake_by_ref();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for ConnectionEvents {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_happened.store(true, Ordering::Relaxed);
        let task = self.lock().take();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl std::fmt::Debug for DriverState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inline(_) => "Inline",
            Self::Detached(_) => "Detached",
            Self::Ended => "Ended",
        })
    }
}
