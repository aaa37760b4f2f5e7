//! An answer on its way back to a caller that speaks HTTP/1.

use std::{
    future::poll_fn,
    io, mem,
    task::{Context, Poll},
};

use crate::{
    http1::{
        body::{BodyError, Sink},
        buffer::{Buffer, LARGE, SMALL},
    },
    proxy::{
        caller::Caller,
        download::Download,
        forward::Answered,
        headers::{self, Persist},
        location::Rewriter,
        table::ActiveRoute,
        timer::Timer,
        upstream::Pool,
    },
};

/// An answer whose head is ready to go, and whose body follows.
#[derive(Debug)]
pub(super) struct Relay {
    answered: Answered,
    download: Download,
    wire: Buffer,
    sink: Sink,
}

impl Relay {
    /// Writes the head, and what came together with it.
    ///
    /// # Errors
    /// The body is malformed from the start; nothing has been sent to the caller.
    pub(super) fn new(
        answered: Answered,
        sink: Sink,
        persist: Persist<'_>,
        most_trailer_bytes: usize,
        rewriter: &Rewriter<'_>,
    ) -> Result<Self, BodyError> {
        let mut wire = Buffer::with_size(SMALL);
        headers::write_answer(
            &mut wire,
            &answered.head,
            answered.framing,
            sink,
            persist,
            Some(rewriter),
        );
        let download = Download::begin(&answered, most_trailer_bytes, &mut wire, sink)?;
        Ok(Self {
            answered,
            download,
            wire,
            sink,
        })
    }

    /// Passes the answer back while the rest of the request may still be going out. False: it was cut. Also its bytes.
    pub(super) async fn run(
        mut self,
        caller: &mut Caller<'_>,
        active: &ActiveRoute,
        pool: &Pool,
        timer: &mut Timer,
    ) -> (bool, u64) {
        let idle = active.route.timeouts.idle;
        // The head of the answer moved, so the first wait begins now.
        let mut moved = true;
        let passed = poll_fn(|cx| {
            let passed = self.poll(cx, caller, &mut moved);
            if passed.is_ready() {
                return passed;
            }
            if mem::take(&mut moved) {
                timer.set(idle);
            }
            timer.poll_passed(cx).map(|()| false)
        })
        .await;
        let bytes = self.download.body.content();
        if passed {
            self.download.finish(self.answered, pool, &active.target);
        }
        (passed, bytes)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut Caller<'_>,
        moved: &mut bool,
    ) -> Poll<bool> {
        loop {
            if !self.answered.sending.is_over() {
                let sent =
                    self.answered
                        .sending
                        .poll(cx, &mut self.answered.connection, caller, moved);
                if let Poll::Ready(Err(_)) = sent {
                    return Poll::Ready(false);
                }
            }
            let step = if !self.wire.is_empty() {
                caller.stream.poll_write(cx, &mut self.wire)
            } else if self.download.body.is_done() {
                return Poll::Ready(true);
            } else {
                self.poll_more(cx)
            };
            match step {
                Poll::Ready(Ok(())) => *moved = true,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                // Nothing to write, and nobody to write it to.
                Poll::Pending if self.wire.is_empty() => {
                    return caller.poll_gone(cx).map(|()| false);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads on; an answer of which nothing comes for a while holds no buffer.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.reset(0);
        self.wire
            .grow(if self.download.body.content() > SMALL as u64 / 2 {
                LARGE
            } else {
                SMALL
            });
        let more =
            self.download
                .poll_more(cx, &mut self.answered.connection, &mut self.wire, self.sink);
        if more.is_pending() {
            self.wire.release();
        }
        more.map_err(|_| io::ErrorKind::InvalidData.into())
    }
}
