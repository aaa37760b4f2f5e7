//! A request on its way out: its head, and as much of its body as has come.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    caller::{Caller, CallerFault, Place},
    headers,
    service::Prepared,
    timer::Timer,
    upstream::Connection,
};
use crate::http1::{
    buffer::{Buffer, LARGE, SMALL},
    head::Head,
};

/// Bytes of a body that is kept, so that it can be sent once more.
const KEPT: u64 = 64 * 1024;

/// What is still to be sent of a request.
#[derive(Debug)]
pub struct Sending {
    wire: Buffer,
    head_length: usize,
    written: u64,
    /// Whether `wire` holds all that was ever written, or nothing where that was a head, which can be written again.
    kept: bool,
    done: bool,
    broken: bool,
    /// Whether what was written is not on its way yet.
    flushing: bool,
}

impl Sending {
    /// A request whose head, and what there is of its body, is in `wire`.
    pub fn new(wire: Buffer, head_length: usize) -> Self {
        Self {
            wire,
            head_length,
            written: 0,
            kept: true,
            done: false,
            broken: false,
            flushing: false,
        }
    }

    /// Whether the whole request is on its way.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether there is nothing left to write, or nobody to write to.
    pub fn is_over(&self) -> bool {
        self.done || self.broken
    }

    /// Whether not a byte has left.
    pub fn is_unsent(&self) -> bool {
        self.written == 0
    }

    /// Whether there is nothing that could be done for the upstream: it has all that came, or does not take it on.
    pub fn waits_for_upstream(&self) -> bool {
        self.is_over() || (self.flushing && self.wire.is_empty())
    }

    /// Whether all that has come was written, so that it is the caller who is waited for.
    pub fn waits_for_caller(&self) -> bool {
        self.wire.is_empty() && !self.flushing
    }

    /// Whether all that was sent is still at hand, so that it can be sent again.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// The same from its beginning, for another connection: the body behind the head that `prepared` asks for now.
    pub fn with_new_head(&self, head: &Head, prepared: &Prepared) -> Self {
        let mut wire = Buffer::with_size(SMALL);
        let token = prepared.token.as_deref();
        headers::write_request(
            &mut wire,
            head,
            &prepared.admitted,
            &prepared.active.route,
            token,
        );
        let head_length = wire.len();
        wire.extend(self.wire.all().get(self.head_length..).unwrap_or_default());
        Self::new(wire, head_length)
    }

    /// Reads what is left of a body that is small enough to be kept, without sending it. False: it is not, or nothing
    /// more of it came for as long as `idle`.
    ///
    /// # Errors
    /// As [`Caller::poll_body`]; nothing more may be read from the caller then.
    pub async fn gather(
        &mut self,
        caller: &mut Caller<'_>,
        timer: &mut Timer,
        idle: Duration,
    ) -> Result<bool, CallerFault> {
        timer.set(idle);
        poll_fn(|cx| {
            while self.kept && caller.known_length() <= KEPT {
                if caller.is_body_done() {
                    return Poll::Ready(Ok(true));
                }
                match caller.poll_body(cx, &mut self.wire, Place::Behind) {
                    Poll::Ready(read) => read?,
                    Poll::Pending => return timer.poll_passed(cx).map(|()| Ok(false)),
                }
                timer.set(idle);
            }
            self.kept = false;
            Poll::Ready(Ok(false))
        })
        .await
    }

    /// Writes on; ready when there is nothing left to write, or nobody to write to. True: something moved.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        caller: &mut Caller<'_>,
        moved: &mut bool,
    ) -> Poll<Result<(), CallerFault>> {
        while !self.is_over() {
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
                Poll::Pending => {
                    self.flushing = true;
                    return Poll::Pending;
                }
                Poll::Ready(Err(_)) => {
                    self.broken = true;
                    continue;
                }
            }
            self.flushing = false;
            if caller.is_body_done() {
                self.done = true;
                self.let_go();
                continue;
            }
            if !self.kept && self.wire.size() < LARGE {
                self.wire = Buffer::with_size(LARGE);
            }
            let place = if self.kept {
                Place::Behind
            } else {
                Place::Over
            };
            match caller.poll_body(cx, &mut self.wire, place) {
                Poll::Ready(read) => read?,
                Poll::Pending => return Poll::Pending,
            }
            self.kept = self.kept && caller.known_length() <= KEPT;
            *moved = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Holds no more memory than it needs while it waits.
    pub fn shrink(&mut self) {
        self.wire.shrink();
    }

    /// All was written: from here on it waits for its answer, and holds no more than what could not be written again.
    fn let_go(&mut self) {
        let is_head_alone = self.wire.all().len() == self.head_length;
        if self.kept && !is_head_alone {
            self.shrink();
        } else {
            self.wire.release();
        }
    }
}
