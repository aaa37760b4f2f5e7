//! A caller that speaks HTTP/1: its requests one after another, each with its answer.

mod relay;
mod tunnel;

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use self::{relay::Relay, tunnel::Tunnel};
use super::{
    caller::{Caller, CallerFault},
    downstream::Downstream,
    error::{Kind, Refusal},
    forward::{self, Answered, Unanswered},
    headers::{self, Persist},
    location::Rewriter,
    respond,
    sending::Sending,
    service::{self, Ingress, Prepared, Rejected},
    table::ActiveRoute,
    timer::Timer,
    worker::Worker,
};
use crate::{
    http1::{
        body::{Body, Sink},
        buffer::{Buffer, SMALL},
        framing::Framing,
        head::{Head, HeadError, Version},
    },
    server::drain::Watch,
    telemetry::access_log::TokenCost,
};

/// How long, and for how many bytes, the rest of a request is thrown away after its answer, so that the caller can
/// read the answer before it learns that the connection is gone (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const MOST_LINGERING_BYTES: usize = 1024 * 1024;

/// Serves a connection whose first bytes are in `head`.
///
/// `timer` runs since the connection was accepted.
pub(super) async fn serve(
    stream: Downstream,
    head: Head,
    timer: Timer,
    ingress: Arc<Ingress>,
    worker: Rc<Worker>,
    watch: Watch,
) {
    let entry = poll_fn(|cx| Poll::Ready(worker.enter(cx.waker()))).await;
    let mut connection = Connection {
        stream,
        head,
        timer,
        ingress,
        worker,
        served: 0,
    };
    connection.run().await;
    drop((entry, watch));
}

/// The task of a connection is as large as the largest of the futures in it: those that few requests come to are boxed.
struct Connection {
    stream: Downstream,
    head: Head,
    timer: Timer,
    ingress: Arc<Ingress>,
    worker: Rc<Worker>,
    served: u64,
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It serves another request.
    Serve,
    /// It ends, once the caller had time to read the answer.
    Linger,
    /// It ends at once: cut, where the answer was not whole.
    Cut,
}

/// What is told of a request once it is over.
struct Outcome {
    next: Next,
    status: u16,
    bytes: u64,
    active: Option<Arc<ActiveRoute>>,
    cost: TokenCost,
    rest: Rest,
}

/// What was read behind the head: `consumed` bytes of it were this request's; `spill` was read later and is not.
#[derive(Default)]
struct Rest {
    consumed: usize,
    spill: Vec<u8>,
}

/// The status under which a caller that went away is counted, as nginx does.
const CALLER_GONE: u16 = 499;

impl Connection {
    async fn run(&mut self) {
        loop {
            let outcome = match self.read_head().await {
                Ok(true) => {
                    let started = Instant::now();
                    let outcome = self.serve_request().await;
                    self.tell(&outcome, started.elapsed());
                    outcome
                }
                Ok(false) => return,
                Err(refusal) => {
                    let rejected = Rejected {
                        refusal,
                        active: None,
                    };
                    let outcome = self.refuse(rejected, Next::Linger).await;
                    self.tell(&outcome, Duration::ZERO);
                    outcome
                }
            };
            match outcome.next {
                Next::Serve => {
                    self.served += 1;
                    self.head.next(outcome.rest.consumed);
                    if !outcome.rest.spill.is_empty() {
                        self.head.buffer.extend(&outcome.rest.spill);
                    }
                    if !self.stream.go_on(self.head.buffer.filled()) {
                        return;
                    }
                }
                Next::Linger => return self.linger().await,
                Next::Cut => return,
            }
        }
    }

    /// Reads until a head is whole; false when the caller has nothing more to ask.
    async fn read_head(&mut self) -> Result<bool, Refusal> {
        let limits = self.ingress.head_limits();
        let (head_timeout, keep_alive) = (
            self.ingress.limits.head_timeout,
            self.ingress.limits.keep_alive,
        );
        // The timer runs since the connection was accepted. Later it is set only where there is something to wait for.
        let mut is_timed = self.served == 0;
        poll_fn(|cx| {
            loop {
                match self.head.parse_request(limits) {
                    Ok(true) => {
                        self.head.buffer.shrink();
                        return Poll::Ready(Ok(true));
                    }
                    Ok(false) => {}
                    Err(error) => return Poll::Ready(Err(head_refusal(error))),
                }
                let idle = self.head.buffer.is_empty();
                if idle && self.worker.is_draining() && self.stream.is_waiting() {
                    return Poll::Ready(Ok(false));
                }
                if self.head.buffer.spare().is_empty() {
                    let size = self.head.buffer.size();
                    self.head
                        .buffer
                        .grow(if size == 0 { SMALL } else { size * 2 });
                }
                match self.stream.poll_read(cx, self.head.buffer.spare()) {
                    Poll::Ready(Ok(count)) if count > 0 => {
                        self.head.buffer.advance(count);
                        is_timed &= !idle;
                    }
                    // An end, in the middle of a head too: nobody waits for an answer.
                    Poll::Ready(_) => return Poll::Ready(Ok(false)),
                    Poll::Pending => {
                        if idle {
                            self.head.buffer.release();
                        }
                        if !is_timed {
                            self.timer.set(if idle { keep_alive } else { head_timeout });
                            is_timed = true;
                        }
                        ready!(self.timer.poll_passed(cx));
                        let late =
                            Refusal::new(Kind::RequestTimeout, "the head did not come in time");
                        return Poll::Ready(if idle { Ok(false) } else { Err(late) });
                    }
                }
            }
        })
        .await
    }

    async fn serve_request(&mut self) -> Outcome {
        let prepared = match service::prepare(&self.ingress, &self.head).await {
            Ok(prepared) => prepared,
            Err(rejected) => return self.refuse(rejected, Next::Serve).await,
        };
        let active = prepared.active.clone();
        let limit = active.route.guard.max_body;
        let mut body = Body::new(
            prepared.admitted.framing,
            limit,
            self.ingress.limits.head_bytes,
        );
        body.withhold_named_by(&self.head);
        let sink = if prepared.admitted.framing == Framing::Chunked {
            Sink::Chunked
        } else {
            Sink::Plain
        };
        let injected = active.injected_name();
        let mut wire = Buffer::with_size(SMALL);
        headers::write_request(
            &mut wire,
            &self.head,
            &prepared.admitted,
            &active.route,
            prepared.token.as_deref(),
        );
        let head_length = wire.len();
        let consumed = match body.begin(self.head.rest(), &mut wire, sink, injected) {
            Ok(consumed) => consumed,
            Err(error) => {
                let next = Next::Linger;
                return match Unanswered::from(CallerFault::from(error)) {
                    Unanswered::Refused(refusal) => {
                        self.refuse(
                            Rejected {
                                refusal,
                                active: Some(active),
                            },
                            next,
                        )
                        .await
                    }
                    Unanswered::CallerGone => self.gone(prepared),
                };
            }
        };
        if prepared.admitted.expects_continue && !body.is_done() && self.head.rest().is_empty() {
            let mut wire = Buffer::with_size(SMALL);
            wire.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
            if self.write(&mut wire).await.is_err() {
                return self.gone(prepared);
            }
        }
        self.exchange(
            prepared,
            body,
            consumed,
            Sending::new(wire, head_length),
            sink,
        )
        .await
    }

    /// Forwards a request and passes its answer back.
    async fn exchange(
        &mut self,
        mut prepared: Prepared,
        body: Body,
        consumed: usize,
        sending: Sending,
        sink: Sink,
    ) -> Outcome {
        let active = prepared.active.clone();
        let interim = self.head.version == Version::Http11;
        let injected = active.injected_name();
        let mut caller = Caller {
            stream: &mut self.stream,
            body,
            sink,
            injected,
            spill: Vec::new(),
            interim,
        };
        let answered = forward::forward(
            &self.ingress,
            &self.worker.pool,
            &self.head,
            &mut prepared,
            &mut caller,
            sending,
            &mut self.timer,
        )
        .await;
        let answered = match answered {
            Ok(answered) => answered,
            Err(Unanswered::CallerGone) => return self.gone(prepared),
            Err(Unanswered::Refused(refusal)) => {
                let next = if caller.body.is_done() {
                    Next::Serve
                } else {
                    Next::Linger
                };
                let rest = Rest {
                    consumed,
                    spill: std::mem::take(&mut caller.spill),
                };
                let outcome = Box::pin(self.refuse_after(
                    Rejected {
                        refusal,
                        active: Some(active),
                    },
                    next,
                ))
                .await;
                return Outcome {
                    cost: prepared.cost,
                    rest,
                    ..outcome
                };
            }
        };
        let status = answered.head.status;
        if status == 101 {
            return Box::pin(self.tunnel(prepared, answered)).await;
        }
        let framing = headers::answer_framing(answered.framing, self.head.version);
        let ends =
            framing.until_close || !prepared.admitted.keep_alive || self.worker.is_draining();
        let persist = Persist::of(ends, self.head.version);
        let rewriter = Rewriter::new(&active.route, &self.head, &prepared.admitted);
        let relay = match Relay::new(
            answered,
            framing.sink,
            persist,
            self.ingress.limits.head_bytes,
            &rewriter,
        ) {
            Ok(relay) => relay,
            Err(error) => {
                let refusal =
                    Refusal::new(Kind::UpstreamProtocol, format!("the upstream sent {error}"));
                let rejected = Rejected {
                    refusal,
                    active: Some(active),
                };
                let outcome = Box::pin(self.refuse_after(rejected, Next::Linger)).await;
                return Outcome {
                    cost: prepared.cost,
                    ..outcome
                };
            }
        };
        let (passed, bytes) = relay
            .run(&mut caller, &active, &self.worker.pool, &mut self.timer)
            .await;
        let read = caller.body.is_done();
        let rest = Rest {
            consumed,
            spill: std::mem::take(&mut caller.spill),
        };
        if !passed && framing.until_close {
            // To this caller an end of the connection is an end of the body, unless it is a reset.
            self.stream.reset_on_close();
        }
        let next = match (passed, read) {
            (false, _) => Next::Cut,
            (true, true) if !ends => Next::Serve,
            (true, _) => Next::Linger,
        };
        Outcome {
            next,
            status,
            bytes,
            active: Some(active),
            cost: prepared.cost,
            rest,
        }
    }

    /// Passes a switch of protocols back, and then whatever either side says.
    async fn tunnel(&mut self, prepared: Prepared, answered: Answered) -> Outcome {
        let mut wire = Buffer::with_size(SMALL);
        let protocol = super::admission::switches_to(&answered.head).unwrap_or_default();
        let persist = Persist::Upgrade(protocol);
        headers::write_answer(
            &mut wire,
            &answered.head,
            Framing::Empty,
            Sink::Plain,
            persist,
            None,
        );
        wire.extend(answered.head.rest());
        let mut early = Buffer::with_size(SMALL);
        early.extend(self.head.rest());
        let idle = prepared.active.route.timeouts.idle;
        let tunnel = Tunnel::new(early, wire);
        let bytes = tunnel
            .run(&mut self.stream, answered.connection, idle, &mut self.timer)
            .await;
        let (cost, rest) = (prepared.cost, Rest::default());
        Outcome {
            next: Next::Cut,
            status: 101,
            bytes,
            active: Some(prepared.active),
            cost,
            rest,
        }
    }

    /// Answers a request that was refused before any of its body was read.
    async fn refuse(&mut self, rejected: Rejected, next: Next) -> Outcome {
        // A body that nobody will read makes the next head hard to find; a bad request makes it doubtful, and behind a
        // CONNECT there may be anything.
        let bodiless = crate::http1::framing::of_request(&self.head) == Ok(Framing::Empty);
        let doubtful = matches!(
            rejected.refusal.kind,
            Kind::BadRequest | Kind::MethodNotAllowed
        );
        let next = if bodiless && !doubtful {
            next
        } else {
            Next::Linger
        };
        Box::pin(self.refuse_after(rejected, next)).await
    }

    async fn refuse_after(&mut self, rejected: Rejected, next: Next) -> Outcome {
        let Rejected { refusal, active } = rejected;
        let keep_alive = next == Next::Serve
            && super::admission::keeps_alive(&self.head)
            && !self.worker.is_draining();
        let next = if keep_alive {
            Next::Serve
        } else {
            Next::Linger
        };
        let route = active.as_ref().map(|active| &*active.route.name);
        let provider = active
            .as_ref()
            .and_then(|active| active.route.provider.as_ref())
            .map(|bound| &*bound.provider);
        let answer = respond::answer(&refusal, route, provider, respond::is_grpc(&self.head));
        let mut wire = Buffer::with_size(SMALL);
        let persist = Persist::of(!keep_alive, self.head.version);
        let to_head = self.head.method() == b"HEAD";
        answer.write(&mut wire, to_head, persist);
        tracing::debug!(
            route,
            provider,
            status = answer.status.as_u16(),
            detail = &*refusal.detail,
            "refused"
        );
        self.timer.set(self.ingress.limits.keep_alive);
        let written = self.write(&mut wire).await;
        Outcome {
            next: if written.is_ok() { next } else { Next::Cut },
            status: answer.status.as_u16(),
            bytes: if to_head { 0 } else { answer.body.len() as u64 },
            active,
            cost: TokenCost::Unneeded,
            rest: Rest::default(),
        }
    }

    fn gone(&self, prepared: Prepared) -> Outcome {
        Outcome {
            next: Next::Cut,
            status: CALLER_GONE,
            bytes: 0,
            active: Some(prepared.active),
            cost: prepared.cost,
            rest: Rest::default(),
        }
    }

    async fn write(&mut self, wire: &mut Buffer) -> io::Result<()> {
        poll_fn(|cx| match self.stream.poll_write_all(cx, wire) {
            Poll::Pending => self
                .timer
                .poll_passed(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
            ready => ready,
        })
        .await
    }

    /// Counts and logs a request, whose head is still at hand.
    fn tell(&self, outcome: &Outcome, elapsed: Duration) {
        let active = outcome.active.as_deref();
        service::tell(
            &self.ingress,
            &self.head,
            active,
            outcome.status,
            outcome.bytes,
            elapsed,
            outcome.cost,
        );
    }

    /// Ends the connection so that the caller can still read its answer.
    async fn linger(&mut self) {
        self.timer.set(LINGER);
        self.head.buffer.grow(SMALL);
        let mut left = MOST_LINGERING_BYTES;
        poll_fn(|cx| {
            if ready!(self.stream.poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            loop {
                self.head.buffer.reset(0);
                match self.stream.poll_read(cx, self.head.buffer.spare()) {
                    Poll::Ready(Ok(count)) if count > 0 && count <= left => left -= count,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.timer.poll_passed(cx),
                }
            }
        })
        .await;
    }
}

fn head_refusal(error: HeadError) -> Refusal {
    match error {
        HeadError::Malformed => Refusal::bad_request("this is not HTTP/1.1"),
        HeadError::TooLarge => Refusal::new(
            Kind::HeadersTooLarge,
            "the head has more bytes than this listener takes",
        ),
        HeadError::TooManyFields => Refusal::new(
            Kind::HeadersTooLarge,
            "the head has more fields than this listener takes",
        ),
    }
}
