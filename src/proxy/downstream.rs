//! What a request comes by: a connection that speaks HTTP/1, or a stream of one that speaks HTTP/2 and looks like it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{http1::buffer::Buffer, http2, server::stream::Stream};

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

    /// Reads into `bytes`; 0 is the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Socket(stream) => {
                let mut buffer = ReadBuf::new(bytes);
                ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
            Self::Http2(stream) => stream.poll_read(cx, bytes),
        }
    }

    /// Writes some of `wire`.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Buffer,
    ) -> Poll<io::Result<()>> {
        let written = match self {
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, wire.filled()),
            Self::Http2(stream) => stream.poll_write(cx, wire.filled()),
        };
        let count = ready!(written)?;
        wire.consume(count);
        Poll::Ready(if count == 0 {
            Err(io::ErrorKind::WriteZero.into())
        } else {
            Ok(())
        })
    }

    /// Writes all of `wire`.
    pub(super) fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Buffer,
    ) -> Poll<io::Result<()>> {
        while !wire.is_empty() {
            ready!(self.poll_write(cx, wire))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Http2(stream) => {
                stream.close();
                Poll::Ready(Ok(()))
            }
        }
    }
}
