//! One request and the head of its answer over an HTTP/1.1 connection: send, wait, and the one safe repeat.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use super::{
    error::{Kind, Refusal},
    guard, headers,
    route::Timeouts,
    service::{Ingress, Prepared},
    timer::Timer,
    upstream::{Connection, Pool, Target},
};
use crate::{
    http1::{
        body::{Body, BodyError, CHUNK_GAP, Sink},
        buffer::{Buffer, LARGE, SMALL},
        framing::{self, Framing},
        head::{Head, HeadLimits},
    },
    telemetry::access_log::TokenCost,
};

/// What of a request is kept, so that it can be sent once more.
pub const KEPT: usize = 64 * 1024;
/// Interim answers (1xx) to one request; more are no HTTP.
const MOST_INTERIM: usize = 32;

/// The side that the request came from.
pub trait Caller {
    /// Whether the whole body was read.
    fn is_body_done(&self) -> bool;

    /// Adds some more of the body, framed for the upstream, to `wire`: behind what it holds, or in place of it.
    fn poll_body(&mut self, cx: &mut Context<'_>, wire: &mut Buffer, place: Place) -> Poll<Result<(), CallerFault>>;

    /// Passes an interim answer on, where the protocol has them.
    fn poll_interim(&mut self, cx: &mut Context<'_>, wire: &mut Buffer) -> Poll<Result<(), CallerFault>>;
}

/// Where more of a body is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind what was sent already, which is kept.
    Behind,
    /// Into the memory of what was sent already, which is lost.
    Over,
}

/// What the caller did wrong while its request was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerFault {
    /// It went away.
    Gone,
    /// Its body is malformed.
    Malformed,
    /// Its body is longer than the route takes.
    TooLarge,
}

impl From<BodyError> for CallerFault {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Malformed => Self::Malformed,
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Cut => Self::Gone,
        }
    }
}

/// Why a request got no answer from its upstream.
#[derive(Debug)]
pub enum Unanswered {
    /// The caller is told so.
    Refused(Refusal),
    /// There is nobody to tell.
    CallerGone,
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<CallerFault> for Unanswered {
    fn from(fault: CallerFault) -> Self {
        match fault {
            CallerFault::Gone => Self::CallerGone,
            CallerFault::Malformed => Self::Refused(Refusal::bad_request("a malformed body")),
            CallerFault::TooLarge => Self::Refused(guard::body_too_large()),
        }
    }
}

/// The head of an answer, and the connection on which its body follows while the request's may still be under way.
#[derive(Debug)]
pub struct Answered {
    /// The head, and what was read behind it.
    pub head: Head,
    /// Where the body ends.
    pub framing: Framing,
    /// The connection.
    pub connection: Connection,
    /// What is still to be sent.
    pub sending: Sending,
}

/// Sends a prepared request, and waits for the head of the answer.
///
/// `wire` holds the request's head, `head_length` bytes, and what there is of its body. The request is sent once more
/// only where nothing can happen twice, or with a new token where the upstream refused the first.
///
/// # Errors
/// See [`Unanswered`].
pub async fn forward<C: Caller>(
    ingress: &Ingress,
    pool: &Pool,
    head: &Head,
    prepared: &mut Prepared,
    caller: &mut C,
    sending: Sending,
    timer: &mut Timer,
) -> Result<Answered, Unanswered> {
    let active = prepared.active.clone();
    let mut exchange = Exchange { sending, answer: Head::default(), limits: ingress.head_limits(), interim: 0 };
    let mut connection = match pool.take(&active.target) {
        Some(connection) => connection,
        None => active.target.connect(active.route.timeouts.connect).await?,
    };
    let to_head = head.method() == b"HEAD";
    let mut repeated = false;
    loop {
        match exchange.run(&mut connection, caller, &active.route.timeouts, timer, to_head).await {
            Ok(framing) => {
                let Exchange { sending, answer, .. } = exchange;
                let answered = Answered { head: answer, framing, connection, sending };
                if !replays(prepared, &answered, caller).await {
                    return Ok(answered);
                }
                exchange = Exchange {
                    sending: answered.sending.with_new_head(head, prepared),
                    answer: Head::default(),
                    limits: ingress.head_limits(),
                    interim: 0,
                };
                // The refused answer's body is of no use; its connection goes with it.
                connection = active.target.connect(active.route.timeouts.connect).await?;
            }
            Err(Lost::Caller(fault)) => return Err(fault.into()),
            Err(Lost::Refused(refusal)) => return Err(refusal.into()),
            Err(Lost::Connection) if !repeated && exchange.may_repeat(&connection, head.method()) => {
                repeated = true;
                tracing::debug!(route = &*active.route.name, "the connection was dead; the request is sent once more");
                connection = active.target.connect(active.route.timeouts.connect).await?;
                exchange.sending.restart();
            }
            Err(Lost::Connection) => {
                let refusal =
                    Refusal::new(Kind::UpstreamProtocol, "the upstream closed the connection without an answer");
                return Err(refusal.with_proxy_error("connection_terminated").into());
            }
        }
    }
}

/// Whether the upstream refused the token, a newer one is to be had, and the request can be sent again with it. Then
/// `prepared` holds the newer one.
async fn replays<C: Caller>(prepared: &mut Prepared, answered: &Answered, caller: &C) -> bool {
    let active = &prepared.active;
    let (Some(binding), Some(credential), Some(seen)) = (&active.route.provider, &active.credential, &prepared.token)
    else {
        return false;
    };
    if prepared.cost == TokenCost::Replayed || !binding.reauthorize_on.contains(&answered.head.status) {
        return false;
    }
    if !(answered.sending.is_kept() && caller.is_body_done()) {
        // Too large to be sent again: the next request is to find a new token. Where another would not help, the
        // refusal has been told already and this one stays.
        let _ = credential.discard(seen);
        return false;
    }
    match credential.renew(seen).await {
        Ok(token) => {
            active.metrics.replayed();
            prepared.token = Some(token);
            prepared.cost = TokenCost::Replayed;
            true
        }
        Err(_) => false,
    }
}

/// What is still to be sent of a request.
#[derive(Debug)]
pub struct Sending {
    wire: Buffer,
    head_length: usize,
    written: u64,
    /// Whether `wire` holds all that was ever written.
    kept: bool,
    done: bool,
    broken: bool,
}

impl Sending {
    /// A request whose head, and what there is of its body, is in `wire`.
    pub fn new(wire: Buffer, head_length: usize) -> Self {
        Self { wire, head_length, written: 0, kept: true, done: false, broken: false }
    }

    /// Whether the whole request is on its way.
    pub fn is_done(&self) -> bool {
        self.done
    }

    fn is_kept(&self) -> bool {
        self.kept
    }

    fn restart(&mut self) {
        self.wire.rewind(0);
        self.written = 0;
        self.done = false;
        self.broken = false;
    }

    /// The same body behind the head that `prepared` asks for now.
    fn with_new_head(&self, head: &Head, prepared: &Prepared) -> Self {
        let mut wire = Buffer::with_size(SMALL);
        let token = prepared.token.as_deref();
        headers::write_request(&mut wire, head, &prepared.admitted, &prepared.active.route, token);
        let head_length = wire.len();
        wire.extend(&self.wire.all()[self.head_length..]);
        Self::new(wire, head_length)
    }

    /// Writes on; ready when there is nothing left to write, or nobody to write to. True: something moved.
    pub fn poll<C: Caller>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        caller: &mut C,
        moved: &mut bool,
    ) -> Poll<Result<(), CallerFault>> {
        while !self.done && !self.broken {
            if !self.wire.is_empty() {
                match connection.poll_write(cx, self.wire.filled()) {
                    Poll::Ready(Ok(count)) if count > 0 => {
                        *moved = true;
                        self.wire.consume(count);
                        self.written += count as u64;
                    }
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(_) => self.broken = true,
                }
                continue;
            }
            match connection.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => {
                    self.broken = true;
                    continue;
                }
            }
            if caller.is_body_done() {
                self.done = true;
                continue;
            }
            if self.kept && self.wire.all().len() - self.head_length > KEPT {
                self.kept = false;
            }
            if !self.kept && self.wire.size() < LARGE {
                self.wire = Buffer::with_size(LARGE);
            }
            let place = if self.kept { Place::Behind } else { Place::Over };
            match caller.poll_body(cx, &mut self.wire, place) {
                Poll::Ready(read) => read?,
                Poll::Pending => return Poll::Pending,
            }
            *moved = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Why an attempt came to nothing.
enum Lost {
    /// The connection died without a byte of an answer.
    Connection,
    Caller(CallerFault),
    Refused(Refusal),
}

/// One attempt.
struct Exchange {
    sending: Sending,
    answer: Head,
    limits: HeadLimits,
    interim: usize,
}

impl Exchange {
    async fn run<C: Caller>(
        &mut self,
        connection: &mut Connection,
        caller: &mut C,
        timeouts: &Timeouts,
        timer: &mut Timer,
        to_head: bool,
    ) -> Result<Framing, Lost> {
        timer.set(if caller.is_body_done() { timeouts.response } else { timeouts.idle });
        poll_fn(|cx| {
            if !self.sending.done && !self.sending.broken {
                let mut moved = false;
                let sent = self.sending.poll(cx, connection, caller, &mut moved);
                if let Poll::Ready(Err(fault)) = sent {
                    return Poll::Ready(Err(Lost::Caller(fault)));
                }
                if moved {
                    timer.set(if sent.is_ready() { timeouts.response } else { timeouts.idle });
                }
            }
            if let Poll::Ready(answered) = self.poll_answer(cx, connection, caller, to_head) {
                return Poll::Ready(answered);
            }
            timer.poll_passed(cx).map(|()| Err(Lost::Refused(self.timed_out())))
        })
        .await
    }

    fn poll_answer<C: Caller>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        caller: &mut C,
        to_head: bool,
    ) -> Poll<Result<Framing, Lost>> {
        loop {
            match self.answer.parse_response(self.limits) {
                Ok(false) => {}
                Ok(true) if matches!(self.answer.status, 100..=199) => {
                    ready!(self.poll_interim(cx, caller))?;
                    continue;
                }
                Ok(true) => {
                    let framing = framing::of_response(&self.answer, to_head);
                    return Poll::Ready(framing.map_err(|ambiguous| protocol(ambiguous.as_str())));
                }
                Err(_) => return Poll::Ready(Err(protocol("a malformed or too large head"))),
            }
            if let Err(lost) = ready!(self.poll_fill(cx, connection)) {
                return Poll::Ready(Err(lost));
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Result<(), Lost>> {
        let buffer = &mut self.answer.buffer;
        if buffer.spare().is_empty() {
            buffer.grow(if buffer.size() == 0 { SMALL } else { buffer.size() * 2 });
        }
        match connection.poll_read(cx, buffer.spare()) {
            Poll::Ready(Ok(count)) if count > 0 => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) if buffer.is_empty() => Poll::Ready(Err(Lost::Connection)),
            Poll::Ready(_) => {
                let refusal = Refusal::new(Kind::UpstreamProtocol, "the upstream's answer was cut off in its head");
                Poll::Ready(Err(Lost::Refused(refusal.with_proxy_error("http_response_incomplete"))))
            }
            Poll::Pending => {
                if buffer.is_empty() {
                    // A request that waits holds no memory for its answer.
                    buffer.release();
                }
                Poll::Pending
            }
        }
    }

    /// An interim answer: 100 was dealt with already, 101 was not asked for, others pass.
    fn poll_interim<C: Caller>(&mut self, cx: &mut Context<'_>, caller: &mut C) -> Poll<Result<(), Lost>> {
        if self.answer.status == 101 || self.interim >= MOST_INTERIM {
            return Poll::Ready(Err(protocol("an unasked switch of protocols, or interim answers without end")));
        }
        if self.answer.status != 100 {
            let mut wire = Buffer::with_size(SMALL);
            headers::write_answer(&mut wire, &self.answer, Framing::Empty, Sink::Plain, headers::Persist::Silent);
            ready!(caller.poll_interim(cx, &mut wire)).map_err(Lost::Caller)?;
        }
        self.interim += 1;
        self.answer.next(0);
        Poll::Ready(Ok(()))
    }

    /// A repeat is safe where the request never left, or where the method is idempotent (RFC 9110 §9.2.2), all of it
    /// is still at hand, and the connection may have died before the upstream read a byte.
    fn may_repeat(&self, connection: &Connection, method: &[u8]) -> bool {
        let idempotent = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE");
        self.answer.buffer.is_empty()
            && self.interim == 0
            && self.sending.kept
            && (self.sending.written == 0 || (connection.reused && idempotent))
    }

    fn timed_out(&self) -> Refusal {
        if self.sending.done || self.sending.broken {
            Refusal::new(Kind::UpstreamTimeout, "the upstream did not answer in time")
        } else if self.sending.wire.is_empty() {
            Refusal::new(Kind::RequestTimeout, "no more of the body came in time")
        } else {
            let refusal = Refusal::new(Kind::UpstreamTimeout, "the upstream did not take the body in time");
            refusal.with_proxy_error("connection_write_timeout")
        }
    }
}

fn protocol(detail: &'static str) -> Lost {
    Lost::Refused(Refusal::new(Kind::UpstreamProtocol, format!("the upstream sent {detail}")))
}

/// The body of an answer on its way back.
#[derive(Debug)]
pub struct Download {
    /// What is still to come.
    pub body: Body,
    /// Whether the upstream sent more than the answer.
    extra: bool,
}

impl Download {
    /// Begins with what was read together with the head: adds it, framed, to `wire`.
    ///
    /// # Errors
    /// The body is malformed from the start.
    pub fn begin(
        answered: &Answered,
        most_trailer_bytes: usize,
        wire: &mut Buffer,
        sink: Sink,
    ) -> Result<Self, BodyError> {
        let mut body = Body::new(answered.framing, None, most_trailer_bytes);
        let rest = answered.head.rest();
        let consumed = body.begin(rest, wire, sink, None)?;
        Ok(Self { body, extra: consumed < rest.len() })
    }

    /// Reads on into `wire`, whose content is lost, and frames what came.
    pub fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        wire: &mut Buffer,
        sink: Sink,
    ) -> Poll<Result<(), BodyError>> {
        wire.reset(CHUNK_GAP);
        // Two bytes stay free for the end of a chunk.
        let room = wire.spare().len() - 2;
        let count = match connection.poll_read(cx, &mut wire.spare()[..room]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(BodyError::Cut)),
        };
        if count == 0 {
            self.body.end()?;
        } else {
            wire.advance(count);
            let decoded = self.body.decode(wire.filled_mut())?;
            self.extra |= decoded.consumed < count;
            wire.truncate(decoded.content);
        }
        Poll::Ready(self.body.frame(wire, sink, None))
    }

    /// Gives the connection back to the pool, where both sides have said all and the upstream keeps it open.
    pub fn finish(self, answered: Answered, pool: &Pool, target: &Target) {
        let ended_by_length = answered.framing != Framing::UntilClose;
        if self.body.is_done()
            && !self.extra
            && ended_by_length
            && answered.sending.is_done()
            && super::admission::keeps_alive(&answered.head)
        {
            pool.put(target, answered.connection);
        }
    }
}

/// Reads more of a body from `read` and adds it, framed, to `wire`. What is read behind its end goes to `spill`.
pub fn poll_upload(
    body: &mut Body,
    wire: &mut Buffer,
    place: Place,
    sink: Sink,
    injected: Option<&[u8]>,
    spill: &mut Vec<u8>,
    mut read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<Result<(), CallerFault>> {
    let mut part = Buffer::new();
    let target = match place {
        Place::Over => &mut *wire,
        Place::Behind => &mut part,
    };
    target.grow(SMALL);
    target.reset(CHUNK_GAP);
    let room = (target.spare().len() - 2).min(body.appetite());
    let count = match read(&mut target.spare()[..room]) {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(Ok(count)) => count,
        Poll::Ready(Err(_)) => return Poll::Ready(Err(CallerFault::Gone)),
    };
    if count == 0 {
        return Poll::Ready(body.end().map_err(CallerFault::from));
    }
    target.advance(count);
    let decoded = body.decode(target.filled_mut())?;
    spill.extend_from_slice(&target.filled()[decoded.consumed..]);
    target.truncate(decoded.content);
    body.frame(target, sink, injected)?;
    if place == Place::Behind {
        wire.extend(part.filled());
    }
    Poll::Ready(Ok(()))
}
