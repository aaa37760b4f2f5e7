//! What a request comes by: a connection that speaks HTTP/1, or a stream of one that speaks HTTP/2 and looks like it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{http2, server::stream::Stream};

/// What a request comes by.
#[derive(Debug)]
pub(super) enum Downstream {
    /// A connection of its own.
    Socket(Stream),
    /// A stream of an HTTP/2 connection.
    Http2(Box<http2::stream::Stream>),
}

impl Downstream {
    /// Ready once the other side has reset it.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Socket(stream) => stream.poll_reset(cx),
            Self::Http2(stream) => stream.poll_reset(cx),
        }
    }

    /// Goes on to the next request; false where there can be none, since `rest` was sent behind the last.
    pub(super) fn go_on(&mut self, rest: &[u8]) -> bool {
        match self {
            Self::Socket(_) => true,
            // A stream carries one request, and nothing of it may be taken for the beginning of another's.
            Self::Http2(stream) => {
                stream.go_on();
                rest.is_empty()
            }
        }
    }

    /// Whether it waits for a request to begin.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Http2(stream) => stream.is_waiting(),
        }
    }

    /// Whether it can be told, while there is more to be read, that the other side has reset it.
    pub(super) fn tells_resets(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Makes its end an abort instead of a clean end, which a stream that is not whole does by itself.
    pub(super) fn reset_on_close(&self) {
        if let Self::Socket(stream) = self {
            stream.reset_on_close();
        }
    }
}

impl AsyncRead for Downstream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Http2(stream) => {
                let count = ready!(stream.poll_read(cx, buffer.initialize_unfilled()))?;
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Http2(stream) => stream.poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_flush(cx),
            Self::Http2(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Http2(stream) => {
                stream.close();
                Poll::Ready(Ok(()))
            }
        }
    }
}
