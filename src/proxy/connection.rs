//! A connection from its first byte: the protocol is told, then served to its end.

use std::{future::poll_fn, pin::Pin, rc::Rc, sync::Arc, task::Poll};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::timeout,
};

use super::{downstream::Downstream, http1, http2, service::Ingress, timer::Timer, worker::Worker};
use crate::{
    http1::{buffer::SMALL, head::Head},
    server::{
        drain::Watch,
        preface::{Prefixed, Protocol, detect},
        stream::Stream,
    },
};

/// Serves one connection until either side ends it.
pub async fn serve(mut stream: Stream, ingress: Arc<Ingress>, worker: Rc<Worker>, watch: Watch) {
    let counted = Counted::new(&ingress);
    let mut first = Head::default();
    let bound = ingress.limits.head_timeout;
    let timer = Timer::new(bound);
    let detected = tokio::select! {
        biased;
        detected = timeout(bound, first_bytes(&mut stream, &mut first)) => detected,
        () = drained(watch.clone()) => return,
    };
    match detected {
        Ok(Protocol::Http2) => {
            let prefix = first.buffer.filled().to_vec();
            first.buffer.release();
            // Apart from the task, whose size is that of a connection that speaks HTTP/1.
            Box::pin(http2::serve(
                Prefixed::new(prefix, stream),
                ingress.clone(),
                worker,
                watch,
            ))
            .await;
        }
        Ok(Protocol::Http1) => {
            http1::serve(
                Downstream::Socket(stream),
                first,
                timer,
                ingress.clone(),
                worker,
                watch,
            )
            .await;
        }
        // The beginning of a preface is the beginning of a request too, and that is late.
        Err(_) if !first.buffer.is_empty() => {
            http1::serve(
                Downstream::Socket(stream),
                first,
                timer,
                ingress.clone(),
                worker,
                watch,
            )
            .await;
        }
        // An end, or nothing at all in time: there is nobody to answer.
        Ok(Protocol::Undecided) | Err(_) => {}
    }
    drop(counted);
}

async fn drained(mut watch: Watch) {
    watch.draining().await;
}

/// Reads until the protocol is clear; `Undecided` is an end before that.
async fn first_bytes(stream: &mut Stream, first: &mut Head) -> Protocol {
    poll_fn(|cx| {
        loop {
            first.buffer.grow(SMALL);
            let mut buffer = ReadBuf::new(first.buffer.spare());
            let read = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
            let count = buffer.filled().len();
            match read {
                Poll::Ready(Ok(())) if count > 0 => first.buffer.advance(count),
                Poll::Ready(_) => return Poll::Ready(Protocol::Undecided),
                Poll::Pending => {
                    if first.buffer.is_empty() {
                        first.buffer.release();
                    }
                    return Poll::Pending;
                }
            }
            match detect(first.buffer.filled()) {
                Protocol::Undecided => {}
                detected => return Poll::Ready(detected),
            }
        }
    })
    .await
}

/// Counts a connection while it lives, however it ends.
struct Counted(Arc<Ingress>);

impl Counted {
    fn new(ingress: &Arc<Ingress>) -> Self {
        ingress.connections.inc();
        Self(ingress.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what `serve` gives for any arguments.
    fn size_of_task<A, B, C, D, F: Future<Output = ()>>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_costs_less_than_a_page() {
        assert!(size_of_task(serve) <= 3584, "{} bytes", size_of_task(serve));
    }
}
