//! The body of a request that comes over HTTP/2.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::HeaderMap;
use http_body::Body as _;
use hyper::body::Incoming;

use crate::{
    http1::{
        body::{Sink, may_trail, put_content, put_field},
        buffer::Buffer,
        field::same_name,
    },
    proxy::{
        caller::{Caller, CallerFault, Place},
        table::ActiveRoute,
    },
};

/// The body of a request that comes over HTTP/2.
pub(super) struct Http2Caller {
    pub(super) incoming: Incoming,
    pub(super) sink: Sink,
    pub(super) read: u64,
    pub(super) limit: Option<u64>,
    pub(super) done: bool,
    pub(super) active: Arc<ActiveRoute>,
}

impl Caller for Http2Caller {
    fn is_body_done(&self) -> bool {
        self.done
    }

    fn known_length(&self) -> u64 {
        self.read + self.incoming.size_hint().lower()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, wire: &mut Buffer, place: Place) -> Poll<Result<(), CallerFault>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if place == Place::Over {
            wire.reset(0);
        }
        match frame {
            None => self.end(wire, None),
            Some(Err(_)) => return Poll::Ready(Err(CallerFault::Gone)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.read += data.len() as u64;
                    if self.limit.is_some_and(|limit| self.read > limit) {
                        return Poll::Ready(Err(CallerFault::TooLarge));
                    }
                    put_content(wire, &data, self.sink);
                    if self.incoming.is_end_stream() {
                        self.end(wire, None);
                    }
                }
                Err(frame) => self.end(wire, frame.into_trailers().ok()),
            },
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        // hyper drops the whole request when its caller resets it.
        Poll::Pending
    }

    fn poll_interim(&mut self, _: &mut Context<'_>, _: &mut Buffer) -> Poll<Result<(), CallerFault>> {
        // hyper's HTTP/2 server has no way to send one; they are optional to pass on.
        Poll::Ready(Ok(()))
    }
}

impl Http2Caller {
    fn end(&mut self, wire: &mut Buffer, trailers: Option<HeaderMap>) {
        if self.done {
            return;
        }
        self.done = true;
        if self.sink == Sink::Plain {
            return;
        }
        wire.extend(b"0\r\n");
        let injected = self.active.injected_name();
        for (name, value) in trailers.iter().flat_map(HeaderMap::iter) {
            let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
            if may_trail(name) && !injected.is_some_and(|injected| same_name(name, injected)) {
                put_field(wire, name, value);
            }
        }
        wire.extend(b"\r\n");
    }
}
