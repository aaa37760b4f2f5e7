//! Which HTTP a caller speaks: HTTP/2 with prior knowledge begins with a preface (RFC 9113 §3.4), HTTP/1.1 cannot.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes that every HTTP/2 connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
    /// More bytes are needed.
    Undecided,
}

/// Looks at the first bytes of a connection.
pub fn detect(bytes: &[u8]) -> Protocol {
    if bytes.len() >= PREFACE.len() && bytes.starts_with(PREFACE) {
        Protocol::Http2
    } else if PREFACE.starts_with(bytes) {
        Protocol::Undecided
    } else {
        Protocol::Http1
    }
}

/// A connection some of whose bytes were read already, and are read again first.
#[derive(Debug)]
pub struct Prefixed<S> {
    prefix: Vec<u8>,
    read: usize,
    stream: S,
}

impl<S> Prefixed<S> {
    /// `stream`, as if `prefix` had not been read from it yet.
    pub fn new(prefix: Vec<u8>, stream: S) -> Self {
        Self {
            prefix,
            read: 0,
            stream,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = &this.prefix[this.read..];
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let part = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..part]);
        this.read += part;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn the_preface_is_told_from_any_request() {
        assert_eq!(detect(b""), Protocol::Undecided);
        assert_eq!(detect(b"P"), Protocol::Undecided);
        assert_eq!(
            detect(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0"),
            Protocol::Http2
        );
        assert_eq!(detect(b"POST"), Protocol::Http1);
        assert_eq!(detect(b"PRI * HTTP/1.1\r\n"), Protocol::Http1);
    }

    #[tokio::test]
    async fn what_was_read_is_read_again() {
        let mut stream = Prefixed::new(b"hello ".to_vec(), &b"world"[..]);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello world");
    }
}
