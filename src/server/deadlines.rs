//! The deadlines of a client's connection: the first byte, the head, the idle time, and a client that does not read.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{
    connection::ConnectionState,
    framing_gate::{FramingGate, GatePhase, GateProtocol},
    hang_up::HangUp,
    limits::Limits,
    stream::Stream,
    timer::Timer,
};

/// A client's connection with deadlines, as hyper reads and writes it.
#[derive(Debug)]
pub struct Deadlines {
    gate: FramingGate<Stream>,
    state: Arc<ConnectionState>,
    head_timeout: Duration,
    keep_alive: Duration,
    waiting: Waiting,
    /// The requests that had begun at the last look.
    seen_requests: u64,
    read_timer: Timer,
    /// Since when the client has not read.
    blocked_since: Option<Instant>,
    write_timer: Option<Timer>,
    /// The end of a client that has sent a request behind the one that is served.
    hang_up: Option<HangUp>,
}

/// The next event that the connection awaits from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The first byte, since this instant.
    FirstByte(Instant),
    /// The rest of a head.
    Head(Instant),
    /// The next request.
    Idle(Instant),
    /// Nothing: a request is being served.
    Busy,
}

impl Deadlines {
    /// Sets the deadlines of a connection that was accepted now.
    pub fn new(stream: Stream, state: Arc<ConnectionState>, limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            gate: FramingGate::new(stream, state.gate.clone(), limits),
            state,
            head_timeout: limits.head_timeout,
            keep_alive: limits.keep_alive,
            waiting: Waiting::FirstByte(now),
            seen_requests: 0,
            read_timer: Timer::new(now + limits.head_timeout),
            blocked_since: None,
            write_timer: None,
            hang_up: None,
        }
    }

    /// Waits for the first bytes, which tell the protocol. `None`: none came in time, or the client left.
    pub async fn protocol(&mut self) -> Option<GateProtocol> {
        poll_fn(|cx| {
            if let Poll::Ready(protocol) = self.gate.poll_protocol(cx) {
                return Poll::Ready(protocol.ok());
            }
            ready!(self.poll_read_deadline(cx));
            match self.waiting {
                // The beginning of a preface is that of a request too.
                Waiting::Head(_) => {
                    self.gate.expire_head();
                    Poll::Ready(Some(GateProtocol::Http1))
                }
                _ => Poll::Ready(None),
            }
        })
        .await
    }

    /// Decides what a read that found nothing waits for.
    fn next_waiting(&mut self) -> Waiting {
        let begun = self.state.requests_begun();
        let has_served = mem::replace(&mut self.seen_requests, begun) != begun;
        if has_served {
            self.waiting = Waiting::Busy;
        }
        let is_first = matches!(self.waiting, Waiting::FirstByte(_));
        match (self.state.gate.phase(), self.waiting) {
            _ if self.is_busy() => Waiting::Busy,
            (GatePhase::Head, Waiting::Head(since)) => Waiting::Head(since),
            (GatePhase::Head, _) => Waiting::Head(Instant::now()),
            (_, Waiting::Idle(since)) => Waiting::Idle(since),
            // Pings and settings of HTTP/2 are no request.
            (GatePhase::BetweenMessages | GatePhase::PassThrough, waiting) if is_first => waiting,
            _ => Waiting::Idle(self.idle_since()),
        }
    }

    fn idle_since(&self) -> Instant {
        self.state.idle_since().unwrap_or_else(Instant::now)
    }

    /// Whether nothing is waited for from the client: its last response may still be on its way to it.
    fn is_busy(&self) -> bool {
        self.state.is_busy() || self.state.is_upgraded() || self.blocked_since.is_some()
    }

    /// Completes when the client has taken too long.
    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let was_busy = self.waiting == Waiting::Busy;
        self.waiting = self.next_waiting();
        let deadline = match self.waiting {
            Waiting::FirstByte(since) | Waiting::Head(since) => since + self.head_timeout,
            Waiting::Idle(since) => since + self.keep_alive,
            Waiting::Busy => {
                if self.state.is_http2() {
                    // Its requests end in tasks of their own.
                    self.state.wake_when_idle(cx.waker());
                }
                // hyper need not read when the request has ended, so the timer looks after it.
                if !was_busy || self.read_timer.has_fired() {
                    self.read_timer.set(Instant::now() + self.keep_alive);
                    let _ = self.read_timer.poll_elapsed(cx);
                }
                return Poll::Pending;
            }
        };
        self.read_timer.set(deadline);
        self.read_timer.poll_elapsed(cx)
    }

    /// Fails when the client has read nothing for `timeouts.idle` of the route.
    fn poll_write_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        self.state.write_blocked();
        let timeout = match self.state.write_timeout() {
            Duration::ZERO => self.keep_alive,
            timeout => timeout,
        };
        let deadline = since + timeout;
        let timer = self.write_timer.get_or_insert_with(|| Timer::new(deadline));
        timer.set(deadline);
        ready!(timer.poll_elapsed(cx));
        tracing::debug!("a client stopped reading its response");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Fails when the client has gone, although it has sent another request behind the one that is served.
    fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.state.gate.has_request_behind() {
            self.hang_up = None;
            return Ok(());
        }
        if self.hang_up.is_none() {
            // Without a descriptor for it, the end is seen behind the next response.
            self.hang_up = self.gate.get_ref().hang_up().ok();
        }
        match self.hang_up.as_mut().map(|hang_up| hang_up.poll(cx)) {
            Some(Poll::Ready(())) if self.state.is_busy() => {
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            _ => Ok(()),
        }
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut FramingGate<Stream>>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match write(Pin::new(&mut self.gate), cx) {
            Poll::Pending if self.state.is_upgraded() => Poll::Pending,
            Poll::Pending => self.poll_write_deadline(cx),
            written => {
                if self.blocked_since.take().is_some() {
                    self.state.write_unblocked(Instant::now());
                    // The next read sets the deadline of the idle time.
                    cx.waker().wake_by_ref();
                }
                written
            }
        }
    }
}

impl AsyncRead for Deadlines {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(read) = Pin::new(&mut this.gate).poll_read(cx, buffer) {
            return Poll::Ready(read);
        }
        ready!(this.poll_read_deadline(cx));
        match this.waiting {
            // The service responds with 408.
            Waiting::Head(_) => {
                this.gate.expire_head();
                Pin::new(&mut this.gate).poll_read(cx, buffer)
            }
            // The service ends the connection with GOAWAY.
            Waiting::Idle(_) | Waiting::FirstByte(_) if this.state.is_http2() => {
                this.state.expire();
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Deadlines {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_write_with(cx, |gate, cx| gate.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_write_with(cx, |gate, cx| gate.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.gate.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes whenever it has done what it can, also where nothing has been written.
        this.poll_hang_up(cx)?;
        Pin::new(&mut this.gate).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.state.is_upgraded() {
            // The other direction of a tunnel goes on.
            true => this.gate.get_mut().poll_close_write(cx),
            // No response is on its way that the client could lose.
            false if this.state.makes_room() && !this.state.is_busy() => {
                this.gate.get_mut().poll_close_write(cx)
            }
            false => Pin::new(&mut this.gate).poll_shutdown(cx),
        }
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        if self.state.is_reset_on_close() {
            self.gate.get_ref().reset_on_close();
        }
    }
}
