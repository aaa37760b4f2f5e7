//! An answer on its way back to a caller that speaks HTTP/1.

use std::{future::poll_fn, io, task::Poll};

use super::caller::{Http1Caller, poll_write_some};
use crate::{
    http1::{
        body::Sink,
        buffer::{Buffer, LARGE, SMALL},
    },
    proxy::{
        download::Download,
        forward::Answered,
        headers::{self, Persist},
        table::ActiveRoute,
        timer::Timer,
        worker::Worker,
    },
};

/// Passes an answer back while the rest of the request may still be going out. False: it was cut. Also its bytes.
#[expect(clippy::too_many_arguments, reason = "the two sides of a connection, and what is known of each")]
pub(super) async fn relay(
    caller: &mut Http1Caller<'_>,
    mut answered: Answered,
    sink: Sink,
    persist: Persist,
    active: &ActiveRoute,
    worker: &Worker,
    most_trailer_bytes: usize,
    timer: &mut Timer,
) -> (bool, u64) {
    let mut wire = Buffer::with_size(SMALL);
    headers::write_answer(&mut wire, &answered.head, answered.framing, sink, persist);
    let Ok(mut download) = Download::begin(&answered, most_trailer_bytes, &mut wire, sink) else {
        // Its head has not been sent, but what follows is no HTTP: the caller sees a connection that ends.
        return (false, 0);
    };
    let idle = active.route.timeouts.idle;
    timer.set(idle);
    let passed = poll_fn(|cx| {
        loop {
            let mut moved = false;
            if !answered.sending.is_done() {
                let sent = answered.sending.poll(cx, &mut answered.connection, caller, &mut moved);
                if let Poll::Ready(Err(_)) = sent {
                    return Poll::Ready(false);
                }
            }
            let step = if !wire.is_empty() {
                poll_write_some(caller.stream, cx, &mut wire)
            } else if download.body.is_done() {
                return Poll::Ready(true);
            } else {
                if wire.size() < LARGE && download.body.content() > SMALL as u64 / 2 {
                    wire = Buffer::with_size(LARGE);
                }
                download
                    .poll_more(cx, &mut answered.connection, &mut wire, sink)
                    .map_err(|_| io::ErrorKind::InvalidData.into())
            };
            match step {
                Poll::Ready(Ok(())) => timer.set(idle),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending if moved => timer.set(idle),
                Poll::Pending => return timer.poll_passed(cx).map(|()| false),
            }
        }
    })
    .await;
    let bytes = download.body.content();
    if passed {
        download.finish(answered, &worker.pool, &active.target);
    }
    (passed, bytes)
}
