//! The body of a request that comes over HTTP/1, and the socket it comes by.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    http1::{
        body::{Body, Sink},
        buffer::Buffer,
    },
    proxy::{
        caller::{Caller, CallerFault, Place, poll_upload},
        downstream::Downstream,
    },
};

/// The body of a request that comes over HTTP/1.
pub(super) struct Http1Caller<'a> {
    pub(super) stream: &'a mut Downstream,
    pub(super) body: Body,
    pub(super) sink: Sink,
    pub(super) injected: Option<&'a [u8]>,
    pub(super) spill: Vec<u8>,
    pub(super) interim: bool,
}

impl Caller for Http1Caller<'_> {
    fn is_body_done(&self) -> bool {
        self.body.is_done()
    }

    fn known_length(&self) -> u64 {
        self.body.known_length()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, wire: &mut Buffer, place: Place) -> Poll<Result<(), CallerFault>> {
        let stream = &mut *self.stream;
        let read = |bytes: &mut [u8]| poll_read(stream, cx, bytes);
        poll_upload(&mut self.body, wire, place, self.sink, self.injected, &mut self.spill, read)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.body.is_done() || self.stream.tells_resets() { self.stream.poll_reset(cx) } else { Poll::Pending }
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>, wire: &mut Buffer) -> Poll<Result<(), CallerFault>> {
        if !self.interim {
            return Poll::Ready(Ok(()));
        }
        poll_write_all(self.stream, cx, wire).map_err(|_| CallerFault::Gone)
    }
}

pub(super) fn poll_read(stream: &mut Downstream, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(bytes);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

pub(super) fn poll_write_some(
    stream: &mut Downstream,
    cx: &mut Context<'_>,
    wire: &mut Buffer,
) -> Poll<io::Result<()>> {
    let count = ready!(Pin::new(stream).poll_write(cx, wire.filled()))?;
    wire.consume(count);
    Poll::Ready(if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) })
}

pub(super) fn poll_write_all(stream: &mut Downstream, cx: &mut Context<'_>, wire: &mut Buffer) -> Poll<io::Result<()>> {
    while !wire.is_empty() {
        ready!(poll_write_some(stream, cx, wire))?;
    }
    Poll::Ready(Ok(()))
}
