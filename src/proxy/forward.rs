//! One request and the head of its answer over an HTTP/1.1 connection: send, wait, and the one safe repeat.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use super::{
    admission,
    caller::{Caller, CallerFault},
    echo,
    error::{Kind, Refusal},
    guard, headers,
    route::Timeouts,
    sending::Sending,
    service::{Ingress, Prepared},
    timer::Timer,
    upstream::{Connection, Pool},
};
use crate::{
    http1::{
        body::Sink,
        buffer::{Buffer, SMALL},
        field::list,
        framing::{self, Framing},
        head::{Head, HeadLimits},
    },
    telemetry::access_log::TokenCost,
};

/// Interim answers (1xx) to one request; more are no HTTP.
const MOST_INTERIM: usize = 32;

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
pub async fn forward(
    ingress: &Ingress,
    pool: &Pool,
    head: &Head,
    prepared: &mut Prepared,
    caller: &mut Caller<'_>,
    sending: Sending,
    timer: &mut Timer,
) -> Result<Answered, Unanswered> {
    let active = prepared.active.clone();
    let limits = ingress.head_limits();
    let tunnel = headers::tunnel(head, &prepared.admitted, &active.route);
    let mut exchange = Exchange::new(sending, limits, tunnel.clone());
    let mut connection = match pool.take(&active.target) {
        Some(connection) => connection,
        None => open(prepared, head, &mut exchange.sending, pool).await?,
    };
    let to_head = head.method() == b"HEAD";
    let mut repeated = false;
    loop {
        match exchange
            .run(
                &mut connection,
                caller,
                &active.route.timeouts,
                timer,
                to_head,
            )
            .await
        {
            Ok(framing) => {
                let Exchange {
                    sending, answer, ..
                } = exchange;
                let mut answered = Answered {
                    head: answer,
                    framing,
                    connection,
                    sending,
                };
                if !replays(prepared, &mut answered, caller, timer).await? {
                    echo::take_out(&mut answered.head, &active.route, prepared.token.as_deref());
                    return Ok(answered);
                }
                // The refused answer's body is of no use; its connection goes with it.
                exchange = Exchange::new(
                    answered.sending.with_new_head(head, prepared),
                    limits,
                    tunnel.clone(),
                );
                connection = open(prepared, head, &mut exchange.sending, pool).await?;
            }
            Err(Lost::Caller(fault)) => return Err(fault.into()),
            Err(Lost::Refused(refusal)) => return Err(refusal.into()),
            Err(Lost::Connection)
                if !repeated && exchange.may_repeat(&connection, head.method()) =>
            {
                repeated = true;
                tracing::debug!(
                    route = &*active.route.name,
                    "the connection was dead; the request is sent once more"
                );
                exchange.sending = exchange.sending.with_new_head(head, prepared);
                connection = open(prepared, head, &mut exchange.sending, pool).await?;
            }
            Err(Lost::Connection) if connection.was_reset() => {
                let refusal = Refusal::new(
                    Kind::UpstreamProtocol,
                    "the upstream broke off the request, or the rules of HTTP/2",
                );
                return Err(refusal.with_proxy_error("http_protocol_error").into());
            }
            Err(Lost::Connection) => {
                let refusal = Refusal::new(
                    Kind::UpstreamProtocol,
                    "the upstream closed the connection without an answer",
                );
                return Err(refusal.with_proxy_error("connection_terminated").into());
            }
        }
    }
}

/// Opens a connection for a request of which nothing is on its way. A token that ran out in the meantime is replaced.
async fn open(
    prepared: &mut Prepared,
    head: &Head,
    sending: &mut Sending,
    pool: &Pool,
) -> Result<Connection, Refusal> {
    let active = prepared.active.clone();
    sending.shrink();
    // Apart from the task, which would hold the room for a TLS handshake as long as it lives.
    let connection = Box::pin(active.target.connect(active.route.timeouts.connect, pool)).await?;
    if let (Some(credential), Some(token)) = (&active.credential, &prepared.token)
        && !credential.is_usable(token)
    {
        let token = credential.obtain().await.map_err(|reason| {
            Refusal::no_token(&reason, credential.name(), &active.way_to_log_in)
        })?;
        prepared.token = Some(token);
        *sending = sending.with_new_head(head, prepared);
    }
    Ok(connection)
}

/// Whether the upstream refused the token, a newer one is to be had, and the request can be sent again with it. Then
/// `prepared` holds the newer one.
///
/// # Errors
/// What the caller did wrong before its body was whole.
async fn replays(
    prepared: &mut Prepared,
    answered: &mut Answered,
    caller: &mut Caller<'_>,
    timer: &mut Timer,
) -> Result<bool, CallerFault> {
    let active = &prepared.active;
    let (Some(binding), Some(credential), Some(seen)) =
        (&active.route.provider, &active.credential, &prepared.token)
    else {
        return Ok(false);
    };
    if !binding.reauthorize_on.contains(&answered.head.status) {
        seen.mark_accepted();
        return Ok(false);
    }
    if prepared.cost == TokenCost::Replayed {
        seen.mark_refused_when_fresh();
        return Ok(false);
    }
    let gathered = answered
        .sending
        .gather(caller, timer, active.route.timeouts.idle)
        .await;
    if gathered != Ok(true) {
        // Too large to be sent again, or broken: the next request is to find a new token. Where another would not help,
        // the refusal has been told already and this one stays.
        let _ = credential.discard(seen);
        return gathered;
    }
    match credential.renew(seen).await {
        Ok(token) => {
            active.metrics.record_replay();
            prepared.token = Some(token);
            prepared.cost = TokenCost::Replayed;
            Ok(true)
        }
        Err(_) => Ok(false),
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
    /// The interim answer that is on its way to the caller.
    passing: Option<Buffer>,
    /// The protocols that the request asks to switch to.
    tunnel: Option<Vec<u8>>,
}

impl Exchange {
    fn new(sending: Sending, limits: HeadLimits, tunnel: Option<Vec<u8>>) -> Self {
        Self {
            sending,
            answer: Head::default(),
            limits,
            interim: 0,
            passing: None,
            tunnel,
        }
    }

    async fn run(
        &mut self,
        connection: &mut Connection,
        caller: &mut Caller<'_>,
        timeouts: &Timeouts,
        timer: &mut Timer,
        to_head: bool,
    ) -> Result<Framing, Lost> {
        timer.set(if caller.is_body_done() {
            timeouts.response
        } else {
            timeouts.idle
        });
        poll_fn(|cx| {
            // While the connection was opened, the caller may have thought better of it.
            if self.sending.is_unsent() && !connection.reused && caller.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Lost::Caller(CallerFault::Gone)));
            }
            if !self.sending.is_over() {
                let mut moved = false;
                let sent = self.sending.poll(cx, connection, caller, &mut moved);
                if let Poll::Ready(Err(fault)) = sent {
                    return Poll::Ready(Err(Lost::Caller(fault)));
                }
                if moved {
                    timer.set(if self.sending.waits_for_upstream() {
                        timeouts.response
                    } else {
                        timeouts.idle
                    });
                }
            }
            if let Poll::Ready(answered) = self.poll_answer(cx, connection, caller, to_head) {
                return Poll::Ready(answered);
            }
            if caller.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Lost::Caller(CallerFault::Gone)));
            }
            timer
                .poll_passed(cx)
                .map(|()| Err(Lost::Refused(self.timed_out())))
        })
        .await
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        caller: &mut Caller<'_>,
        to_head: bool,
    ) -> Poll<Result<Framing, Lost>> {
        loop {
            match self.answer.parse_response(self.limits) {
                Ok(false) => {}
                Ok(true) if self.answer.status == 101 && self.is_switch_asked_for() => {
                    return Poll::Ready(Ok(Framing::Empty));
                }
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

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), Lost>> {
        let buffer = &mut self.answer.buffer;
        if buffer.spare().is_empty() {
            buffer.grow(if buffer.size() == 0 {
                SMALL
            } else {
                buffer.size() * 2
            });
        }
        match connection.poll_read(cx, buffer.spare()) {
            Poll::Ready(Ok(count)) if count > 0 => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) if buffer.is_empty() => Poll::Ready(Err(Lost::Connection)),
            Poll::Ready(_) => {
                let refusal = Refusal::new(
                    Kind::UpstreamProtocol,
                    "the upstream's answer was cut off in its head",
                );
                Poll::Ready(Err(Lost::Refused(
                    refusal.with_proxy_error("http_response_incomplete"),
                )))
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

    fn is_switch_asked_for(&self) -> bool {
        match (&self.tunnel, admission::switches_to(&self.answer)) {
            (Some(asked), Some(protocol)) => {
                list(asked).any(|asked| asked.eq_ignore_ascii_case(protocol))
                    && self.sending.is_done()
            }
            _ => false,
        }
    }

    /// An interim answer: 100 was dealt with already, 101 was not asked for, others pass.
    fn poll_interim(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut Caller<'_>,
    ) -> Poll<Result<(), Lost>> {
        if self.answer.status == 101 || self.interim >= MOST_INTERIM {
            return Poll::Ready(Err(protocol(
                "an unasked switch of protocols, or interim answers without end",
            )));
        }
        if self.answer.status != 100 {
            // Half of it may have gone out already, and the other half waits for the caller.
            let wire = self
                .passing
                .get_or_insert_with(|| interim_head(&self.answer));
            ready!(caller.poll_interim(cx, wire)).map_err(Lost::Caller)?;
            self.passing = None;
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
            && self.sending.is_kept()
            && (self.sending.is_unsent()
                || connection.was_refused()
                || (connection.reused && !connection.was_reset() && idempotent))
    }

    fn timed_out(&self) -> Refusal {
        if self.sending.waits_for_upstream() {
            Refusal::new(Kind::UpstreamTimeout, "the upstream did not answer in time")
        } else if self.sending.waits_for_caller() {
            Refusal::new(Kind::RequestTimeout, "no more of the body came in time")
        } else {
            let refusal = Refusal::new(
                Kind::UpstreamTimeout,
                "the upstream did not take the body in time",
            );
            refusal.with_proxy_error("connection_write_timeout")
        }
    }
}

fn interim_head(answer: &Head) -> Buffer {
    let mut wire = Buffer::with_size(SMALL);
    headers::write_answer(
        &mut wire,
        answer,
        Framing::Empty,
        Sink::Plain,
        headers::Persist::Silent,
        None,
    );
    wire
}

fn protocol(detail: &'static str) -> Lost {
    Lost::Refused(Refusal::new(
        Kind::UpstreamProtocol,
        format!("the upstream sent {detail}"),
    ))
}
